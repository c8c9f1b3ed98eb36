"""Augmentation: what each transform does to an image, and that it depends on seed, epoch and batch alone."""

from __future__ import annotations

import numpy as np
import pytest

from autograd_core import nn
from autograd_core.errors import ArgumentError, DataError, DTypeError, ShapeError
from autograd_core.nn.data import ArrayDataset, DataLoader, augment

RNG = np.random.default_rng


def pictures(n: int = 40, channels: int = 2, size: tuple[int, int] = (6, 8)) -> np.ndarray:
    """No pixel is zero and no two are equal."""
    return np.linspace(1.0, 2.0, n * channels * size[0] * size[1], dtype=np.float32).reshape(n, channels, *size)


EVERY = [
    augment.RandomCrop(2),
    augment.RandomHorizontalFlip(),
    augment.RandomErasing(0.8),
    augment.Cutout(3),
    augment.RandomAffine(20, 0.1, (0.8, 1.2)),
    augment.MixUp(0.4, 5),
    augment.Normalize([0.1, 0.2], [1.0, 2.0]),
]
EVERY.append(augment.Compose(*EVERY))


@pytest.mark.parametrize("transform", EVERY, ids=lambda t: type(t).__name__)
def test_it_depends_on_seed_epoch_and_batch_alone(transform):
    dataset = ArrayDataset(pictures(), np.arange(40) % 5)

    def loader(**options: int) -> DataLoader:
        return DataLoader(dataset, batch_size=7, shuffle=True, seed=3, transform=transform, **options)

    before = dataset.arrays[0].copy()
    straight = [batch for _ in range(2) for batch in [*loader().batches(0), *loader().batches(1)]]
    first = loader(prefetch=3)
    resumed = []
    for batch in first:
        resumed.append(batch)
        if len(resumed) == 4:
            break
    second = loader(prefetch=1)
    second.load_state_dict(first.state_dict())
    resumed += [*second, *second]
    assert len(resumed) == 12
    for (images, labels), (expected, wanted) in zip(resumed, straight):
        assert images.dtype == np.float32
        assert np.array_equal(images, expected)
        assert np.array_equal(labels, wanted)
    assert np.array_equal(dataset.arrays[0], before)


def test_a_crop_is_a_shift_within_the_padding_and_reaches_each():
    images = pictures(400, 1)
    (moved,) = augment.RandomCrop(1, fill=-1.0)((images,), RNG(0))
    padded = np.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-1.0)
    shifts = [(y, x) for y in range(3) for x in range(3)]
    found = [
        next(s for s in shifts if np.array_equal(moved[i], padded[i, :, s[0] : s[0] + 6, s[1] : s[1] + 8]))
        for i in range(400)
    ]
    assert min(found.count(s) for s in shifts) > 20


def test_a_flip_mirrors_the_share_asked_for():
    images = pictures(300)
    (flipped,) = augment.RandomHorizontalFlip(0.3)((images,), RNG(0))
    mirrored = (flipped == images[..., ::-1]).all(axis=(1, 2, 3))
    assert ((flipped == images).all(axis=(1, 2, 3)) != mirrored).all()
    assert 60 < mirrored.sum() < 120
    assert np.array_equal(augment.RandomHorizontalFlip(1.0)((images,), RNG(0))[0], images[..., ::-1])


@pytest.mark.parametrize(
    "transform", [augment.RandomErasing(1.0, (0.1, 0.4)), augment.Cutout(3)], ids=["erasing", "cutout"]
)
def test_what_is_overwritten_is_one_rectangle_in_all_channels(transform):
    images = pictures(200)
    (found,) = transform((images,), RNG(0))
    erased = found == 0.0
    assert np.array_equal(found[~erased], images[~erased])
    assert np.array_equal(erased[:, 0], erased[:, 1])
    areas = erased[:, 0].sum(axis=(1, 2))
    sides = erased[:, 0].any(axis=2).sum(axis=1), erased[:, 0].any(axis=1).sum(axis=1)
    assert np.array_equal(areas, sides[0] * sides[1])
    if isinstance(transform, augment.Cutout):
        assert (areas.min(), areas.max()) == (4, 9)  # at a corner, and inside
    else:
        assert areas.min() >= 2
        assert areas.max() <= 24
        assert len(set(zip(*(side.tolist() for side in sides)))) > 10
    places = erased[:, 0].mean(axis=0)
    assert places.min() > 0.02  # everywhere in the image


def test_erasing_leaves_the_others_alone():
    images = pictures(300)
    (found,) = augment.RandomErasing(0.25)((images,), RNG(0))
    assert 45 < (found != images).any(axis=(1, 2, 3)).sum() < 110


def test_normalize_by_channel():
    images = pictures(50)
    mean, std = images.mean(axis=(0, 2, 3)), images.std(axis=(0, 2, 3))
    (found,) = augment.Normalize(mean, std)((images,), RNG(0))
    assert found.dtype == np.float32
    assert np.allclose(found.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    assert np.allclose(found.std(axis=(0, 2, 3)), 1, atol=1e-5)


def test_sampling_between_pixels_is_that_of_scipy():
    ndimage = pytest.importorskip("scipy.ndimage", reason="the judge is SciPy (comes with scikit-learn)")
    images = pictures(5).astype(np.float64)
    y, x = RNG(0).uniform(-4, 11, (2, 5, 6, 8))
    found = augment._sampled(images, y, x, 0.5)
    for i in range(5):
        for channel in range(2):
            expected = ndimage.map_coordinates(
                images[i, channel], [y[i], x[i]], order=1, mode="grid-constant", cval=0.5
            )
            assert np.allclose(found[i, channel], expected, rtol=0, atol=1e-12)


def test_affine_shifts_turns_and_scales_about_the_centre():
    images = np.zeros((500, 1, 9, 9), np.float32)
    images[:, 0, 4, 6] = 1.0  # two to the right of the centre

    def mass(transform: augment.RandomAffine) -> tuple[np.ndarray, np.ndarray]:
        (found,) = transform((images,), RNG(0))
        total = found.sum(axis=(1, 2, 3))
        rows, columns = np.mgrid[:9, :9] - 4.0
        return (found[:, 0] * rows).sum(axis=(1, 2)) / total, (found[:, 0] * columns).sum(axis=(1, 2)) / total

    y, x = mass(augment.RandomAffine(translate=0.2))
    assert np.abs(y).max() <= 1.8 + 1e-4
    assert np.abs(x - 2).max() <= 1.8 + 1e-4
    assert min(np.ptp(y), np.ptp(x)) > 3.0
    y, x = mass(augment.RandomAffine(degrees=90))
    assert np.allclose(np.hypot(y, x), 2, atol=0.25)
    angle = np.rad2deg(np.arctan2(y, x))
    assert np.abs(angle).max() <= 90.1
    assert min(angle.max(), -angle.min()) > 80
    y, x = mass(augment.RandomAffine(scale=(0.5, 2.0)))
    assert np.allclose(y, 0, atol=1e-4)
    assert x.min() >= 1 - 1e-4
    assert x.max() <= 4 + 1e-4
    assert np.ptp(x) > 2


def test_mixup_mixes_classes_as_it_mixes_images():
    images, labels = pictures(16), np.arange(16) % 4
    mixed, shares = augment.MixUp(1.0, 4)((images, labels), RNG(1))
    assert np.allclose(shares.sum(axis=1), 1)
    share = max(shares[0].max(), 1 - shares[0].max())
    assert 0.5 <= share < 1
    for i in range(16):
        candidates = [
            j
            for j in range(16)
            for s in (share, 1 - share)
            if np.allclose(mixed[i], s * images[i] + (1 - s) * images[j], atol=1e-5)
        ]
        assert candidates
        assert any(shares[i, labels[j]] > 0 for j in candidates)
    loss = nn.functional.cross_entropy(nn.Linear(96, 4)(mixed.reshape(16, -1)), shares)
    assert np.isfinite(float(loss))


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (2, 1, 0, 4), (2, 0, 4, 4)])
def test_nothing_becomes_nothing(shape):
    every = augment.Compose(
        augment.RandomCrop(1),
        augment.RandomHorizontalFlip(),
        augment.RandomErasing(),
        augment.Cutout(2),
        augment.RandomAffine(10, 0.1, (0.5, 2.0)),
        augment.Normalize(0.5, 0.5),
        augment.MixUp(0.5, 3),
    )
    images, shares = every((np.zeros(shape, np.float32), np.zeros(shape[0], int)), RNG(0))
    assert (images.shape, shares.shape) == (shape, (shape[0], 3))


BATCH = (pictures(4), np.arange(4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: augment.RandomCrop(-1), ArgumentError, "RandomCrop: padding must be an integer >= 0, got -1"),
        (lambda: augment.RandomHorizontalFlip(1.5), ArgumentError, "p must be a probability from 0 to 1, got 1.5"),
        (
            lambda: augment.RandomErasing(scale=(0.5, 0.1)),
            ArgumentError,
            "scale must be a pair 0 <= least <= most <= 1",
        ),
        (lambda: augment.RandomErasing(ratio=2), ArgumentError, r"ratio must be a pair \(least, most\), got 2"),
        (lambda: augment.Normalize(0.0, 0.0), ArgumentError, "standard deviations above 0"),
        (
            lambda: augment.RandomAffine(degrees=270),
            ArgumentError,
            "RandomAffine: degrees must be a number from 0 to 180, got 270",
        ),
        (lambda: augment.RandomAffine((0, 10)), ArgumentError, r"degrees must be a number .*, got \(0, 10\)"),
        (lambda: augment.RandomAffine(translate=float("nan")), ArgumentError, "translate must be a number from 0 to 1"),
        (lambda: augment.RandomCrop(1, "a"), ArgumentError, "RandomCrop: fill must be a number, got 'a'"),
        (lambda: augment.RandomErasing(value=None), ArgumentError, "RandomErasing: value must be a number, got None"),
        (lambda: augment.Cutout(2, "a"), ArgumentError, "Cutout: value must be a number, got 'a'"),
        (
            lambda: augment.Normalize("a", 1),
            ArgumentError,
            "Normalize takes one mean and standard deviation, .* 'a' and 1",
        ),
        (lambda: augment.Normalize([[0], [1, 2]], 1), ArgumentError, "Normalize takes one mean and standard deviation"),
        (lambda: augment.Normalize([], 1), ArgumentError, "Normalize needs finite means"),
        (lambda: augment.MixUp("a", 3), ArgumentError, "MixUp: alpha must be a number, got 'a'"),
        (
            lambda: augment.RandomCrop(1)(BATCH[0], RNG(0)),
            DataError,
            "takes a batch, a tuple such as .*, got a ndarray",
        ),
        (lambda: augment.RandomCrop(1)((), RNG(0)), DataError, "takes a batch, a tuple such as .*, got an empty one"),
        (
            lambda: augment.Compose(lambda batch, rng: None, augment.RandomCrop(1))(BATCH, RNG(0)),
            DataError,
            r"RandomCrop takes a batch, a tuple such as \(images, labels\), got a NoneType",
        ),
        (lambda: augment.MixUp(0, 3), ArgumentError, "alpha must be a number above 0"),
        (lambda: augment.Compose([augment.Cutout(2)]), ArgumentError, r"write Compose\(a, b, c\)"),
        (
            lambda: augment.Cutout(2)((BATCH[0][0], 1), RNG(0)),
            ShapeError,
            r"images \(B, C, H, W\), got shape \(2, 6, 8\)",
        ),
        (
            lambda: augment.Cutout(2)((np.ones((1, 1, 2, 2), np.uint8),), RNG(0)),
            DTypeError,
            "floating images, got uint8",
        ),
        (lambda: augment.Normalize([0, 0, 0], 1)(BATCH, RNG(0)), ShapeError, "3 means for images with 2 channels"),
        (lambda: augment.MixUp(1, 3)(BATCH, RNG(0)), DataError, "label 3 is not one of 3 classes, 0 to 2"),
        (
            lambda: augment.MixUp(1, 3)(BATCH[:1], RNG(0)),
            ShapeError,
            r"takes a batch \(images, labels\).*got no labels",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
