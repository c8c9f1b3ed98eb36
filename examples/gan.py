"""A generative adversarial network of two small convolutional nets on Fashion-MNIST.

    python examples/gan.py [--epochs 6]

The generator makes images of 64 random numbers, the discriminator tells them from real ones; each has an optimizer and
one compiled step. Goodfellow et al., 2014; Radford, Metz and Chintala (DCGAN), 2016.

Measured by a classifier that is trained here too: the Frechet distance between its 64 features of generated and of test
images (the formula of FID, but not to be compared with it), and each class's share among the generated images.
"""

from __future__ import annotations

from argparse import Namespace

import common
import numpy as np
import pictures

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.training import fit

NOISE = 64


def generator() -> nn.Sequential:
    """(N, 64) -> (N, 1, 28, 28) in (0, 1)."""
    return nn.Sequential(
        nn.Linear(NOISE, 64 * 7 * 7, bias=False),
        nn.Unflatten(1, (64, 7, 7)),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )


def seeing() -> list[nn.Module]:
    """(N, 1, 28, 28) -> (N, 3136), for the discriminator and for the classifier."""
    return [
        nn.Conv2d(1, 32, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
    ]


def classifier(args: Namespace, train: ArrayDataset) -> nn.Sequential:
    """Images -> 10 classes; its last layer sees 64 features."""
    model = nn.Sequential(*seeing(), nn.Linear(64 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10)).to(args.device)
    loader = DataLoader(train, 128, shuffle=True, seed=args.seed, drop_last=True)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    epochs = 1 if args.quick else 3
    fit(model, loader, loss=nn.functional.cross_entropy, optimizer=optimizer, epochs=epochs, compile=args.compile)
    return model.eval()


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """|m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)) of means and covariances of the rows of x and y."""
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(first) + np.trace(second) - 2 * root)


def adversaries(g: nn.Module, d: nn.Module, args: Namespace, total: int):
    """The two steps: of d, which returns how often it is right about real and generated images; of g, its loss."""
    rate = optim.schedules.linear(4e-4, 4e-5, total)
    of_g, of_d = (optim.Adam(net.parameters(), lr=rate, betas=(0.5, 0.999)) for net in (g, d))
    cost = nn.functional.binary_cross_entropy_with_logits

    def made(count: int) -> ag.Tensor:
        return g(ag.random.normal((count, NOISE), device=args.device))

    def discriminate(real: ag.Tensor) -> tuple[ag.Tensor, ag.Tensor]:
        of_d.zero_grad()
        with ag.no_grad():
            fake = made(len(real))
        for_real, for_fake = d(real), d(fake)
        loss = cost(for_real, ag.full_like(for_real, 0.9)) + cost(for_fake, ag.zeros_like(for_fake))
        loss.backward()
        of_d.step()
        return (for_real > 0).astype("float32").mean(), (for_fake < 0).astype("float32").mean()

    def generate(real: ag.Tensor) -> ag.Tensor:
        of_g.zero_grad()
        opinion = d(made(len(real)))
        loss = cost(opinion, ag.ones_like(opinion))
        loss.backward()
        of_g.step()
        return loss

    return (ag.compile(f) if args.compile else f for f in (discriminate, generate))


def main() -> None:
    parser = common.arguments(__doc__, epochs=6)
    args = parser.parse_args()
    train, test = common.clothes(args)
    judge = classifier(args, train)
    g = generator().to(args.device)
    d = nn.Sequential(*seeing(), nn.Dropout(0.3), nn.Linear(64 * 7 * 7, 1)).to(args.device)  # a logit: it is real
    loader = DataLoader(train, 128, shuffle=True, seed=args.seed, drop_last=True)
    discriminate, generate = adversaries(g, d, args, args.epochs * len(loader))
    for epoch in range(args.epochs):
        batches = (ag.asarray(images, device=args.device) for images, _ in loader)
        seen = [(*discriminate(real), generate(real)) for real in batches]
        of_real, of_fake, loss = np.mean([[x.item() for x in row] for row in seen], axis=0)
        right = f"discriminator right about {of_real:.0%} of real and {of_fake:.0%} of generated images"
        print(f"epoch {epoch + 1}/{args.epochs}  {right}; loss of the generator {loss:.2f}")

    def looked_at(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with ag.no_grad():
            parts = [judge[:-1](ag.asarray(x, device=args.device)) for x in np.array_split(images, 20)]
            classes = [judge[-1](features).argmax(axis=1).numpy() for features in parts]
        return np.concatenate([x.numpy() for x in parts]), np.concatenate(classes)

    real, pixels = test.arrays[0], train.arrays[0].reshape(len(train), -1)
    with ag.no_grad():
        images = g.eval()(ag.random.normal((len(real), NOISE), device=args.device)).numpy()
    values, axes = np.linalg.eigh(np.cov(pixels, rowvar=False))
    drawn = np.random.default_rng(args.seed).normal(size=(len(real), 784)) * np.sqrt(values.clip(0)) @ axes.T
    normal = (drawn + pixels.mean(axis=0)).clip(0, 1).astype("float32").reshape(real.shape)
    target, _ = looked_at(real)
    features, classes = looked_at(images)
    ours, gaussian = frechet(features, target), frechet(looked_at(normal)[0], target)
    floor = frechet(looked_at(train.arrays[0][: len(real)])[0], target)
    shares = np.bincount(classes, minlength=10) / len(classes)

    path = args.out / "gan.png"
    pictures.grid({" " * (i + 1): images[10 * i : 10 * i + 10, 0] for i in range(4)}, path)
    print(f"{path}: generated images; shares of the classes: {', '.join(f'{share:.1%}' for share in shares)}")
    common.Row(
        network="Generative adversarial network, convolutional",
        data="Fashion-MNIST",
        result=f"Frechet distance to test images {ours:.1f}; classes' shares {shares.min():.1%} to {shares.max():.1%}",
        target="nearer than images drawn from a normal distribution of pixels, each class at least 2%",
        met=ours < gaussian and shares.min() >= 0.02,
        peer=f"normal distribution of pixels {gaussian:.1f}; real training images {floor:.1f}",
    ).report(args, "gan")


if __name__ == "__main__":
    main()
