"""Pictures that the examples leave behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from autograd_core.nn.training import History

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def learning_curves(history: History, path: Path) -> None:
    """Loss and accuracy by epoch, on training and validation data."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axis, quantity in zip(axes, ("loss", "accuracy"), strict=True):
        axis.plot(epochs, history[quantity], label="training")
        axis.plot(epochs, history[f"val_{quantity}"], label="held out")
        axis.set(xlabel="epoch", ylabel=quantity)
        axis.grid(alpha=0.3)
        axis.legend()
    axes[0].set_yscale("log")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def curves(series: Mapping[str, Sequence[float]], path: Path, *, x: str, y: str, log: bool = False) -> None:
    """One line for each name over 1, 2, ...; ``log``: on a logarithmic scale."""
    figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for name, values in series.items():
        axis.plot(range(1, len(values) + 1), values, label=name)
    axis.set(xlabel=x, ylabel=y, yscale="log" if log else "linear")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def grid(rows: Mapping[str, np.ndarray], path: Path, *, cmap: str = "gray_r") -> None:
    """Images in rows: each name's images ``(N, H, W)``, or ``(N, H, W, 3)`` in colour, side by side."""
    columns = max(len(images) for images in rows.values())
    size = (0.9 * columns + 1.5, 0.95 * len(rows))
    figure, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False, layout="constrained")
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for axis in line:
            axis.axis("off")
        for axis, image in zip(line, images, strict=False):
            axis.imshow(image, cmap=cmap)
        line[0].set_title(name, fontsize=8, loc="left")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def misclassified(
    images: np.ndarray,
    labels: np.ndarray,
    predictions: np.ndarray,
    path: Path,
    names: Sequence[str] | None = None,
    limit: int = 24,
) -> None:
    """The images (N, H, W) whose prediction is not their label, up to ``limit`` of them."""
    wrong = np.flatnonzero(predictions != labels)
    shown = wrong[:limit]
    rows = max(1, -(-len(shown) // 8))
    figure, axes = plt.subplots(rows, 8, figsize=(10, 1.6 * rows + 0.5), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, i in zip(axes.flat, shown, strict=False):
        axis.imshow(images[i], cmap="gray_r")
        said, meant = (names[k] if names else k for k in (predictions[i], labels[i]))
        axis.set_title(f"{said}, not {meant}", fontsize=8)
    figure.suptitle(f"{len(wrong)} of {len(labels)} misclassified")
    figure.savefig(path, dpi=120)
    plt.close(figure)
