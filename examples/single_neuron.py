"""Logistic and softmax regression: a single neuron that knows one digit, and ten that know them all.

    python examples/single_neuron.py [--digit 8] [--strength 1.0]

One neuron: p(digit | x) = sigmoid(w x + b), trained with binary cross-entropy. Ten: p(k | x) = softmax_k(W x + b), with
cross-entropy. Both with the penalty |w|^2 / (2 C n) over n images, which is scikit-learn's LogisticRegression(C) up to
a factor, so that the two of them look for the same minimum on the same split. A picture shows the weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pictures
from common import STAND_IN, Row, arguments
from sklearn.linear_model import LogisticRegression

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import ArrayDataset, DataLoader, digits
from autograd_core.nn.training import accuracy, evaluate, fit

F = nn.functional
MARGIN = 0.005


def is_right(scores: ag.Tensor, targets: ag.Tensor) -> ag.Tensor:
    """The share of scores on the side of zero that the target, 0 or 1, asks for."""
    return ((scores > 0) == (targets > 0.5)).astype("float32").mean()


def train(
    args: argparse.Namespace, model: nn.Sequential, data: ArrayDataset, loss: Callable, metric: Callable
) -> nn.Sequential:
    """Minimise the loss and the penalty by Adam, with a rate that falls to zero."""
    loader = DataLoader(data, batch_size=len(data) // 8, shuffle=True, seed=args.seed, drop_last=True)
    weight, strength = model[0].weight, 2 * args.strength * len(data)
    rate = optim.schedules.cosine(0.1, args.epochs * len(loader))
    fit(
        model,
        loader,
        loss=loss,
        optimizer=optim.Adam(model.parameters(), lr=rate),
        epochs=args.epochs,
        metrics={"accuracy": metric},
        penalty=lambda: (weight * weight).sum() / strength,
        compile=args.compile,
        progress=False,
    )
    return model


def main() -> None:
    parser = arguments(__doc__, epochs=600, quick_epochs=2)
    parser.add_argument("--digit", type=int, default=8, help="the one that the single neuron tells from the others")
    parser.add_argument("--strength", type=float, default=1.0, help="C, the inverse of the penalty")
    args = parser.parse_args()
    (images, labels), (test, test_labels) = (part.arrays for part in digits())
    images, test = (x.reshape(len(x), -1) for x in (images, test))
    if args.quick:
        images, labels = images[:STAND_IN], labels[:STAND_IN]
    shown: dict[str, np.ndarray] = {}

    def compare(record: str, network: str, outputs: int, sides: list[np.ndarray], loss: Callable, metric: Callable):
        """Train, compare with scikit-learn on the same split, and report."""
        model = nn.Sequential(nn.Linear(64, outputs), *([nn.Flatten(0)] if outputs == 1 else [])).to(args.device)
        train(args, model, ArrayDataset(images, sides[0]), loss, metric)
        testing = DataLoader(ArrayDataset(test, sides[1]), batch_size=len(test))
        ours = evaluate(model, testing, loss, {"accuracy": metric}, compile=args.compile)["accuracy"]
        theirs = LogisticRegression(C=args.strength, max_iter=5000).fit(images, sides[0]).score(test, sides[1])
        shown[network] = model[0].weight.detach().numpy().reshape(-1, 8, 8)
        Row(
            network=network,
            data="digits",
            result=f"{ours:.2%} of the test images",
            target=f"within {100 * MARGIN:.1f} points of scikit-learn's LogisticRegression",
            met=abs(ours - theirs) <= MARGIN,
            peer=f"scikit-learn's LogisticRegression(C={args.strength:g}): {theirs:.2%}",
        ).report(args, record)

    one = [(y == args.digit).astype(np.float32) for y in (labels, test_labels)]
    name = f"Single neuron (logistic regression): {args.digit} or not"
    compare("single_neuron", name, 1, one, F.binary_cross_entropy_with_logits, is_right)
    name = "Ten neurons (softmax regression): which digit"
    compare("softmax_regression", name, 10, [labels, test_labels], F.cross_entropy, accuracy)
    pictures.grid(shown, args.out / "single_neuron_weights.png", cmap="coolwarm")


if __name__ == "__main__":
    main()
