"""The table as it really is: balls that roll, hit each other and the cushions, and fall.

Lengths are metres, times are seconds. Nothing outside the camera and the cue looks in here.
"""

import numpy as np

WIDTH, HEIGHT = 2.24, 1.12
RADIUS = 0.0286
POCKETS = np.array([
    (0, 0), (WIDTH / 2, -0.012), (WIDTH, 0), (0, HEIGHT), (WIDTH / 2, HEIGHT + 0.012), (WIDTH, HEIGHT)
])
POCKET_RADIUS = 0.062
BALLS = 9  # The first is the cue ball.
HEAD = np.array([WIDTH * 0.25, HEIGHT / 2])
FOOT = np.array([WIDTH * 0.72, HEIGHT / 2])

_STEP = 1 / 480
_ROLLING = 0.28  # m/s²
_BALL_BOUNCE, _CUSHION_BOUNCE = 0.95, 0.78


class World:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.rack()

    def rack(self):
        """Eight balls in rows of one to three and a pair, and the cue ball at the head."""
        self.at = np.zeros((BALLS, 2))
        self.speed = np.zeros((BALLS, 2))
        self.is_on_table = np.ones(BALLS, bool)
        spots = [(row, place) for row, count in enumerate((1, 2, 3, 2)) for place in range(count)]
        gap = 2 * RADIUS + 0.0008
        for ball, spot in enumerate(self.random.permutation(len(spots)), 1):
            row, place = spots[spot]
            count = (1, 2, 3, 2)[row]
            offset = (row * gap * 0.87, (place - (count - 1) / 2) * gap)
            self.at[ball] = FOOT + offset + self.random.normal(0, 0.0002, 2)
        self.at[0] = HEAD

    def spot_cue_ball(self):
        """Puts the cue ball back, where there is room."""
        others = self.at[1:][self.is_on_table[1:]]
        places = [HEAD + (0, y) for y in np.linspace(0, 0.35, 8)] + [HEAD + (0.2, 0)]
        free = lambda place: all(np.linalg.norm(others - place, axis=1) > 2.2 * RADIUS)
        self.at[0] = next(filter(free, places), places[-1])
        self.speed[0] = 0
        self.is_on_table[0] = True

    def strike(self, angle, speed):
        self.speed[0] = speed * np.array([np.cos(angle), np.sin(angle)])

    @property
    def is_at_rest(self):
        return not self.speed[self.is_on_table].any()

    def advance(self, seconds):
        for _ in range(round(seconds / _STEP)):
            if self.is_at_rest:
                return
            self._step()

    def _step(self):
        self.at += self.speed * _STEP
        pace = np.linalg.norm(self.speed, axis=1, keepdims=True)
        self.speed *= np.maximum(pace - _ROLLING * _STEP, 0) / np.maximum(pace, 1e-9)
        self._fall()
        self._cushions()
        self._collide()

    def _fall(self):
        distances = np.linalg.norm(self.at[:, None] - POCKETS, axis=2).min(axis=1)
        fallen = self.is_on_table & (distances < POCKET_RADIUS)
        self.is_on_table &= ~fallen
        self.speed[fallen] = 0
        self.at[fallen] = -1

    def _cushions(self):
        for axis, end in ((0, WIDTH), (1, HEIGHT)):
            at, speed = self.at[:, axis], self.speed[:, axis]
            low = self.is_on_table & (at < RADIUS) & (speed < 0)
            high = self.is_on_table & (at > end - RADIUS) & (speed > 0)
            speed[low | high] *= -_CUSHION_BOUNCE

    def _collide(self):
        balls = np.flatnonzero(self.is_on_table)
        apart = self.at[balls][:, None] - self.at[balls]
        near = np.triu((apart**2).sum(axis=2) < (2 * RADIUS) ** 2, 1)
        for first, second in zip(*np.nonzero(near)):
            a, b = balls[first], balls[second]
            normal = apart[first, second] / max(np.linalg.norm(apart[first, second]), 1e-9)
            closing = (self.speed[b] - self.speed[a]) @ normal
            if closing > 0:
                change = (1 + _BALL_BOUNCE) / 2 * closing * normal
                self.speed[a] += change
                self.speed[b] -= change
