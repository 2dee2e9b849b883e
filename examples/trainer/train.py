"""Trains the model on handwritten digits, and lets whoever watches see it and steer it."""

import argparse
import base64
import io
import logging
import os
import time
from dataclasses import dataclass

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import commands as steering
from bridge import LogToBridge, TrainingBridge
from model import DIGITS, Model
from publisher import Publisher

log = logging.getLogger("training")

BATCH = 64
KEPT_FOR_VALIDATION = 297


@dataclass
class Progress:
    epoch: int = 0
    epoch_step: int = 0
    global_step: int = 0
    loss: float | None = None
    learning_rate: float | None = None


@dataclass
class Sample:
    path: str
    thumbnail_path: str
    prompt: str
    step: int
    epoch: int


def data_url(image, size):
    """An image with values from -1 to 1 as a PNG that needs no file."""
    pixels = Image.fromarray(((image.reshape(8, 8) + 1) * 127.5).astype(np.uint8))
    png = io.BytesIO()
    pixels.resize((size, size), Image.Resampling.BICUBIC).save(png, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()


class Trainer:
    """The loop. It knows its callbacks and its commands, and nothing of a network."""

    def __init__(self, options, callbacks, commands):
        digits = load_digits()
        images = (digits.data / 8 - 1).astype(np.float32)
        order = np.random.default_rng(options.seed).permutation(len(images))
        images, labels = images[order], digits.target[order]
        self.held_out = images[:KEPT_FOR_VALIDATION], labels[:KEPT_FOR_VALIDATION]
        self.images, self.labels = images[KEPT_FOR_VALIDATION:], labels[KEPT_FOR_VALIDATION:]
        self.model = Model(options.seed)
        self.options, self.callbacks, self.commands = options, callbacks, commands
        self.progress = Progress()

    def run(self):
        options = self.options
        log.info("training on %d images, checking on %d", len(self.images), len(self.held_out[0]))
        self.callbacks.on_update_status("training", f"{options.epochs} epochs")
        for epoch in range(options.epochs):
            # Large steps first, small ones to settle.
            self.model.learning_rate = 2e-3 * 0.05 ** (epoch / options.epochs)
            if not self._epoch(epoch):
                log.warning("stopped in epoch %d", epoch)
                self.callbacks.on_update_status("stopped", f"stopped in epoch {epoch}")
                return
            self._validate(epoch)
            if (epoch + 1) % options.sample_every == 0:
                self._draw_all(epoch)
        log.info("done after %d steps", self.progress.global_step)
        self.callbacks.on_update_status("completed", "all epochs are done")

    def _epoch(self, epoch):
        """Whether the epoch was trained to its end."""
        order = self.model.random.permutation(len(self.images))
        batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
        for step, batch in enumerate(batches, 1):
            if not self._may_go_on():
                return False
            loss = self.model.train(self.images[batch], self.labels[batch])
            self.progress = Progress(
                epoch, step, self.progress.global_step + 1, loss, self.model.learning_rate
            )
            self.callbacks.on_update_train_progress(self.progress, len(batches), self.options.epochs)
            if self.options.step_ms:
                time.sleep(self.options.step_ms / 1000)
        return True

    def _may_go_on(self):
        """Does what was asked for meanwhile, and waits while the training is paused."""
        was_paused = False
        while not self.commands.is_stopped:
            while (digit := self.commands.next_sample()) is not None:
                self._draw_one(digit)
            if not self.commands.is_paused:
                break
            if not was_paused:
                self.callbacks.on_update_status("paused", f"at step {self.progress.global_step}")
            was_paused = True
            self.commands.wait_for_something()
        if was_paused and not self.commands.is_stopped:
            self.callbacks.on_update_status("training", "goes on")
        return not self.commands.is_stopped

    def _validate(self, epoch):
        if (epoch + 1) % self.options.validate_every == 0:
            loss = self.model.loss(*self.held_out)
            self.callbacks.on_validation(self.progress.global_step, epoch, loss)

    def _draw_all(self, epoch):
        report = self.callbacks.on_update_sample_default_progress
        for digit, image in enumerate(self.model.draw(range(DIGITS), report)):
            self.callbacks.on_sample_default(self._sample(digit, image))
        log.info("epoch %d: samples drawn, loss %.3f", epoch, self.progress.loss)

    def _draw_one(self, digit):
        report = self.callbacks.on_update_sample_custom_progress
        image = self.model.draw([digit], report)[0]
        self.callbacks.on_sample_custom(self._sample(digit, image))

    def _sample(self, digit, image):
        at = self.progress
        path, thumbnail = data_url(image, 96), data_url(image, 8)
        return Sample(path, thumbnail, f"digit {digit}", at.global_step, at.epoch)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/v1/ws", help="for commands")
    parser.add_argument("--publish", default="http://127.0.0.1:8081", help="for events")
    parser.add_argument("--room", default="digits", help="the name of this training")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--sample-every", type=int, default=5, metavar="EPOCHS")
    parser.add_argument("--validate-every", type=int, default=1, metavar="EPOCHS")
    parser.add_argument("--step-ms", type=float, default=5, help="rest between two steps")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()

    publisher = Publisher(options.publish, os.environ.get("TIDINGS_ADMIN_TOKEN"))
    bridge = TrainingBridge(publisher, options.room)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    log.addHandler(LogToBridge(bridge))
    commands = steering.TrainCommands()
    steering.serve(commands, options.url, options.room, os.environ.get("TIDINGS_TOKEN"))
    try:
        Trainer(options, bridge, commands).run()
    except BaseException as error:
        bridge.on_update_status("error", "the training ended early", repr(error))
        raise
    finally:
        if not publisher.close():
            log.warning("not everything was published")


if __name__ == "__main__":
    main()
