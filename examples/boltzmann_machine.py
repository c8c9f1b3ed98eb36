"""Features of a restricted Boltzmann machine before logistic regression, beside logistic regression on the pixels.

    python examples/boltzmann_machine.py                        # digits, as in scikit-learn's example of BernoulliRBM
    python examples/boltzmann_machine.py --fashion

Digits: every image is there five times, as it is and moved by a pixel in each direction; a fifth of these is kept for
the test, so that copies of one digit stand on both sides, as they do there. Fashion-MNIST: the machine learns from all
training images, the classifiers from the first 10,000.
"""

from __future__ import annotations

from argparse import Namespace

import common
import numpy as np
import pictures
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import BernoulliRBM

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import ArrayDataset, DataLoader, digits
from autograd_core.nn.models import RBM

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
CLASSIFIED = 10_000


def nudged_digits(quick: bool) -> Parts:
    """Training images (N, 64) and labels, test images and labels; scikit-learn's example splits the copies as here."""
    images, labels = (np.concatenate(parts) for parts in zip(*(part.arrays for part in digits()), strict=True))
    moves = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    padded = np.pad(images[: 60 if quick else None, 0], [(0, 0), (1, 1), (1, 1)])
    copies = np.concatenate([padded[:, i : i + 8, j : j + 8].reshape(-1, 64) for i, j in moves])
    x, test, y, test_labels = train_test_split(copies, np.tile(labels[: len(padded)], 5), test_size=0.2, random_state=0)
    return x, y, test, test_labels


def train(rbm: RBM, images: np.ndarray, args: Namespace, rate: float, batch: int) -> None:
    """Persistent contrastive divergence: as many chains as a batch has rows, which go on from step to step."""
    loader = DataLoader(ArrayDataset(images), batch_size=batch, shuffle=True, seed=args.seed, drop_last=True)
    chains = nn.Buffer(ag.zeros((batch, images.shape[1]), device=args.device))
    optimizer = optim.SGD(rbm.parameters(), lr=optim.schedules.linear(rate, rate / 10, args.epochs * len(loader)))

    def step(v: ag.Tensor) -> None:
        optimizer.zero_grad()
        rbm.divergence(v, chains=chains).backward()
        optimizer.step()

    def look(v: ag.Tensor) -> ag.Tensor:
        return rbm.pseudo_log_likelihood((v > 0.5).astype(v.dtype)).mean()

    take, look = (ag.compile(f) if args.compile else f for f in (step, look))
    for epoch in range(args.epochs):
        for (v,) in loader:
            take(ag.asarray(v, device=args.device))
        with ag.no_grad():
            found = look(ag.asarray(images[:1000], device=args.device)).item()
        print(f"epoch {epoch + 1}/{args.epochs}  pseudo-log-likelihood {found:.2f} nats")


def score(strength: float, x: np.ndarray, y: np.ndarray, test: np.ndarray, test_labels: np.ndarray) -> float:
    """The test accuracy of logistic regression, in percent."""
    classifier = LogisticRegression(C=strength, max_iter=2000, tol=1e-3).fit(x, y)
    return 100 * classifier.score(test, test_labels)


def main() -> None:
    parser = common.arguments(__doc__, epochs=30)
    parser.add_argument("--fashion", action="store_true", help="Fashion-MNIST instead of digits")
    args = parser.parse_args()
    if args.fashion:
        (images, y), (test, test_labels) = (part.arrays for part in common.clothes(args, flat=True))
        x, y = images[:CLASSIFIED], y[:CLASSIFIED]
        hidden, rate, batch, strength, side = 500, 0.05, 50, 1.0, 28
    else:
        x, y, test, test_labels = nudged_digits(args.quick)
        images, hidden, rate, batch, strength, side = x, 100, 0.06, 10, 100.0, 8
    rbm = RBM(images.shape[1], hidden).to(args.device)
    train(rbm, images, args, rate, batch)

    with ag.no_grad():
        features, test_features = (rbm(ag.asarray(part, device=args.device)).numpy() for part in (x, test))
        dreams = rbm.gibbs(ag.asarray(images[:10], device=args.device), steps=1000)
        dreams = rbm.reconstruct(rbm(dreams)).numpy()
        filters = rbm.weight.numpy()[:10]
    name = "boltzmann_machine_" + ("fashion" if args.fashion else "digits")
    rows = {"images": images[:10], "after 1,000 rounds of Gibbs sampling": dreams, "weights of hidden units": filters}
    path = args.out / f"{name}.png"
    pictures.grid({title: row.reshape(-1, side, side) for title, row in rows.items()}, path)
    print(f"{path}: images, samples, filters")

    pixels = score(strength, x, y, test, test_labels)
    ours = score(strength, features, y, test_features, test_labels)
    peer = f"pixels: {pixels:.1f}%"
    if not args.fashion:
        machine = BernoulliRBM(hidden, learning_rate=rate, n_iter=args.epochs, random_state=args.seed).fit(x)
        theirs = score(strength, machine.transform(x), y, machine.transform(test), test_labels)
        peer += f"; scikit-learn's BernoulliRBM, {args.epochs} epochs: {theirs:.1f}%"
    common.Row(
        network=f"Restricted Boltzmann machine, {hidden} hidden units, persistent CD-1, then logistic regression",
        data=f"Fashion-MNIST, {len(x):,} images with labels" if args.fashion else "digits and nudged copies",
        result=f"test accuracy {ours:.1f}%",
        target="above logistic regression on pixels",
        met=ours > pixels,
        peer=peer,
    ).report(args, name)


if __name__ == "__main__":
    main()
