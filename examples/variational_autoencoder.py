"""A variational autoencoder of binary images, and new images from it.

    python examples/variational_autoencoder.py [--latent 20] [--epochs 10]

Fashion-MNIST's grey values are probabilities of a bit: training draws the bits anew in every step, the test set has
one fixed draw. Reported are the ELBO on test images and, closer to log p(x), the bound from 100 importance samples.
Beside it stands what bits that are independent within each class would reach. Kingma and Welling, 2014.
"""

from __future__ import annotations

import common
import numpy as np
import pictures

import autograd_core as ag
from autograd_core import optim
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.models import VariationalAutoencoder


def drawn(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bits whose probabilities are the grey values."""
    return (rng.random(images.shape, dtype=np.float32) < images).astype(np.float32)


def independent_bits(images: np.ndarray, labels: np.ndarray, test: np.ndarray) -> float:
    """The mean log-likelihood of test images under one table of bit probabilities a class, in nats."""
    tables = np.stack([images[labels == label].mean(axis=0) for label in range(10)]).clip(1e-3, 1 - 1e-3)
    classes = test @ np.log(tables / (1 - tables)).T + np.log(1 - tables).sum(axis=1)
    return float(np.mean(np.logaddexp.reduce(classes, axis=1) - np.log(10)))


def main() -> None:
    parser = common.arguments(__doc__, epochs=10)
    parser.add_argument("--latent", type=int, default=20)
    args = parser.parse_args()
    (images, labels), (test_images, _) = (part.arrays for part in common.clothes(args, flat=True))
    test = drawn(test_images, np.random.default_rng(args.seed))

    model = VariationalAutoencoder((784, 64 if args.quick else 500), latent=args.latent).to(args.device)
    loader = DataLoader(
        ArrayDataset(images),
        128,
        shuffle=True,
        seed=args.seed,
        drop_last=True,
        transform=lambda batch, rng: drawn(batch[0], rng),
    )
    optimizer = optim.Adam(model.parameters(), lr=optim.schedules.cosine(2e-3, args.epochs * len(loader)))

    def step(x: ag.Tensor) -> ag.Tensor:
        optimizer.zero_grad()
        bound = model.elbo(x).mean()
        (-bound).backward()
        optimizer.step()
        return bound

    def bounds(x: ag.Tensor) -> tuple[ag.Tensor, ag.Tensor]:
        return model.elbo(x).mean(), model.log_likelihood(x, samples=100).mean()

    take, look = (ag.compile(f) if args.compile else f for f in (step, bounds))
    for epoch in range(args.epochs):
        found = [take(ag.asarray(x, device=args.device)) for x in loader]
        bound = np.mean([x.item() for x in found])
        print(f"epoch {epoch + 1}/{args.epochs}  ELBO of the training images {bound:.2f} nats")

    with ag.no_grad():
        batches = [ag.asarray(x, device=args.device) for x in np.array_split(test, max(1, len(test) // 100))]
        elbo, tighter = np.mean([[bound.item() for bound in look(x)] for x in batches], axis=0)
        given_back = model(ag.asarray(test[:10], device=args.device)).numpy()
        samples = model.sample(20).numpy()
    simple = independent_bits(images, labels, test)

    rows = {"test images, drawn": test[:10], "given back": given_back, "samples": samples[:10], " ": samples[10:]}
    path = args.out / "variational_autoencoder.png"
    pictures.grid({name: x.reshape(-1, 28, 28) for name, x in rows.items()}, path)
    print(f"{path}: test images, reconstructions, samples")
    common.Row(
        network=f"Variational autoencoder, {args.latent} latents",
        data="Fashion-MNIST, bits drawn from its grey values",
        result=f"ELBO {elbo:.1f} nats a test image; with 100 importance samples {tighter:.1f}",
        target="ELBO above the log-likelihood of independent bits within classes",
        met=elbo > simple,
        peer=f"independent bits, one table of probabilities a class: {simple:.1f}",
    ).report(args, "variational_autoencoder")


if __name__ == "__main__":
    main()
