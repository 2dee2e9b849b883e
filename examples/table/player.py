"""Chooses a shot from where the balls were seen."""

import math
from dataclasses import dataclass

import numpy as np

import world

_BREAK_SPEED = 5.0
_CUT_MAX = math.radians(68)


@dataclass
class Shot:
    angle: float
    speed: float
    target: str
    pocket: int | None
    lines: list

    def trajectory(self, swing):
        """The `trajectory` event's data; `swing` says how far the cue is drawn back, 0 to 1."""
        lines = [{"ball": ball, "points": np.round(points, 4).tolist()} for ball, points in self.lines]
        return {
            "angle": round(self.angle, 4),
            "speed": round(self.speed, 2),
            "target": self.target,
            "pocket": self.pocket,
            "swing": round(swing, 3),
            "lines": lines,
        }


def choose(balls, is_break):
    """The easiest shot into a pocket, or else straight at the nearest ball."""
    places = {name: ball.place for name, ball in balls.items()}
    cue = places.pop("cue")
    if not is_break:
        shots = [_into(cue, name, places, pocket) for name in places for pocket in range(6)]
        best = min(filter(None, shots), key=lambda rated: rated[0], default=None)
        if best is not None:
            return best[1]
    nearest = min(places, key=lambda name: np.linalg.norm(places[name] - cue))
    angle = _angle(places[nearest] - cue)
    ghost = places[nearest] - 2 * world.RADIUS * _unit(places[nearest] - cue)
    speed = _BREAK_SPEED if is_break else 2.2
    return Shot(angle, speed, nearest, None, [("cue", [cue, ghost])])


def _into(cue, name, places, pocket):
    """How hard it is to play a ball into a pocket, and how; None where something is in the way."""
    ball, hole = places[name], world.POCKETS[pocket]
    ghost = ball - 2 * world.RADIUS * _unit(hole - ball)
    cut = abs(_turn(_angle(hole - ball) - _angle(ghost - cue)))
    others = [place for other, place in places.items() if other != name]
    if cut > _CUT_MAX or _is_blocked(cue, ghost, others) or _is_blocked(ball, hole, others):
        return None
    first, second = np.linalg.norm(ghost - cue), np.linalg.norm(hole - ball)
    speed = min(1.1 + math.sqrt(0.9 * (second / math.cos(cut) ** 2 + first)), 4.5)
    # What is left to the cue ball goes on along the tangent.
    side = _unit(ghost - cue) - _unit(hole - ball) * math.cos(cut)
    after = [("cue", [ghost, ghost + side * 0.45])] if cut > 0.05 else []
    lines = [("cue", [cue, ghost]), (name, [ball, hole]), *after]
    return cut + 0.6 * first + 0.9 * second, Shot(_angle(ghost - cue), speed, name, pocket, lines)


def _is_blocked(start, end, others):
    way = end - start
    length = max(np.linalg.norm(way), 1e-9)
    for other in others:
        along = np.clip((other - start) @ way / length**2, 0, 1)
        if np.linalg.norm(other - start - along * way) < 2.1 * world.RADIUS:
            return True
    return False


def _unit(way):
    return way / max(np.linalg.norm(way), 1e-9)


def _angle(way):
    return math.atan2(way[1], way[0])


def _turn(angle):
    return (angle + math.pi) % (2 * math.pi) - math.pi
