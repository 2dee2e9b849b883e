"""Finds the balls in an image, by their difference from the empty table and by their colours."""

import io

import numpy as np
from PIL import Image, ImageChops

import camera
import world

_DIFFERENT = 20  # in brightness
_ALIKE = 90  # the distance of two colours
_AREA = np.pi * (world.RADIUS * camera.SCALE) ** 2
_REACH = world.RADIUS * camera.SCALE + 1.5


def _decode(jpeg):
    return Image.open(io.BytesIO(jpeg)).convert("RGB")


class Vision:
    def __init__(self, empty):
        self._empty = _decode(empty)
        # A brown ball and the wood around the cloth look alike.
        self._is_cloth = np.zeros((self._empty.height, self._empty.width), bool)
        self._is_cloth[camera.MARGIN : -camera.MARGIN, camera.MARGIN : -camera.MARGIN] = True
        self._names = list(camera.COLOURS)
        self._colours = np.array(list(camera.COLOURS.values()), np.float32)

    def find(self, jpeg):
        """The balls that are seen: name → (x, y) in metres."""
        image = _decode(jpeg)
        different = ImageChops.difference(image, self._empty).convert("L")
        is_ball = np.asarray(different) > _DIFFERENT
        rows, columns = np.nonzero(is_ball & self._is_cloth)
        seen = np.asarray(image)[rows, columns].astype(np.float32)
        distances = np.linalg.norm(seen[:, None] - self._colours, axis=2)
        nearest = distances.argmin(axis=1)
        nearest[distances.min(axis=1) > _ALIKE] = -1
        places = np.column_stack([columns, rows]) + 0.5
        found = {}
        for ball, name in enumerate(self._names):
            place = self._centre(places[nearest == ball])
            if place is not None:
                found[name] = (place - camera.MARGIN) / camera.SCALE
        return found

    @staticmethod
    def _centre(places):
        """The middle of the pixels of one ball; edges of other balls may have its colour, too."""
        if len(places) < _AREA * 0.6:
            return None
        # Where they are densest, first roughly.
        cells, counts = np.unique(np.floor(places / _REACH), axis=0, return_counts=True)
        middle = (cells[counts.argmax()] + 0.5) * _REACH
        for reach in (1.5 * _REACH, _REACH, _REACH, _REACH):
            near = places[np.linalg.norm(places - middle, axis=1) < reach]
            if len(near) < _AREA * 0.6:
                return None
            middle = near.mean(axis=0)
        return middle
