"""Train a two-convolution network of under 100,000 parameters on Fashion-MNIST.

    apt-get install dataset-fashion-mnist          # or any folder with the four IDX files, gzipped or not
    python examples/fashion_mnist.py --data /usr/share/datasets/fashion-mnist [--epochs 10] [--device cpu]

No augmentation. The data set's own table lists 92.5% for a network of this size. The last line is the test accuracy.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pictures

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import DataLoader, fashion_mnist
from autograd_core.nn.training import TrainingInterrupted, accuracy, evaluate, fit


def build_model() -> nn.Module:
    """28x28 grey images -> 10 classes, two convolutions; 83,050 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(64 * 7 * 7, 10),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the IDX files")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("demo_output"))
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    ag.random.seed(args.seed)
    train, test = fashion_mnist(args.data)
    loader = DataLoader(train, batch_size=args.batch_size, shuffle=True, seed=args.seed)
    testing = DataLoader(test, batch_size=500)
    model = build_model().to(args.device)
    print(nn.summary(model, (1, 28, 28)))

    schedule = optim.schedules.cosine(2e-3, args.epochs * len(loader))
    optimizer = optim.AdamW(model.parameters(), lr=schedule, weight_decay=1e-2)
    start = time.perf_counter()
    try:
        history = fit(
            model,
            loader,
            loss=nn.functional.cross_entropy,
            optimizer=optimizer,
            epochs=args.epochs,
            validation=testing,
            metrics={"accuracy": accuracy},
            checkpoint=args.out / "fashion_mnist.safetensors",
            resume=args.resume,
        )
    except TrainingInterrupted as interruption:
        raise SystemExit(f"{interruption} (add --resume)") from None
    print(f"trained {len(history)} epochs in {time.perf_counter() - start:.1f} s on {args.device}")

    pictures.learning_curves(history, args.out / "fashion_learning_curves.png")
    result = evaluate(model, testing, nn.functional.cross_entropy, {"accuracy": accuracy})
    print(f"test accuracy: {result['accuracy']:.4f}")


if __name__ == "__main__":
    main()
