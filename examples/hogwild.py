"""Hogwild!: sparse logistic regression by several processes at once, without locks.

    python examples/hogwild.py [--workers 2] [--features 20000]

p(y | x) = sigmoid(y w x), y = 1 or -1, for generated examples x with 20 of the features each, in labels with some
noise. Every worker goes through its share of the examples in small batches: it reads the weights that they need, works
out the gradient, and writes them back, whatever the others do meanwhile. The same number of examples is gone through
with one worker and with several; times are those of the descent, without the start of the processes. A picture shows
the loss of both by epoch.

Source: Niu et al., Hogwild!: a lock-free approach to parallelizing stochastic gradient descent, 2011.
"""

from __future__ import annotations

import time

import numpy as np
import pictures
from common import Row, arguments
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

import autograd_core as ag
from autograd_core import nn, optim

ENTRIES = 20  # features of an example that are not zero
BATCH = 16
SPEED_UP = 1.5
MARGIN = 0.005


def generate(seed: int, features: int, count: int) -> dict[str, np.ndarray]:
    """Examples as the places and values of what is not zero, (count, ENTRIES), and their labels, (count,)."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(features)
    columns = rng.integers(0, features, (count, ENTRIES))
    values = rng.standard_normal((count, ENTRIES)).astype(np.float32)
    scores = (truth[columns] * values).sum(axis=1) + rng.standard_normal(count)
    return {"columns": columns, "values": values, "labels": np.where(scores > 0, 1, -1).astype(np.float32)}


def loss_of(weights: ag.Tensor, values: ag.Tensor, labels: ag.Tensor) -> ag.Tensor:
    """The sum of -log p(y | x) over a batch, from the weights of its features, (batch, ENTRIES)."""
    return nn.functional.softplus(-labels * (weights * values).sum(axis=1)).sum()


def work(worker: optim.hogwild.Worker, epochs: int, lr: float, compiled: bool) -> tuple[list[float], float]:
    """What one process does; returns the mean loss in every epoch, and the seconds that they took."""
    columns, values, labels = (worker.data[name] for name in ("columns", "values", "labels"))
    loss_and_gradient = ag.value_and_grad(loss_of)
    if compiled:
        loss_and_gradient = ag.compile(loss_and_gradient)
        for _ in range(3):  # nothing is compiled any more when the clock starts
            loss_and_gradient(*(ag.zeros(shape) for shape in [(BATCH, ENTRIES), (BATCH, ENTRIES), (BATCH,)]))
    items = np.asarray(worker.share(len(labels)))
    batches = items[: len(items) // BATCH * BATCH].reshape(-1, BATCH)
    losses = []
    worker.start_together()
    start = time.perf_counter()
    for epoch in range(epochs):
        total = 0.0
        for batch in batches:
            places = columns[batch]
            weights = worker.rows("weight", places)
            loss, gradient = loss_and_gradient(weights, ag.asarray(values[batch]), ag.asarray(labels[batch]))
            worker.descend("weight", places, gradient, lr * (1 - epoch / epochs))
            total += loss.item()
        losses.append(total / batches.size)
    return losses, time.perf_counter() - start


def main() -> None:
    parser = arguments(__doc__, epochs=20)
    parser.add_argument("--workers", type=int, default=2, help="processes that share the work")
    parser.add_argument("--features", type=int, default=20_000)
    args = parser.parse_args()
    if args.device != "cpu":
        parser.error("Hogwild! is for processes that share the memory of a CPU; leave --device out")
    count = 2_000 if args.quick else 100_000
    examples = generate(args.seed, args.features, count + count // 5)
    data, test = ({name: x[part] for name, x in examples.items()} for part in (slice(count), slice(count, None)))

    def accuracy(weight: np.ndarray) -> float:
        return float(np.mean((weight[test["columns"]] * test["values"]).sum(axis=1) * test["labels"] > 0))

    curves, seconds, found = {}, {}, {}
    for workers in (1, args.workers):
        weight = nn.Parameter(np.zeros(args.features, np.float32))
        options = (args.epochs, 0.3, args.compile)
        results = optim.hogwild.train(work, {"weight": weight}, options, data=data, workers=workers)
        losses, times = zip(*results, strict=True)
        seconds[workers], found[workers] = max(times), accuracy(weight.numpy())
        name = f"{workers} worker{'s' * (workers > 1)}"
        curves[name] = np.mean(losses, axis=0)
        print(f"{name}: {seconds[workers]:.2f} s, {found[workers]:.2%} of the test examples")
    pictures.curves(curves, args.out / "hogwild.png", x="epoch", y="mean loss")

    starts = np.arange(0, (count + 1) * ENTRIES, ENTRIES)
    matrix = csr_matrix((data["values"].ravel(), data["columns"].ravel(), starts), (count, args.features))
    model = LogisticRegression(C=1.0, fit_intercept=False).fit(matrix, data["labels"])
    speed_up = seconds[1] / seconds[args.workers]
    Row(
        network="Sparse logistic regression by Hogwild!",
        data=f"generated: {count:,} examples, {args.features:,} features, {ENTRIES} of them in each",
        result=f"{args.workers} workers {speed_up:.2f} times as fast as 1; "
        f"{found[args.workers]:.2%} of the test examples, with 1 worker {found[1]:.2%}",
        target=f"2 workers at least {SPEED_UP} times as fast; within {100 * MARGIN:.1f} points of 1 worker",
        met=speed_up >= SPEED_UP and found[args.workers] >= found[1] - MARGIN,
        peer=f"scikit-learn's LogisticRegression (L-BFGS): {accuracy(model.coef_[0]):.2%}",
    ).report(args, "hogwild")


if __name__ == "__main__":
    main()
