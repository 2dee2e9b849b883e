"""A camera above the table: what it sees becomes JPEG images, and nothing else leaves it."""

import io

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

import world

SCALE = 256  # pixels per metre
MARGIN = 26  # pixels of wood around the cloth
SIZE = (round(world.WIDTH * SCALE) + 2 * MARGIN, round(world.HEIGHT * SCALE) + 2 * MARGIN)
COLOURS = {
    "cue": (246, 243, 232),
    "1": (244, 196, 20),
    "2": (24, 72, 200),
    "3": (212, 30, 36),
    "4": (236, 100, 170),
    "5": (244, 128, 24),
    "6": (80, 206, 232),
    "7": (122, 60, 24),
    "8": (18, 18, 20),
}
_CLOTH, _WOOD, _POCKET = (28, 122, 84), (84, 50, 30), (12, 12, 12)
_SHARP = 4
_DARK = 8


def pixel(at):
    """Where a place of the table is in the image."""
    return MARGIN + np.asarray(at) * SCALE


def _table():
    large = tuple(_SHARP * side for side in SIZE)
    image = Image.new("RGB", large, _WOOD)
    draw = ImageDraw.Draw(image)
    edge = _SHARP * MARGIN
    draw.rectangle((edge, edge, large[0] - edge, large[1] - edge), _CLOTH)
    for pocket in world.POCKETS:
        x, y = _SHARP * pixel(pocket)
        radius = _SHARP * 0.058 * SCALE
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), _POCKET)
    return image.resize(SIZE, Image.Resampling.LANCZOS)


def _ball(colour):
    """A ball and its outline, with a soft light on it."""
    side = 2 * round(world.RADIUS * SCALE) + 2
    large, radius = side * _SHARP, world.RADIUS * SCALE * _SHARP
    middle = large / 2
    outline = Image.new("L", (large, large), 0)
    round_at = lambda x, y, r: (x - r, y - r, x + r, y + r)
    ImageDraw.Draw(outline).ellipse(round_at(middle, middle, radius), 255)
    light = Image.new("L", (large, large), 0)
    ImageDraw.Draw(light).ellipse(round_at(middle * 0.78, middle * 0.74, radius * 0.24), 150)
    light = light.filter(ImageFilter.GaussianBlur(radius * 0.1))
    ball = Image.composite(Image.new("RGB", (large, large), "white"), Image.new("RGB", (large, large), colour), light)
    return tuple(part.resize((side, side), Image.Resampling.LANCZOS) for part in (ball, outline))


class Camera:
    def __init__(self, seed=0):
        self._table = _table()
        self._balls = [_ball(colour) for colour in COLOURS.values()]
        # The sensor's noise, drawn once: another part of it is taken each time.
        noise = np.random.default_rng(seed).normal(_DARK, 2.0, (SIZE[1] + 16, SIZE[0] + 16))
        self._noise = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).convert("RGB")
        self._taken = 0

    def empty(self):
        """The table without balls, by which those that are on it are found."""
        return self._jpeg(self._table)

    def take(self, real):
        image = self._table.copy()
        for ball in np.flatnonzero(real.is_on_table):
            sprite, outline = self._balls[ball]
            x, y = np.round(pixel(real.at[ball]) - sprite.width / 2).astype(int)
            image.paste(sprite, (x, y), outline)
        return self._jpeg(image)

    def _jpeg(self, image):
        self._taken += 1
        shift = self._taken * 7 % 16
        noise = self._noise.crop((shift, shift, shift + SIZE[0], shift + SIZE[1]))
        noisy = ImageChops.add(image, noise, offset=-_DARK)
        jpeg = io.BytesIO()
        noisy.save(jpeg, "JPEG", quality=82)
        return jpeg.getvalue()
