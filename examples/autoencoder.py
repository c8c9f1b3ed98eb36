"""A deep autoencoder of Fashion-MNIST, 784-1000-500-250-30 and back, beside principal components.

    python examples/autoencoder.py [--tied] [--epochs 8]

Codes of 30 numbers from either, and the mean squared error of a pixel (in [0, 1]) of the images they give back. Hinton
and Salakhutdinov, Reducing the dimensionality of data with neural networks, 2006.
"""

from __future__ import annotations

import common
import numpy as np
import pictures
from sklearn.decomposition import PCA

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.models import Autoencoder
from autograd_core.nn.training import fit

SIZES = (784, 1000, 500, 250, 30)
HELD_OUT = 5000


def training(images: np.ndarray, seed: int) -> tuple[DataLoader, DataLoader]:
    """Batches to train on and held-out ones; an image is its own target."""
    held = min(HELD_OUT, len(images) // 4)
    rest, held_out = (ArrayDataset(part, part) for part in (images[held:], images[:held]))
    return DataLoader(rest, batch_size=128, shuffle=True, seed=seed, drop_last=True), DataLoader(held_out, 500)


def main() -> None:
    parser = common.arguments(__doc__, epochs=8)
    parser.add_argument("--tied", action="store_true", help="the decoder's weights are the encoder's, transposed")
    args = parser.parse_args()
    (images, _), (test, labels) = (part.arrays for part in common.clothes(args, flat=True))

    sizes = (784, 64, 30) if args.quick else SIZES
    loader, held_out = training(images, args.seed)
    model = Autoencoder(sizes, activation=nn.ELU, tied=args.tied).to(args.device)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.kaiming_normal_(parameter)
    rate = optim.schedules.cosine(1e-3, args.epochs * len(loader))
    fit(
        model,
        loader,
        loss=nn.functional.mse_loss,
        optimizer=optim.Adam(model.parameters(), lr=rate),
        epochs=args.epochs,
        validation=held_out,
        compile=args.compile,
    )

    model.eval()
    with ag.no_grad():
        ours = model(ag.asarray(test, device=args.device)).numpy()
    components = PCA(sizes[-1], random_state=args.seed).fit(images)
    theirs = components.inverse_transform(components.transform(test))
    error, linear = (float(np.mean((x - test) ** 2)) for x in (ours, theirs))

    shown = [np.flatnonzero(labels == label)[0] for label in range(10)]
    rows = {"images": test, "autoencoder": ours, "30 principal components": theirs}
    path = args.out / "autoencoder.png"
    pictures.grid({name: x[shown].reshape(-1, 28, 28).clip(0, 1) for name, x in rows.items()}, path)
    print(f"{path}: test images and what their codes give back")
    common.Row(
        network=f"Autoencoder {'-'.join(map(str, sizes))}{', tied weights' if args.tied else ''}",
        data="Fashion-MNIST",
        result=f"mean squared error of a test pixel {error:.5f}",
        target="below PCA with 30 components",
        met=error < linear,
        peer=f"scikit-learn's PCA with 30 components: {linear:.5f}",
    ).report(args, "autoencoder")


if __name__ == "__main__":
    main()
