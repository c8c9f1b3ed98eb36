"""A convolutional network with two convolutions and batch normalization, on Fashion-MNIST.

    python examples/convolutional_net.py [--epochs 12] [--device cpu] [--resume]

    image 28x28 -> convolution 3x3, batch norm, ReLU, pooling to 14x14
                -> convolution 3x3, batch norm, ReLU, pooling to 7x7
                -> linear layer, batch norm, ReLU -> scores of 10 classes

No augmentation. The best network of two convolutions with batch normalization in the data set's own table has 93.4%.
The test images are looked at once, after the training. Leaves in --out: a checkpoint, which --resume goes on from to
the same bits, and a picture of misclassified images.
"""

from __future__ import annotations

import numpy as np
import pictures
from common import Row, arguments, clothes

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import DataLoader
from autograd_core.nn.training import TrainingInterrupted, accuracy, evaluate, fit

TARGET = 0.934


def build_model(channels: int = 64, hidden: int = 256, dropout: float = 0.4) -> nn.Sequential:
    """(N, 1, 28, 28) -> (N, 10); 1,683,402 parameters, most of them in the hidden layer."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * channels * 7 * 7, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, 10),
    )


def main() -> None:
    parser = arguments(__doc__, epochs=12)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    args = parser.parse_args()
    train, test = clothes(args)
    loader = DataLoader(train, batch_size=args.batch_size, shuffle=True, seed=args.seed, drop_last=True)
    testing = DataLoader(test, batch_size=500)
    model = build_model(channels=8 if args.quick else 64, hidden=32 if args.quick else 256).to(args.device)
    steps = args.epochs * len(loader)
    schedule = optim.schedules.warmup_cosine(3e-3, warmup=max(1, steps // 4), total=steps)
    optimizer = optim.AdamW(model.parameters(), lr=schedule, weight_decay=0.05)
    try:
        fit(
            model,
            loader,
            loss=nn.functional.cross_entropy,
            optimizer=optimizer,
            epochs=args.epochs,
            metrics={"accuracy": accuracy},
            checkpoint=args.out / "convolutional_net.safetensors",
            resume=args.resume,
            compile=args.compile,
        )
    except TrainingInterrupted as interruption:
        raise SystemExit(f"{interruption} (add --resume)") from None

    found = evaluate(model, testing, nn.functional.cross_entropy, {"accuracy": accuracy}, compile=args.compile)
    model.eval()
    with ag.no_grad():
        scores = [model(ag.asarray(images, device=args.device)).argmax(axis=1).numpy() for images, _ in testing]
    images, labels = test.arrays
    picture = args.out / "convolutional_net_misclassified.png"
    limit = 8 if args.quick else 24
    pictures.misclassified(images[:, 0], labels, np.concatenate(scores), picture, test.classes, limit)
    Row(
        network="Convolutional net: 2 convolutions, batch norm",
        data="Fashion-MNIST",
        result=f"{found['accuracy']:.2%} of the test images, without augmentation",
        target=f"at least {TARGET:.1%}, as the best of 2 convolutions with batch norm in the data set's table",
        met=found["accuracy"] >= TARGET,
        peer="data set's table: 93.4%",
    ).report(args, "convolutional_net")


if __name__ == "__main__":
    main()
