"""Random changes of image batches, as transforms of the DataLoader: ``DataLoader(..., transform=RandomCrop(4))``.

Each takes a batch ``(images, ...)``, images (B, C, H, W) floating, and the loader's generator, and returns a new batch
of the same shapes; other fields pass through, except in MixUp. All images of a batch are changed at once. The generator
is made from (seed, epoch, number of the batch): what an image becomes does not depend on prefetching, on what was drawn
before, or on whether the training was interrupted and resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autograd_core.errors import ArgumentError, DataError, DTypeError, ShapeError

from .checks import integer, number
from .loader import Transform

Batch = tuple[Any, ...]


class Compose:
    """One transform after the other, on the same generator.

    >>> augment = Compose(RandomCrop(2), RandomHorizontalFlip())
    >>> images, labels = augment((np.zeros((3, 1, 8, 8), np.float32), np.arange(3)), np.random.default_rng(0))
    >>> images.shape, labels
    ((3, 1, 8, 8), array([0, 1, 2]))
    """

    def __init__(self, *transforms: Transform) -> None:
        if wrong := [t for t in transforms if not callable(t)]:
            raise ArgumentError(f"Compose takes functions of (batch, rng), got {wrong[0]!r}; write Compose(a, b, c)")
        self.transforms = transforms

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        for transform in self.transforms:
            batch = transform(batch, rng)
        return batch


class RandomCrop:
    """Pad each image by ``padding`` pixels of value ``fill`` on every side, and cut its size out at a random place.

    >>> image = np.arange(1.0, 10.0, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> (moved,) = RandomCrop(1)((image,), np.random.default_rng(1))
    >>> moved[0, 0]
    array([[2., 3., 0.],
           [5., 6., 0.],
           [8., 9., 0.]], dtype=float32)
    """

    def __init__(self, padding: int, fill: float = 0.0) -> None:
        self.padding, self.fill = integer("RandomCrop: padding", padding, 0), number("RandomCrop: fill", fill)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        images = _images("RandomCrop", batch)
        p, (height, width) = self.padding, images.shape[2:]
        padded = np.pad(images, [(0, 0), (0, 0), (p, p), (p, p)], constant_values=self.fill)
        places = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        down, right = (rng.random((2, len(images))) * (2 * p + 1)).astype(np.intp)
        return (places[np.arange(len(images)), :, down, right], *batch[1:])


class RandomHorizontalFlip:
    """Mirror each image, left to right, with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability("RandomHorizontalFlip", p)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        images = _images("RandomHorizontalFlip", batch)
        chosen = rng.random(len(images)) < self.p
        return (np.where(chosen[:, None, None, None], images[..., ::-1], images), *batch[1:])


class RandomErasing:
    """With probability p, overwrite a rectangle of each image with ``value``.

    scale: the range of the rectangle's share of the image; ratio: that of its height over its width, even on a
    logarithmic scale. Zhong et al., Random Erasing Data Augmentation, 2020.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float = 0.0,
    ) -> None:
        self.p, self.value = _probability("RandomErasing", p), number("RandomErasing: value", value)
        self.scale = _range("RandomErasing: scale", scale, 0.0, 1.0)
        self.ratio = _range("RandomErasing: ratio", ratio, 1e-3, 1e3)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        images = _images("RandomErasing", batch)
        rows, columns = images.shape[2:]
        chosen, share, form, down, right = rng.random((5, len(images)))
        area = _between(share, self.scale) * rows * columns
        ratio = np.exp(_between(form, np.log(self.ratio)))
        height = np.clip(np.rint(np.sqrt(area * ratio)), 1, rows)
        width = np.clip(np.rint(np.sqrt(area / ratio)), 1, columns)
        top, left = np.floor(down * (rows - height + 1)), np.floor(right * (columns - width + 1))
        height = np.where(chosen < self.p, height, 0)
        return (_overwritten(images, top, height, left, width, self.value), *batch[1:])


class Cutout:
    """Overwrite a square of ``size`` pixels, centred anywhere in the image, with ``value``.

    What lies beyond the border is left off. DeVries and Taylor, Improved Regularization of Convolutional Neural
    Networks with Cutout, 2017.
    """

    def __init__(self, size: int, value: float = 0.0) -> None:
        self.size, self.value = integer("Cutout: size", size, 1), number("Cutout: value", value)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        images = _images("Cutout", batch)
        down, right = rng.random((2, len(images)))
        top = np.floor(down * images.shape[2]) - self.size // 2
        left = np.floor(right * images.shape[3]) - self.size // 2
        return (_overwritten(images, top, self.size, left, self.size, self.value), *batch[1:])


class Normalize:
    """(x - mean) / std, with one mean and standard deviation for all channels or one a channel. Nothing is random.

    >>> (images,) = Normalize(0.5, 0.25)((np.ones((1, 1, 2, 2), np.float32),), np.random.default_rng(0))
    >>> images[0, 0, 0, 0]
    np.float32(2.0)
    """

    def __init__(self, mean: ArrayLike, std: ArrayLike) -> None:
        try:
            self.mean, self.std = (np.asarray(x, np.float64).reshape(-1, 1, 1) for x in (mean, std))
        except (TypeError, ValueError):
            raise ArgumentError(
                f"Normalize takes one mean and standard deviation, or one a channel, got {mean!r} and {std!r}"
            ) from None
        if (
            not self.mean.size
            or not self.std.size
            or not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all())
        ):
            raise ArgumentError(
                f"Normalize needs finite means and standard deviations above 0, got {mean!r} and {std!r}"
            )

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        images = _images("Normalize", batch)
        for name, values in (("means", self.mean), ("standard deviations", self.std)):
            if len(values) not in (1, images.shape[1]):
                raise ShapeError(f"Normalize has {len(values)} {name} for images with {images.shape[1]} channels")
        return ((images - self.mean.astype(images.dtype)) / self.std.astype(images.dtype), *batch[1:])


class RandomAffine:
    """Turn each image about its centre, scale and shift it, by random amounts; bilinear, with ``fill`` outside.

    degrees: turns by up to so many degrees either way. translate: shifts by up to this share of the height and of the
    width, each way. scale: the range of the factor, even on a logarithmic scale.

    >>> image = np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> (same,) = RandomAffine()((image,), np.random.default_rng(0))
    >>> bool((same == image).all())
    True
    """

    def __init__(
        self, degrees: float = 0.0, translate: float = 0.0, scale: tuple[float, float] = (1.0, 1.0), fill: float = 0.0
    ) -> None:
        self.degrees = number("RandomAffine: degrees", degrees, 0, 180)
        self.translate = number("RandomAffine: translate", translate, 0, 1)
        self.fill = number("RandomAffine: fill", fill)
        self.scale = _range("RandomAffine: scale", scale, 1e-2, 1e2)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        images = _images("RandomAffine", batch)
        rows, columns = images.shape[2:]
        turn, down, right, size = rng.random((4, len(images), 1, 1))
        angle = np.deg2rad(self.degrees) * (2 * turn - 1)
        factor = np.exp(_between(size, np.log(self.scale)))
        y = np.arange(rows)[:, None] - (rows - 1) / 2 - self.translate * rows * (2 * down - 1)
        x = np.arange(columns) - (columns - 1) / 2 - self.translate * columns * (2 * right - 1)
        # Each pixel of the result asks where it comes from: the inverse of the map.
        cosine, sine = np.cos(angle) / factor, np.sin(angle) / factor
        source_y = cosine * y + sine * x + (rows - 1) / 2
        source_x = cosine * x - sine * y + (columns - 1) / 2
        return (_sampled(images, source_y, source_x, self.fill), *batch[1:])


class MixUp:
    """Mix each image with another of its batch, and their classes in the same shares.

    share ~ Beta(alpha, alpha), one for a batch. Labels (B,) of ``num_classes`` classes become probabilities
    (B, num_classes), as ``cross_entropy`` takes them. Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018.

    >>> images = np.stack([np.zeros((1, 2, 2), np.float32), np.ones((1, 2, 2), np.float32)])
    >>> mixed, shares = MixUp(0.4, num_classes=2)((images, np.array([0, 1])), np.random.default_rng(0))
    >>> bool(np.allclose(mixed[:, 0, 0, 0], shares[:, 1]))
    True
    """

    def __init__(self, alpha: float, num_classes: int) -> None:
        self.alpha, self.num_classes = number("MixUp: alpha", alpha), integer("MixUp: num_classes", num_classes, 2)
        if not 0 < self.alpha < float("inf"):
            raise ArgumentError(f"MixUp: alpha must be a number above 0, got {alpha!r}")

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        images = _images("MixUp", batch)
        labels = np.asarray(batch[1]) if len(batch) > 1 else None
        if labels is None or labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            given = "no labels" if labels is None else f"{labels.dtype} of shape {labels.shape}"
            raise ShapeError(f"MixUp takes a batch (images, labels) with integer labels (B,), got {given}")
        if labels.size and not 0 <= labels.min() <= labels.max() < self.num_classes:
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise DataError(
                f"MixUp: label {wrong} is not one of {self.num_classes} classes, 0 to {self.num_classes - 1}"
            )
        share = images.dtype.type(rng.beta(self.alpha, self.alpha))
        other = np.argsort(rng.random(len(images)), kind="stable")
        classes = np.eye(self.num_classes, dtype=images.dtype)[labels]
        mixed = (share * field + (1 - share) * field[other] for field in (images, classes))
        return (*mixed, *batch[2:])


def _images(owner: str, batch: Batch) -> np.ndarray:
    if not isinstance(batch, tuple | list) or not len(batch):
        given = "an empty one" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"
        raise DataError(f"{owner} takes a batch, a tuple such as (images, labels), got {given}")
    images = np.asarray(batch[0])
    if images.ndim != 4:
        raise ShapeError(f"{owner} takes a batch whose first field is images (B, C, H, W), got shape {images.shape}")
    if images.dtype.kind != "f":
        raise DTypeError(f"{owner} takes floating images, got {images.dtype}; write images.astype('float32') / 255")
    return images


def _overwritten(images: np.ndarray, top: Any, height: Any, left: Any, width: Any, value: float) -> np.ndarray:
    """Images with a rectangle of ``value`` in each; what lies outside the image is left off."""
    top, height, left, width = (np.asarray(x).reshape(-1, 1, 1) for x in (top, height, left, width))
    y, x = np.arange(images.shape[2])[:, None], np.arange(images.shape[3])
    inside = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
    return np.where(inside[:, None], images.dtype.type(value), images)


def _sampled(images: np.ndarray, y: np.ndarray, x: np.ndarray, fill: float) -> np.ndarray:
    """Images at real coordinates (B, H, W), each between four pixels; those outside have the value ``fill``."""
    count, channels, rows, columns = images.shape
    padded = np.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=fill)
    flat = padded.reshape(count, channels, (rows + 2) * (columns + 2))
    y, x = np.clip(y, -1, rows) + 1, np.clip(x, -1, columns) + 1  # beyond the frame all is fill
    top, left = np.minimum(y.astype(np.intp), rows), np.minimum(x.astype(np.intp), columns)
    down, right = ((v - v0).astype(images.dtype)[:, None] for v, v0 in ((y, top), (x, left)))
    corner = (top * (columns + 2) + left).reshape(count, 1, rows * columns)

    def at(step: int) -> np.ndarray:
        return np.take_along_axis(flat, corner + step, axis=2).reshape(images.shape)

    upper = at(0) * (1 - right) + at(1) * right
    lower = at(columns + 2) * (1 - right) + at(columns + 3) * right
    return upper * (1 - down) + lower * down


def _between(share: np.ndarray, bounds: Sequence[float] | np.ndarray) -> np.ndarray:
    return bounds[0] + share * (bounds[1] - bounds[0])


def _probability(owner: str, p: Any) -> float:
    if isinstance(p, bool) or not isinstance(p, int | float | np.number) or not 0 <= p <= 1:
        raise ArgumentError(f"{owner}: p must be a probability from 0 to 1, got {p!r}")
    return float(p)


def _range(what: str, bounds: Any, low: float, high: float) -> tuple[float, float]:
    try:
        first, last = (float(x) for x in bounds)
    except (TypeError, ValueError):
        raise ArgumentError(f"{what} must be a pair (least, most), got {bounds!r}") from None
    if not low <= first <= last <= high:
        raise ArgumentError(f"{what} must be a pair {low:g} <= least <= most <= {high:g}, got {bounds!r}")
    return first, last
