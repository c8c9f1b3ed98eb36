"""Train a convolutional network on scikit-learn's digits, offline, in seconds.

    python examples/digits_cnn.py [--device cpu] [--epochs 30] [--seed 0] [--out demo_output]

Leaves in --out: a checkpoint, the learning curves and a picture of the misclassified digits. Prints what one training
step takes on every device found here, and why the others cannot be used; the last line is the test accuracy.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pictures

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import DataLoader, digits
from autograd_core.nn.training import accuracy, evaluate, fit


def build_model() -> nn.Module:
    """8x8 grey images -> 10 classes; 61,000 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 2 * 2, 10),
    )


def seconds_per_step(device: str, batch: tuple) -> float:
    """The median time of a whole training step (forward, backward, update) on one device."""
    model = build_model().to(device)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    inputs, labels = (ag.asarray(part, device=device) for part in batch)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        inputs.device.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times[2:])[5]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("demo_output"))
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    ag.random.seed(args.seed)
    train, test = digits()
    loader = DataLoader(train, batch_size=64, shuffle=True, seed=args.seed)
    model = build_model().to(args.device)
    print(nn.summary(model, (1, 8, 8)))

    steps = args.epochs * len(loader)
    optimizer = optim.AdamW(model.parameters(), lr=optim.schedules.cosine(3e-3, steps), weight_decay=1e-3)
    start = time.perf_counter()
    history = fit(
        model,
        loader,
        loss=nn.functional.cross_entropy,
        optimizer=optimizer,
        epochs=args.epochs,
        validation=DataLoader(test, batch_size=360),
        metrics={"accuracy": accuracy},
        checkpoint=args.out / "digits_cnn.safetensors",
        resume=args.resume,
    )
    print(f"trained {len(history)} epochs in {time.perf_counter() - start:.1f} s on {args.device}")

    images, labels = test[range(len(test))]
    pictures.learning_curves(history, args.out / "learning_curves.png")
    with ag.no_grad():
        predictions = model.eval()(ag.asarray(images, device=args.device)).argmax(axis=1).numpy()
    pictures.misclassified(images[:, 0], labels, predictions, args.out / "misclassified.png")
    print(f"pictures and checkpoint are in {args.out}/")

    print("one training step of 64 images:")
    for device in ag.devices():
        if device.available:
            print(f"  {device.name:8s} {1e3 * seconds_per_step(device.name, train[range(64)]):7.2f} ms")
        else:
            print(f"  {device.name:8s} not here: {device.reason}")
    result = evaluate(model, DataLoader(test, batch_size=360), nn.functional.cross_entropy, {"accuracy": accuracy})
    print(f"test accuracy: {result['accuracy']:.4f}")


if __name__ == "__main__":
    main()
