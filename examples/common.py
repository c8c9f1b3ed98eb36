"""What the examples share: their arguments, Fashion-MNIST or a stand-in for it, and the record of a run.

An example parses ``arguments(__doc__, epochs=10).parse_args()`` and ends with ``Row(...).report(args, "name")``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import autograd_core as ag
from autograd_core.benchmarks.measure import machine
from autograd_core.nn.data import ArrayDataset, digits, fashion_mnist

RECORDS = Path(__file__).parent / "results"
STAND_IN = 256  # images that --quick trains on


def arguments(description: str | None, *, epochs: int, quick_epochs: int = 1, compile: bool = True) -> Parser:
    """A parser with the options of every example; the example adds its own."""
    return Parser(description, epochs, quick_epochs, compile)


class Parser(argparse.ArgumentParser):
    """Parses, seeds the random numbers, and makes the folder for what the run leaves."""

    def __init__(self, description: str | None, epochs: int, quick_epochs: int, compile: bool):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.quick_epochs, self.usual_epochs = quick_epochs, epochs
        self.add_argument("--device", default="cpu")
        self.add_argument("--compile", action=argparse.BooleanOptionalAction, default=compile)
        self.add_argument("--seed", type=int, default=0)
        self.add_argument("--epochs", type=int, help=f"passes over the data (usually {epochs})")
        self.add_argument("--data", type=Path, help="folder with the four IDX files of Fashion-MNIST")
        self.add_argument("--out", type=Path, default=Path("demo_output"), help="folder for pictures and checkpoints")
        self.add_argument("--quick", action="store_true", help="a few steps on little data, to see that it runs")
        self.add_argument("--record", action="store_true", help="keep the result for examples/README.md")

    def parse_args(self, *given, **named):
        args = super().parse_args(*given, **named)
        if args.quick and args.record:
            self.error("--record keeps results of whole runs; leave --quick out")
        if args.epochs is None:
            args.epochs = self.quick_epochs if args.quick else self.usual_epochs
        args.out.mkdir(parents=True, exist_ok=True)
        args.started = time.perf_counter()
        ag.random.seed(args.seed)
        return args


def clothes(args: argparse.Namespace, *, flat: bool = False) -> tuple[ArrayDataset, ArrayDataset]:
    """Fashion-MNIST as (train, test): images ``(N, 1, 28, 28)``, or ``(N, 784)`` if flat, float32 in [0, 1].

    With --quick, unless --data is given, a few of scikit-learn's digits enlarged: the same on every machine.
    """
    if args.quick and args.data is None:
        train, test = (_enlarged(part) for part in digits())
    else:
        try:
            train, test = fashion_mnist(args.data)
        except ag.errors.DataError as missing:
            raise SystemExit(str(missing)) from None
    size = STAND_IN if args.quick else None
    return _part(train, size, flat), _part(test, size, flat)


def _part(data: ArrayDataset, size: int | None, flat: bool) -> ArrayDataset:
    images, labels = data.arrays
    images, labels = images[:size], labels[:size]
    return ArrayDataset(images.reshape(len(images), -1) if flat else images, labels, classes=data.classes)


def _enlarged(data: ArrayDataset) -> ArrayDataset:
    images, labels = data.arrays
    large = np.pad(np.kron(images, np.ones((1, 1, 3, 3), np.float32)), [(0, 0), (0, 0), (2, 2), (2, 2)])
    return ArrayDataset(large, labels, classes=data.classes)


@dataclass
class Row:
    """One row of the table in examples/README.md: what a run showed.

    network: what the table calls it; data: on what; result, target, peer: in words, with the numbers; met: whether the
    result reaches the target.
    """

    network: str
    data: str
    result: str
    target: str
    met: bool
    peer: str = ""

    def report(self, args: argparse.Namespace, name: str) -> None:
        """Print the row; with --record keep it as examples/results/NAME.json."""
        seconds = time.perf_counter() - args.started
        reached = "" if args.quick else " (met)" if self.met else " (MISSED)"
        print(f"{self.network}: {self.result}; target: {self.target}{reached}")
        if not args.record:
            return
        RECORDS.mkdir(exist_ok=True)
        record = {
            **vars(self),
            "met": bool(self.met),
            "command": command(args),
            "seed": args.seed,
            "seconds": round(seconds, 1),
            "device": args.device,
            "machine": machine(),
        }
        (RECORDS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")


def command(args: argparse.Namespace) -> str:
    """The command line of this run, without what says where files lie."""
    kept, words = [], iter(sys.argv[1:])
    for word in words:
        if word in ("--data", "--out"):
            next(words)
        elif word != "--record" and not word.startswith(("--data=", "--out=")):
            kept.append(word)
    return " ".join(["python", f"examples/{Path(sys.argv[0]).name}", *kept])
