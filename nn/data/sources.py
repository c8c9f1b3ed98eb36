"""Datasets from their usual places: scikit-learn's digits, folders of IDX files, Fashion-MNIST."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from autograd_core.errors import ArgumentError, AutogradError, DataError

from .dataset import ArrayDataset
from .idx import read_idx
from .split import train_test_split

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
FASHION_MNIST_FOLDERS = ("data/fashion-mnist", "data/FashionMNIST/raw", "/usr/share/datasets/fashion-mnist")
_PREFIXES = {"train": "train", "test": "t10k"}
_WHERE = (
    "Fashion-MNIST comes with Debian's and Ubuntu's package dataset-fashion-mnist (in "
    "/usr/share/datasets/fashion-mnist) or from https://github.com/zalandoresearch/fashion-mnist"
)


class MissingPackageError(AutogradError, ImportError):
    """An optional package is needed and not installed; the message names the extra that brings it."""


def digits() -> tuple[ArrayDataset, ArrayDataset]:
    """Handwritten digits, offline, as (train, test): 1437 and 360 images of 8 x 8 pixels.

    images: ``(N, 1, 8, 8)`` float32 in [0, 1]; labels: ``(N,)`` int64 from 0 to 9. The split is fixed and stratified.
    The images are the test part of the UCI set "Optical Recognition of Handwritten Digits", as bundled with
    scikit-learn. Raises MissingPackageError (an ImportError) without scikit-learn, which the ``examples`` extra brings.

    >>> train, test = digits()  # doctest: +SKIP
    >>> train, test  # doctest: +SKIP
    (ArrayDataset(1437 items of float32[1, 8, 8], int64[]), ArrayDataset(360 items of float32[1, 8, 8], int64[]))
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingPackageError(
            "digits() reads the images bundled with scikit-learn, which is not installed here: "
            "pip install 'autograd-core[examples]'"
        ) from error
    bunch = load_digits()
    images = (bunch.images[:, None] / 16).astype(np.float32)
    labels = bunch.target.astype(np.int64)
    classes = [str(digit) for digit in range(10)]
    train, test = (
        ArrayDataset(images[part.indices], labels[part.indices], classes=classes)
        for part in train_test_split(ArrayDataset(labels), 0.2, stratify=labels, seed=0)
    )
    return train, test


def idx_folder(
    folder: str | os.PathLike[str], split: str = "train", *, classes: Sequence[str] | None = None
) -> ArrayDataset:
    """Images and labels from a folder laid out like MNIST's.

    Reads ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte`` for ``split="train"``, ``t10k-...`` for
    ``split="test"``; each may be gzip and end in ``.gz``, or have a dot for the second hyphen. images: ``(N, 1, H, W)``
    float32 in [0, 1]; labels: ``(N,)`` int64. Raises DataError when the folder or a file is missing or damaged, when
    there are not as many labels as images, or when a label has no name in ``classes``; ArgumentError for another split.

    >>> idx_folder("/usr/share/datasets/fashion-mnist", "test")  # doctest: +SKIP
    ArrayDataset(10000 items of float32[1, 28, 28], int64[])
    """
    if split not in _PREFIXES:
        raise ArgumentError(f"split must be 'train' or 'test', got {split!r}")
    place = Path(folder)
    if not place.is_dir():
        raise DataError(f"no folder {str(place)!r} to read {split} images from. {_WHERE}")
    images_path, images = _read_part(place, split, "images", 3)
    labels_path, labels = _read_part(place, split, "labels", 1)
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images)} images, but {labels_path} holds {len(labels)} labels: they do not "
            "belong together"
        )
    if classes is not None and labels.size and labels.max() >= len(classes):
        raise DataError(
            f"{labels_path}: label {labels.max()} at item {labels.argmax()}, but classes has {len(classes)}"
        )
    pixels = np.divide(images[:, None], np.float32(255), dtype=np.float32)
    return ArrayDataset(pixels, labels.astype(np.int64), classes=classes)


def fashion_mnist(folder: str | os.PathLike[str] | None = None) -> tuple[ArrayDataset, ArrayDataset]:
    """Fashion-MNIST as (train, test): 60,000 and 10,000 images of clothes, 28 x 28 pixels, 10 classes.

    images: ``(N, 1, 28, 28)`` float32 in [0, 1]; labels: ``(N,)`` int64; the names are in ``.classes``. Without
    ``folder``, looks in ``data/fashion-mnist`` and ``data/FashionMNIST/raw`` below the current folder, then in
    ``/usr/share/datasets/fashion-mnist``, where Debian's package dataset-fashion-mnist puts it. Nothing is downloaded.
    Raises DataError like :func:`idx_folder`.

    Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017.

    >>> train, test = fashion_mnist()  # doctest: +SKIP
    >>> train.classes[int(train[0][1])]  # doctest: +SKIP
    'Ankle boot'
    """
    if folder is None:
        folder = next((place for place in FASHION_MNIST_FOLDERS if Path(place).is_dir()), None)
    if folder is None:
        searched = ", ".join(FASHION_MNIST_FOLDERS)
        raise DataError(f"Fashion-MNIST is in none of the folders {searched}; name its folder. {_WHERE}")
    return (
        idx_folder(folder, "train", classes=FASHION_MNIST_CLASSES),
        idx_folder(folder, "test", classes=FASHION_MNIST_CLASSES),
    )


def _read_part(folder: Path, split: str, part: str, axes: int) -> tuple[Path, np.ndarray]:
    stem = f"{_PREFIXES[split]}-{part}"
    names = [f"{stem}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"no {split} {part} in the folder {str(folder)!r}; looked for {', '.join(names)}. {_WHERE}")
    values = read_idx(path)
    if values.ndim != axes or values.dtype != np.uint8:
        raise DataError(f"{path}: expected uint8 {part} with {axes} axes, got {values.dtype} of shape {values.shape}")
    return path, values
