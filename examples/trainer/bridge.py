"""Turns a trainer's callbacks into events, with the names that OneTrainer's TrainCallbacks have.

The callbacks never wait and never fail: what goes wrong behind them is counted and logged.
"""

import functools
import logging
import time
import uuid

log = logging.getLogger("bridge")


def _never_fails(method):
    @functools.wraps(method)
    def guarded(self, *arguments, **named):
        try:
            return method(self, *arguments, **named)
        except Exception:
            self.failures += 1
            log.exception("%s failed; the training goes on", method.__name__)

    return guarded


class Remaining:
    """How long is left, from the recent pace. Pauses do not count."""

    # A training slows down and speeds up: the pace of about the last half minute counts.
    MEMORY_SECONDS = 30.0

    def __init__(self):
        self._last = None
        self._steps = self._seconds = 0.0

    def pause(self):
        self._last = None

    def seconds(self, now, done, total):
        if self._last is not None and done > self._last[1]:
            elapsed = max(now - self._last[0], 1e-9)
            kept = 0.5 ** (elapsed / self.MEMORY_SECONDS)
            self._steps = self._steps * kept + done - self._last[1]
            self._seconds = self._seconds * kept + elapsed
        if self._last is None or done != self._last[1]:
            self._last = (now, done)
        return (total - done) * self._seconds / self._steps if self._steps else None


class TrainingBridge:
    """Publishes what a training does to the topics `trainer.<room>.<event>`."""

    def __init__(self, publisher, room, progress_per_second=10, clock=time.monotonic):
        self.failures = 0
        self._publisher, self._room, self._clock = publisher, room, clock
        self._interval = 1 / progress_per_second
        self._shown = {}
        self._remaining = Remaining()

    def _publish(self, event, data, newest_only=False):
        self._publisher.publish(f"trainer.{self._room}.{event}", data, newest_only)

    def _is_due(self, what, is_last):
        now = self._clock()
        if not is_last and now - self._shown.get(what, -1e9) < self._interval:
            return False
        self._shown[what] = now
        return True

    @_never_fails
    def on_update_train_progress(self, progress, max_step, max_epoch):
        """`max_step` is the steps of an epoch."""
        done = progress.epoch * max_step + progress.epoch_step
        total = max_step * max_epoch
        if not self._is_due("training_progress", done >= total):
            return
        left = self._remaining.seconds(self._clock(), done, total)
        self._publish("training_progress", {
            "step": progress.epoch_step,
            "epoch": progress.epoch,
            "epoch_step": progress.epoch_step,
            "global_step": progress.global_step,
            "max_step": max_step,
            "max_epoch": max_epoch,
            "loss": getattr(progress, "loss", None),
            "learning_rate": getattr(progress, "learning_rate", None),
            "eta_seconds": None if left is None else round(left, 1),
        }, newest_only=True)

    @_never_fails
    def on_update_status(self, status, message=None, error=None):
        if status != "training":
            self._remaining.pause()
        data = {"status": status, "message": message or status, "error": error}
        self._publish("training_status", data)

    @_never_fails
    def on_sample_default(self, sample):
        self._sample("default", sample)

    @_never_fails
    def on_sample_custom(self, sample):
        self._sample("custom", sample)

    @_never_fails
    def on_update_sample_default_progress(self, step, max_step):
        self._sample_progress("default", step, max_step)

    @_never_fails
    def on_update_sample_custom_progress(self, progress, max_progress):
        self._sample_progress("custom", progress, max_progress)

    @_never_fails
    def on_validation(self, step, epoch, validation_loss):
        data = {"step": step, "epoch": epoch, "validation_loss": validation_loss}
        self._publish("validation_result", data)

    @_never_fails
    def on_log(self, level, message, source):
        self._publish("log", {"level": level, "message": message, "source": source})

    def _sample(self, kind, sample):
        self._publish("sample_generated", {
            "sample_id": uuid.uuid4().hex[:12],
            "path": sample.path,
            "sample_type": kind,
            "step": sample.step,
            "epoch": sample.epoch,
            "prompt": sample.prompt,
            "thumbnail_path": sample.thumbnail_path,
        })

    def _sample_progress(self, kind, step, max_step):
        if self._is_due(f"sample_{kind}", step >= max_step):
            data = {"sample_type": kind, "step": step, "max_step": max_step}
            self._publish("sample_progress", data, newest_only=True)


class LogToBridge(logging.Handler):
    """What the training logs, as `log` events."""

    def __init__(self, bridge):
        super().__init__(logging.INFO)
        self._bridge = bridge

    def emit(self, record):
        self._bridge.on_log(record.levelname.lower(), record.getMessage(), record.name)
