"""A denoising autoencoder of Fashion-MNIST beside a plain one: whose codes serve a linear classifier better?

    python examples/denoising_autoencoder.py [--corruption 0.15] [--runs 3]

Both have one shape and learn from the same 2,000 images, without labels; then logistic regression learns the labels
from their codes, as regularized as cross-validation on those images prefers. Vincent et al., 2008.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import common
import numpy as np
import pictures
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.models import Autoencoder
from autograd_core.nn.training import fit

SIZES = (784, 500)
IMAGES = 2000
Loss = Callable[[ag.Tensor, ag.Tensor], ag.Tensor]


def reconstruction(outputs: ag.Tensor, images: ag.Tensor) -> ag.Tensor:
    """The cross-entropy of the pixels, in nats an image; the outputs are logits."""
    return nn.functional.binary_cross_entropy_with_logits(outputs, images) * images.shape[1]


def trained(
    args: Namespace,
    images: np.ndarray,
    seed: int,
    *,
    corruption: float = 0.0,
    loss_of: Callable[[Autoencoder], Loss] = lambda model: reconstruction,
) -> Autoencoder:
    """An autoencoder with one layer of sigmoid codes and tied weights, trained on the images."""
    ag.random.seed(seed)
    sizes = (784, 32) if args.quick else SIZES
    model = Autoencoder(sizes, code_activation=nn.Sigmoid, output=None, tied=True, corruption=corruption)
    model.to(args.device)
    loader = DataLoader(ArrayDataset(images, images), 128, shuffle=True, seed=seed, drop_last=True)
    rate = optim.schedules.cosine(1e-2, args.epochs * len(loader))
    fit(
        model,
        loader,
        loss=loss_of(model),
        optimizer=optim.Adam(model.parameters(), lr=rate),
        epochs=args.epochs,
        compile=args.compile,
        progress=False,
    )
    return model.eval()


def probe(model: Autoencoder, train: ArrayDataset, test: ArrayDataset) -> float:
    """The test accuracy, in percent, of logistic regression on standardized codes."""
    with ag.no_grad():
        device = model.encoder[0].bias.device
        codes, test_codes = (model.encode(ag.asarray(part.arrays[0], device=device)).numpy() for part in (train, test))
    mean, scale = codes.mean(axis=0), codes.std(axis=0) + 1e-3
    classifiers = [LogisticRegression(C=strength, max_iter=1000, tol=1e-3) for strength in (0.01, 0.1, 1.0)]
    x, y = (codes - mean) / scale, train.arrays[1]
    best = max(classifiers, key=lambda classifier: cross_val_score(classifier, x, y, cv=3).mean())
    return 100 * best.fit(x, y).score((test_codes - mean) / scale, test.arrays[1])


def compared(args: Namespace, named: dict[str, Callable[[np.ndarray, int], Autoencoder]]):
    """Each kind's accuracies, one a seed, and the models of the last seed."""
    train, test = common.clothes(args, flat=True)
    train = ArrayDataset(*(part[:IMAGES] for part in train.arrays))
    found: dict[str, list[float]] = {name: [] for name in named}
    for seed in range(args.seed, args.seed + (1 if args.quick else args.runs)):
        models = {name: make(train.arrays[0], seed) for name, make in named.items()}
        for name, model in models.items():
            found[name].append(probe(model, train, test))
        print(f"seed {seed}: " + ", ".join(f"{name} {values[-1]:.2f}%" for name, values in found.items()))
    return {name: np.array(values) for name, values in found.items()}, models, test.arrays[0]


def spread(values: np.ndarray) -> str:
    """Mean and range in words."""
    return f"{values.mean():.2f}% (from {values.min():.2f} to {values.max():.2f})"


def report(args: Namespace, kind: str, how: str, found: dict[str, np.ndarray]) -> None:
    """The row of the table: the codes of this kind of autoencoder beside those of the plain one."""
    common.Row(
        network=f"{kind.capitalize()} autoencoder {'-'.join(map(str, SIZES))}, {how}",
        data=f"Fashion-MNIST, {IMAGES:,} images",
        result=f"test accuracy of logistic regression on codes {spread(found[kind])} over {args.runs} seeds",
        target="mean above that of the plain autoencoder's codes",
        met=found[kind].mean() > found["plain"].mean(),
        peer=f"plain: {spread(found['plain'])}",
    ).report(args, f"{kind}_autoencoder")


def main() -> None:
    parser = common.arguments(__doc__, epochs=150, quick_epochs=2)
    parser.add_argument("--corruption", type=float, default=0.15, help="the share of pixels set to zero in training")
    parser.add_argument("--runs", type=int, default=3, help="seeds, from --seed on")
    args = parser.parse_args()
    kinds = {
        "plain": lambda images, seed: trained(args, images, seed),
        "denoising": lambda images, seed: trained(args, images, seed, corruption=args.corruption),
    }
    found, models, test = compared(args, kinds)

    kept = np.random.default_rng(args.seed).random((10, 784)) >= args.corruption
    rows = {"test images": test[:10], "with pixels set to zero": (test[:10] * kept).astype("float32")}
    corrupted = ag.asarray(rows["with pixels set to zero"], device=args.device)
    with ag.no_grad():
        rows |= {f"{name} gives back": ag.special.expit(model(corrupted)).numpy() for name, model in models.items()}
    path = args.out / "denoising_autoencoder.png"
    pictures.grid({name: row.reshape(-1, 28, 28) for name, row in rows.items()}, path)
    print(f"{path}: corrupted test images and what the autoencoders give back")
    report(args, "denoising", f"{args.corruption:.0%} of the pixels set to zero", found)


if __name__ == "__main__":
    main()
