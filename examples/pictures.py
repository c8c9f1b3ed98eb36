"""Pictures that the examples leave behind."""

from __future__ import annotations

from collections.abc import Sequence
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
