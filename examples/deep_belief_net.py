"""A deep belief network on Fashion-MNIST: learnt from images without labels, fine-tuned with 100 labels a class.

    python examples/deep_belief_net.py [--runs 3] [--epochs 4]

Three Boltzmann machines, one after the other, learn from the training images. Then their weights begin an MLP that is
trained on 1,000 labels; the same MLP from scratch gets the same training. For both the learning rate and the number of
epochs are those that were best on 2,000 other training images. Hinton, Osindero and Teh, 2006; Erhan et al., 2010.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import common
import numpy as np
import pictures

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import ArrayDataset, DataLoader, Subset
from autograd_core.nn.models import RBM, DeepBeliefNet
from autograd_core.nn.training import EarlyStopping, accuracy, evaluate, fit

SIZES = (784, 500, 500, 500)
A_CLASS, HELD_OUT = 100, 2000
RATES = (1e-3, 3e-3)
FINE_TUNING = 60  # epochs, of eight steps


def pretrain(net: DeepBeliefNet, images: np.ndarray, args: Namespace, seed: int) -> None:
    """Contrastive divergence, machine after machine, each on the features that the one below gives."""
    for depth, machine in enumerate(net.machines):
        with ag.no_grad():
            batches = [net.features(ag.asarray(part, device=args.device), depth) for part in np.array_split(images, 20)]
        data = np.concatenate([batch.numpy() for batch in batches])
        loader = DataLoader(ArrayDataset(data), batch_size=50, shuffle=True, seed=seed, drop_last=True)
        rate = optim.schedules.linear(0.1, 0.01, args.epochs * len(loader))
        optimizer = optim.SGD(machine.parameters(), lr=rate, momentum=0.5, weight_decay=2e-4)
        error = learn(machine, optimizer, loader, args)
        print(
            f"machine {depth + 1}, {machine.visible_units}-{machine.hidden_units}: squared error of a unit {error:.4f}"
        )


def learn(machine: RBM, optimizer: optim.SGD, loader: DataLoader, args: Namespace) -> float:
    """CD-1; the error of reconstruction at the end."""

    def step(v: ag.Tensor) -> ag.Tensor:
        optimizer.zero_grad()
        machine.divergence(v).backward()
        optimizer.step()
        with ag.no_grad():
            return nn.functional.mse_loss(machine.reconstruct(machine(v)), v)

    take = ag.compile(step) if args.compile else step
    for _ in range(args.epochs):
        errors = [take(ag.asarray(v, device=args.device)) for (v,) in loader]
    return float(np.mean([error.item() for error in errors]))


def fine_tuned(start: Callable[[], nn.Module], parts: list[Subset], test: ArrayDataset, args: Namespace) -> float:
    """The test accuracy, in percent, of the rate and epoch that were best on what is held out."""
    labelled, held_out = parts
    best, chosen = 0.0, None
    for rate in RATES:
        network = start().to(args.device)
        history = fit(
            network,
            DataLoader(labelled, batch_size=125, shuffle=True, seed=args.seed),
            loss=nn.functional.cross_entropy,
            optimizer=optim.Adam(network.parameters(), lr=rate),
            epochs=2 if args.quick else FINE_TUNING,
            validation=DataLoader(held_out, 1000),
            metrics={"accuracy": accuracy},
            early_stopping=EarlyStopping("val_accuracy", mode="max", patience=FINE_TUNING),
            compile=args.compile,
            progress=False,
        )
        epoch, found = history.best("val_accuracy", "max")
        print(f"  rate {rate}: {100 * found:.1f}% of what is held out, in epoch {epoch + 1}")
        if found > best or chosen is None:
            best, chosen = found, network
    return (
        100 * evaluate(chosen, DataLoader(test, 1000), nn.functional.cross_entropy, {"accuracy": accuracy})["accuracy"]
    )


def from_scratch(sizes: tuple[int, ...]) -> nn.Sequential:
    """The same MLP, begun as Glorot and Bengio (2010) would begin sigmoid units."""
    network = DeepBeliefNet(sizes).unrolled(10)
    for layer in network[:-1:2]:
        nn.init.xavier_uniform_(layer.weight, gain=4.0)
    return network


def split(data: ArrayDataset, seed: int, args: Namespace) -> list[Subset]:
    """100 images of each class to learn from, and others held out for choices."""
    share, held = (10, 50) if args.quick else (A_CLASS, HELD_OUT)
    order = np.random.default_rng(seed).permutation(len(data))
    labels = data.arrays[1][order]
    labelled = np.concatenate([np.flatnonzero(labels == label)[:share] for label in np.unique(labels)])
    rest = np.setdiff1d(np.arange(len(order)), labelled)[:held]
    return [Subset(data, order[labelled]), Subset(data, order[rest])]


def main() -> None:
    parser = common.arguments(__doc__, epochs=4)
    parser.add_argument("--runs", type=int, default=3, help="seeds, from --seed on")
    args = parser.parse_args()
    train, test = common.clothes(args, flat=True)
    sizes = (784, 32, 32, 32) if args.quick else SIZES
    found = []
    for seed in range(args.seed, args.seed + (1 if args.quick else args.runs)):
        ag.random.seed(seed)
        net = DeepBeliefNet(sizes).to(args.device)
        pretrain(net, train.arrays[0], args, seed)
        parts = split(train, seed, args)
        pretrained = fine_tuned(lambda net=net: net.unrolled(10), parts, test, args)
        scratch = fine_tuned(lambda: from_scratch(sizes), parts, test, args)
        print(f"seed {seed}: {pretrained:.2f}% pretrained, {scratch:.2f}% from scratch")
        found.append((pretrained, scratch))

    pretrained, scratch = np.transpose(found)
    ours, plain = (f"{x.mean():.2f}% (from {x.min():.2f} to {x.max():.2f})" for x in (pretrained, scratch))
    images = ag.asarray(train.arrays[0][:10], device=args.device)
    rows = {"images": images, "after 200 rounds in the top machine": net.sample(images, 200)}
    path = args.out / "deep_belief_net.png"
    pictures.grid({name: x.numpy().reshape(-1, 28, 28) for name, x in rows.items()}, path)
    print(f"{path}: images, and what the network of the last seed makes of them")
    common.Row(
        network=f"Deep belief network {'-'.join(map(str, sizes))}-10, fine-tuned with {A_CLASS} labels a class",
        data="Fashion-MNIST",
        result=f"test accuracy {ours} over {len(found)} seeds",
        target="above the same MLP from scratch, for every seed",
        met=bool(np.all(pretrained > scratch)),
        peer=f"from scratch: {plain}",
    ).report(args, "deep_belief_net")


if __name__ == "__main__":
    main()
