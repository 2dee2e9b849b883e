"""A small diffusion model that draws digits of 8 by 8 pixels.

A network of two hidden layers learns to name the noise that was added to an image. Drawing begins
with noise alone and takes a part of what the network names away, step by step.
"""

import numpy as np

PIXELS = 64
DIGITS = 10
NOISE_STEPS = 60
WAVES = 8


def _schedule():
    """How much of an image is left after each step of noise: a cosine, from nearly all to none."""
    at = (np.arange(NOISE_STEPS + 1) / NOISE_STEPS + 0.008) / 1.008
    left = np.cos(at * np.pi / 2) ** 2
    beta = np.clip(1 - left[1:] / left[:-1], 0, 0.999).astype(np.float32)
    return beta, np.cumprod(1 - beta)


BETA, LEFT = _schedule()


def _describe(noisy, steps, digits):
    """What the network sees: the pixels, the step as waves, the digit as one of ten."""
    angles = steps[:, None] / NOISE_STEPS * np.pi * 2.0 ** np.arange(WAVES)
    seen = [noisy, np.sin(angles), np.cos(angles), np.eye(DIGITS)[digits]]
    return np.concatenate(seen, axis=1, dtype=np.float32)


class Model:
    """The network, and Adam, which trains it."""

    def __init__(self, seed, hidden=256, learning_rate=2e-3):
        self.random = np.random.default_rng(seed)
        self.learning_rate = learning_rate
        sizes = [PIXELS + 2 * WAVES + DIGITS, hidden, hidden, PIXELS]
        shapes = []
        for before, after in zip(sizes, sizes[1:]):
            shapes += [(before, after), (after,)]
        # One array, of which the layers are views: Adam goes over it in one sweep.
        self.all = np.zeros(sum(int(np.prod(shape)) for shape in shapes), np.float32)
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        views = [part.reshape(s) for part, s in zip(np.split(self.all, ends), shapes)]
        self.layers = list(zip(views[0::2], views[1::2]))
        for weights, _ in self.layers:
            weights[:] = self._normal(weights.shape) * np.sqrt(2 / len(weights))
        self.mean, self.square = np.zeros_like(self.all), np.zeros_like(self.all)
        self.steps = 0

    def _normal(self, shape):
        return self.random.standard_normal(shape, np.float32)

    def _forward(self, seen):
        """The values in front of each layer, and behind the last."""
        values = [seen]
        for weights, bias in self.layers:
            value = values[-1] @ weights + bias
            is_last = len(values) == len(self.layers)
            values.append(value if is_last else np.maximum(value, 0.01 * value))
        return values

    def _noisy(self, images):
        steps = self.random.integers(0, NOISE_STEPS, len(images))
        noise = self._normal(images.shape)
        left = LEFT[steps][:, None]
        return np.sqrt(left) * images + np.sqrt(1 - left) * noise, noise, steps

    def loss(self, images, digits):
        """The mean squared error on images that it need not have seen."""
        noisy, noise, steps = self._noisy(images)
        return float(np.mean((self._forward(_describe(noisy, steps, digits))[-1] - noise) ** 2))

    def train(self, images, digits):
        """One step of training; the loss before it."""
        noisy, noise, steps = self._noisy(images)
        values = self._forward(_describe(noisy, steps, digits))
        error = values[-1] - noise
        slope = 2 * error / error.size
        gradients = []
        for (weights, _), value in reversed(list(zip(self.layers, values))):
            gradients = [(value.T @ slope).ravel(), slope.sum(axis=0), *gradients]
            slope = slope @ weights.T
            slope = np.where(value > 0, slope, 0.01 * slope)
        self._adam(np.concatenate(gradients))
        return float(np.mean(error**2))

    def _adam(self, gradient):
        self.steps += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.001 * (gradient**2 - self.square)
        unbiased = self.mean / (1 - 0.9**self.steps)
        scale = np.sqrt(self.square / (1 - 0.999**self.steps)) + 1e-8
        self.all -= self.learning_rate * unbiased / scale

    def draw(self, digits, on_progress=lambda step, max_step: None):
        """One image for each digit, with values from -1 to 1."""
        digits = np.asarray(digits)
        image = self._normal((len(digits), PIXELS))
        for step in reversed(range(NOISE_STEPS)):
            at = np.full(len(digits), step)
            noise = self._forward(_describe(image, at, digits))[-1]
            # The image that the noise leaves, kept in range, then noised again for one step less.
            clean = np.clip((image - np.sqrt(1 - LEFT[step]) * noise) / np.sqrt(LEFT[step]), -1, 1)
            before = LEFT[step - 1] if step > 0 else 1.0
            of_clean = np.sqrt(before) * BETA[step] / (1 - LEFT[step])
            of_image = np.sqrt(1 - BETA[step]) * (1 - before) / (1 - LEFT[step])
            spread = np.sqrt(BETA[step] * (1 - before) / (1 - LEFT[step]))
            image = of_clean * clean + of_image * image + spread * self._normal(image.shape)
            on_progress(NOISE_STEPS - step, NOISE_STEPS)
        return np.clip(image, -1, 1)
