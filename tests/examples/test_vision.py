"""Balls are found in images where they really are, and what happens to them is told rightly."""

import sys
import unittest

from running import EXAMPLES

sys.path.insert(0, str(EXAMPLES / "table"))

import camera  # noqa: E402
import numpy as np  # noqa: E402
import player  # noqa: E402
import world  # noqa: E402
from game import Game  # noqa: E402
from vision import Vision  # noqa: E402

FRAME = 1 / 30
NAMES = list(camera.COLOURS)


class VisionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.camera = camera.Camera()
        cls.vision = Vision(cls.camera.empty())

    def test_every_ball_of_a_break_is_found_within_a_pixel_and_a_half(self):
        real = world.World(seed=5)
        real.strike(0.02, 5.0)
        for _ in range(45):
            real.advance(FRAME)
            found = self.vision.find(self.camera.take(real))
            there = {NAMES[ball] for ball in np.flatnonzero(real.is_on_table)}
            # A brown ball in the jaws of a pocket is hard to tell from the wood.
            far = np.linalg.norm(real.at[:, None] - world.POCKETS, axis=2).min(axis=1) > 0.1
            clear = {NAMES[ball] for ball in np.flatnonzero(real.is_on_table & far)}
            self.assertTrue(clear <= set(found) <= there, (clear, found, there))
            for name, place in found.items():
                away = np.linalg.norm(place - real.at[NAMES.index(name)]) * camera.SCALE
                self.assertLess(away, 1.5, name)

    def test_an_empty_table_has_no_balls(self):
        self.assertEqual(self.vision.find(self.camera.empty()), {})

    def test_games_are_told_as_they_really_went(self):
        real, game, told, now = world.World(seed=3), Game(), [], 0.0
        while game.shots < 4 and now < 90:
            real.advance(FRAME)
            now += FRAME
            told += game.see(self.vision.find(self.camera.take(real)), now)
            if not game.is_shot_over or game.is_cleared:
                continue
            if "cue" not in game.on_table:
                real.spot_cue_ball()
                continue
            shot = player.choose(game.on_table, is_break=game.shots == 0)
            game.expect_shot()
            real.strike(shot.angle, shot.speed)
        pocketed = {data["ball"] for event, data in told if event == "ball_pocketed"} - {"cue"}
        gone = {NAMES[ball] for ball in np.flatnonzero(~real.is_on_table)} - {"cue"}
        self.assertEqual(pocketed, gone)
        self.assertTrue(pocketed, "no ball was pocketed in four shots")
        self.assertEqual([event for event, _ in told].count("shot_taken"), 4)


if __name__ == "__main__":
    unittest.main()
