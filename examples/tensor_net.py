"""A recursive neural tensor network on expressions as trees, beside a plain recursive net of equal size.

    python examples/tensor_net.py --task logic --features 24
    python examples/tensor_net.py --task listops

The nets make of the vectors of two parts that of the whole, from the words up, and are asked about trees they have not
seen. logic: which of seven relations (equivalence, entailment, ...) hold between two formulas, as in Bowman, Potts and
Manning, Recursive neural networks can learn logical semantics, 2015. listops: the value of nested maxima, minima,
medians and sums modulo 10, told for every part. Both nets have as many parameters, and see the same trees.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import common
import numpy as np
import pictures

import autograd_core as ag
from autograd_core import optim
from autograd_core.nn import data
from autograd_core.nn import functional as F
from autograd_core.nn.models import RecursiveNet, RecursiveTensorNet, TreeNet

HELD_OUT = 2000  # trees to look at after each epoch, and as many for the end
BATCH = 64
RATE, TENSOR_RATE = 5e-3, 5e-4  # V has 2 D numbers for each one of W: equal steps of all would be far too long for it


class Task(NamedTuple):
    name: str
    trees: list[data.Tree]
    words: int
    classes: int


def pairs(count: int, seed: int, quick: bool) -> Task:
    trees = data.relations(count, (0, 1 if quick else 4), seed=seed)
    name = "pairs of formulas in two variables, each of up to 4 connectives, and their relation"
    return Task(name, trees, len(data.LOGIC_WORDS), len(data.RELATIONS))


def lists(count: int, seed: int, quick: bool) -> Task:
    trees = data.listops(count, depth=1 if quick else 3, seed=seed)
    return Task("ListOps expressions of 2 to 4 arguments, nested 3 deep", trees, len(data.LISTOPS_WORDS), 10)


def size(net: TreeNet) -> int:
    return sum(parameter.size for parameter in net.parameters())


def features_for(parameters: int, task: Task) -> int:
    """The features with which a plain net has about as many parameters."""
    sizes = {d: size(RecursiveNet(task.words, d, task.classes)) for d in range(1, 200)}
    return min(sizes, key=lambda d: abs(sizes[d] - parameters))


def accuracy(net: TreeNet, trees: Sequence[data.Tree]) -> float:
    """The share of trees whose root's label is found."""
    with ag.no_grad():
        found = net(data.arrange(trees)).argmax(axis=1).numpy()
    return float(np.mean(found == [tree.labels[tree.root] for tree in trees]))


def train(
    net: TreeNet, loader: data.DataLoader, held_out: Sequence[data.Tree], args: argparse.Namespace
) -> list[float]:
    """The accuracy on held-out trees after each epoch."""
    steps = args.epochs * len(loader)
    groups: dict[float, list] = {RATE: [], TENSOR_RATE: []}
    for name, parameter in net.named_parameters():
        groups[TENSOR_RATE if name == "tensor" else RATE].append(parameter)
    optimizer = optim.Adam(
        [{"params": each, "lr": optim.schedules.one_cycle(rate, steps)} for rate, each in groups.items() if each]
    )

    def step(forest: data.Forest) -> ag.Tensor:
        optimizer.zero_grad()
        labels = ag.asarray(forest.labels, device=args.device)
        loss = F.cross_entropy(net.every_node(forest), labels, ignore_index=-1)
        loss.backward()
        optim.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return loss

    take, curve = ag.compile(step) if args.compile else step, []
    for epoch in range(args.epochs):
        losses = [take(forest) for forest in loader]  # other trees in every step, and one compiled step for all of them
        curve.append(accuracy(net, held_out))
        mean = np.mean([loss.item() for loss in losses])
        print(f"  epoch {epoch + 1}/{args.epochs}: loss {mean:.4f}, accuracy on held-out trees {curve[-1]:.4f}")
    return curve


def main() -> None:
    parser = common.arguments(__doc__, epochs=10)
    parser.add_argument("--task", choices=["logic", "listops"], default="logic")
    parser.add_argument("--features", type=int, default=16, help="of the tensor network; the plain net gets more")
    parser.add_argument("--seeds", type=int, default=3, help="how many trainings of each net")
    args = parser.parse_args()
    held, seeds, batch = (64, 1, 16) if args.quick else (HELD_OUT, args.seeds, BATCH)
    count = 256 if args.quick else 30_000 + 2 * HELD_OUT
    task = {"logic": pairs, "listops": lists}[args.task](count, args.seed, args.quick)
    test, held_out, rest = task.trees[:held], task.trees[held : 2 * held], task.trees[2 * held :]
    sizes = data.Sizes(rest, batch)
    load = partial(data.DataLoader, data.TreeDataset(rest), batch, shuffle=True, drop_last=True)

    curves: dict[str, list] = {"tensor network": [], "plain net": []}
    reached: dict[str, list[float]] = {name: [] for name in curves}
    counts = []
    for seed in range(args.seed, args.seed + seeds):
        ag.random.seed(seed)
        tensor = RecursiveTensorNet(task.words, 4 if args.quick else args.features, task.classes)
        plain = RecursiveNet(task.words, features_for(size(tensor), task), task.classes)
        counts = [size(tensor), size(plain)]
        for name, net in zip(curves, (tensor, plain), strict=True):
            print(f"{name}, {net.features} features, {size(net)} parameters, seed {seed}")
            loader = load(seed=seed, transform=lambda trees, rng: sizes.forest(trees[0]))
            curves[name].append(train(net.to(args.device), loader, held_out, args))
            reached[name].append(accuracy(net, test))

    path = args.out / f"tensor_net_{args.task}.png"
    pictures.curves({name: np.mean(each, axis=0) for name, each in curves.items()}, path, x="epoch", y="accuracy")
    print(f"{path}: accuracy on held-out trees by epoch, mean of the seeds")
    ours, theirs = (100 * np.array(values) for values in reached.values())
    common.Row(
        network=f"Recursive neural tensor network, {counts[0]} parameters",
        data=f"{len(rest)} {task.name}",
        result=f"{ours.mean():.1f}% of {held} new ones right (seeds: {', '.join(f'{x:.1f}' for x in ours)})",
        target=f"above a plain recursive net of {counts[1]} parameters, in the mean of the seeds",
        met=ours.mean() > theirs.mean() and abs(counts[1] / counts[0] - 1) < 0.02,
        peer=f"plain recursive net: {theirs.mean():.1f}% ({', '.join(f'{x:.1f}' for x in theirs)})",
    ).report(args, f"tensor_net_{args.task}")


if __name__ == "__main__":
    main()
