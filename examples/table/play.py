"""Plays pool, films it, sees what happens, and tells it: 30 times a second."""

import argparse
import logging
import os
import time

import numpy as np

import camera
import player
import world
from game import Game
from publisher import Publisher
from vision import Vision

log = logging.getLogger("table")

AIM_SECONDS, REST_SECONDS = 1.6, 1.0


class Table:
    """The camera, what is seen with it, and the arm that plays."""

    def __init__(self, publisher, seed, arm_error):
        self.publisher, self.arm_error = publisher, arm_error
        self.random = np.random.default_rng(seed)
        self.real = world.World(seed)
        self.camera = camera.Camera(seed)
        self.vision = Vision(self.camera.empty())
        self.game = Game()
        self.shot, self.since = None, 0.0
        self.seconds = {"capture": 0.0, "vision": 0.0}

    def frame(self, now, seconds):
        """One frame at a time of the game, from the camera to the events."""
        self.real.advance(seconds)
        jpeg = self._timed("capture", self.camera.take, self.real)
        found = self._timed("vision", self.vision.find, jpeg)
        self.publisher.publish_image("table.frame", jpeg)
        for event, data in self.game.see(found, now):
            self._tell(event, data)
        self._play(now)
        self._tell("state", self.game.state())

    def _timed(self, what, work, *arguments):
        began = time.perf_counter()
        result = work(*arguments)
        self.seconds[what] += time.perf_counter() - began
        return result

    def _tell(self, event, data):
        if event not in ("state", "trajectory", "performance"):
            log.info("%s %s", event, data)
        self.publisher.publish(f"table.{event}", data)

    def _play(self, now):
        if self.shot is not None:
            swing = min((now - self.since) / AIM_SECONDS, 1.0)
            self._tell("trajectory", self.shot.trajectory(swing))
            if swing == 1.0:
                self._strike()
            return
        if not self.game.is_shot_over:
            self.since = now
        elif now - self.since > REST_SECONDS:
            self.since = now
            self._next(now)

    def _next(self, now):
        """What the players do once all is still."""
        if self.game.is_cleared:
            self._tell(*self.game.ended(now))
            self.real.rack()
            self.game.begin()
        elif "cue" not in self.game.on_table:
            self.real.spot_cue_ball()
        else:
            self.shot = player.choose(self.game.on_table, is_break=self.game.shots == 0)

    def _strike(self):
        self.game.expect_shot()
        angle = self.shot.angle + self.random.normal(0, self.arm_error)
        self.real.strike(angle, self.shot.speed)
        self.shot = None

    def config(self, fps):
        self._tell("config", {
            "table": {"width": world.WIDTH, "height": world.HEIGHT},
            "pockets": np.round(world.POCKETS, 4).tolist(),
            "ball_radius": world.RADIUS,
            "colours": {name: "#%02x%02x%02x" % colour for name, colour in camera.COLOURS.items()},
            "image": {"width": camera.SIZE[0], "height": camera.SIZE[1]},
            "fps": fps,
        })

    def performance(self, frames, seconds):
        milliseconds = {f"{what}_ms": round(1000 * sum_ / frames, 2) for what, sum_ in self.seconds.items()}
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        publishing = {"published": self.publisher.published, "failures": self.publisher.failures}
        self._tell("performance", {"fps": round(frames / seconds, 1), **milliseconds, **publishing})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publish", default="http://127.0.0.1:8081", metavar="URL")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--frames", type=int, help="end after so many")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--arm-error", type=float, default=0.004, metavar="RADIANS")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    publisher = Publisher(options.publish, os.environ.get("TIDINGS_ADMIN_TOKEN"))
    table = Table(publisher, options.seed, options.arm_error)
    table.config(options.fps)
    try:
        run(table, options.fps, options.frames)
    except KeyboardInterrupt:
        pass
    publisher.close()


def run(table, fps, frames):
    """Films in step with the clock; a machine that is too slow shows it in slow motion."""
    interval = 1 / fps
    due = measured = time.monotonic()
    frame = since = 0
    while frame != frames:
        table.frame(frame * interval, interval)
        frame += 1
        due = max(due + interval, time.monotonic() - interval)
        time.sleep(max(due - time.monotonic(), 0))
        if (elapsed := time.monotonic() - measured) >= 1:
            table.performance(frame - since, elapsed)
            measured, since = time.monotonic(), frame


if __name__ == "__main__":
    main()
