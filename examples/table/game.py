"""What happens on the table, told from where the balls are seen and from nothing else."""

import math
from collections import deque

import numpy as np

import world

_STILL_FRAMES, _STILL_METRES = 8, 0.004
_MISSING_FRAMES = 5
_MOVED_METRES = 0.012
_NEAR_POCKET = 0.1
_AHEAD_SECONDS = 0.08


class Ball:
    """One ball as it was seen of late."""

    def __init__(self):
        self.seen = deque(maxlen=_STILL_FRAMES + 1)  # (time, place)
        self.missing = 0
        self.is_pocketed = self.is_lost = False

    @property
    def place(self):
        return self.seen[-1][1]

    @property
    def velocity(self):
        if len(self.seen) < 3 or self.missing:
            return np.zeros(2)
        (before, there), (now, here) = self.seen[-3], self.seen[-1]
        velocity = (here - there) / max(now - before, 1e-6)
        return velocity if np.linalg.norm(velocity) > 0.05 else np.zeros(2)

    @property
    def is_still(self):
        if len(self.seen) <= _STILL_FRAMES or self.missing:
            return False
        return np.linalg.norm(self.seen[-1][1] - self.seen[0][1]) < _STILL_METRES


class Game:
    """Follows the balls; `see` gives what happened as (event, data)."""

    def __init__(self):
        self.shots = 0
        self.begin()

    def begin(self):
        self.balls = {}
        self.pocketed = []
        self._began = None
        self._before_shot = None

    def see(self, found, now):
        events = []
        if self._began is None and len(found) == world.BALLS:
            self._began = now
            self.shots = 0
            self.balls = {name: Ball() for name in found}
            events.append(("game_started", {"balls": sorted(found)}))
        for name, ball in self.balls.items():
            events += self._follow(name, ball, found.get(name), now)
        events += self._shot()
        return events

    def _follow(self, name, ball, place, now):
        if place is not None:
            was_lost, ball.is_lost, ball.is_pocketed, ball.missing = ball.is_lost, False, False, 0
            if ball.seen and np.linalg.norm(place - ball.place) > 0.5:
                ball.seen.clear()  # It was put somewhere else.
            ball.seen.append((now, place))
            return [_alert("info", f"ball {name} is seen again", "BALL_FOUND")] if was_lost else []
        ball.missing += 1
        if ball.missing != _MISSING_FRAMES or ball.is_pocketed:
            return []
        pocket = self._pocket_ahead(ball)
        if pocket is None:
            ball.is_lost = True
            return [_alert("warning", f"ball {name} is not seen", "BALL_LOST")]
        ball.is_pocketed = True
        self.pocketed.append(name)
        events = [("ball_pocketed", {"ball": name, "pocket": pocket, "shot": self.shots})]
        if name == "cue":
            events.append(("foul", {"reason": "the cue ball was pocketed", "shot": self.shots}))
        return events

    @staticmethod
    def _pocket_ahead(ball):
        """The pocket that a ball was at, or rolling into, when it was last seen."""
        (before, there), (then, here) = ball.seen[max(-3, -len(ball.seen))], ball.seen[-1]
        ahead = (here - there) / max(then - before, 1e-6) * _AHEAD_SECONDS
        way = here + np.linspace(0, 1, 20)[:, None] * ahead
        distances = np.linalg.norm(way[:, None] - world.POCKETS, axis=2).min(axis=0)
        return int(distances.argmin()) if distances.min() < _NEAR_POCKET else None

    def _shot(self):
        """A shot begins when the cue ball leaves its place, and ends when all is still."""
        if self._before_shot is None or "cue" not in self.balls:
            return []
        places, is_told = self._before_shot
        moved = lambda name: (
            self.balls[name].is_pocketed
            or np.linalg.norm(self.balls[name].place - places[name]) > _MOVED_METRES
        )
        if not is_told:
            if not moved("cue"):
                return []
            self.shots += 1
            self._before_shot = (places, True)
            (before, there), (now, here) = list(self.balls["cue"].seen)[-2:]
            velocity = (here - there) / max(now - before, 1e-6)
            return [("shot_taken", {
                "shot": self.shots,
                "speed": round(float(np.linalg.norm(velocity)), 2),
                "angle": round(math.atan2(velocity[1], velocity[0]), 3),
            })]
        if not self.is_still:
            return []
        self._before_shot = None
        others = [name for name in places if name != "cue"]
        if any(map(moved, others)):
            return []
        return [("foul", {"reason": "no ball was touched", "shot": self.shots})]

    def expect_shot(self):
        places = {name: ball.place for name, ball in self.on_table.items()}
        self._before_shot = (places, False)

    @property
    def on_table(self):
        """Those that are in play, as far as can be seen."""
        is_gone = lambda ball: ball.is_pocketed or ball.is_lost or not ball.seen
        return {name: ball for name, ball in self.balls.items() if not is_gone(ball)}

    @property
    def is_still(self):
        return bool(self.balls) and all(ball.is_still for ball in self.on_table.values())

    @property
    def is_shot_over(self):
        return self.is_still and self._before_shot is None

    @property
    def is_cleared(self):
        return bool(self.balls) and set(self.on_table) <= {"cue"}

    def ended(self, now):
        data = {"shots": self.shots, "pocketed": self.pocketed, "seconds": round(now - self._began, 1)}
        return ("game_ended", data)

    def state(self):
        """The `state` event's data."""
        balls = []
        for name, ball in self.on_table.items():
            (x, y), (vx, vy) = ball.place, ball.velocity
            balls.append({
                "id": name,
                "x": round(float(x), 4),
                "y": round(float(y), 4),
                "vx": round(float(vx), 3),
                "vy": round(float(vy), 3),
                "is_visible": ball.missing == 0,
            })
        return {"balls": balls, "pocketed": self.pocketed, "shots": self.shots, "is_still": self.is_still}


def _alert(level, message, code):
    return ("alert", {"level": level, "message": message, "code": code, "details": {}})
