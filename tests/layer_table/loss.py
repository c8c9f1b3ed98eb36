"""Losses."""

from __future__ import annotations

import numpy as np

from .case import Inputs, case, weights


def labelled(n: int, classes: int, *rest: int) -> Inputs:
    return lambda rng: (rng.standard_normal((n, classes, *rest)), rng.integers(0, classes, (n, *rest)))


def log_probabilities(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    x, labels = labelled(4, 3)(rng)
    return x - np.log(np.exp(x).sum(1, keepdims=True)), labels


def probabilities(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return rng.uniform(0.1, 0.9, (4, 3)), rng.uniform(0, 1, (4, 3))


def distributions(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return np.log(rng.dirichlet(np.ones(3), 4)), rng.dirichlet(np.ones(3), 4)


def signs(n: int, *shapes: tuple[int, ...]) -> Inputs:
    """Inputs of these shapes, and n targets that are 1 or -1."""
    return lambda rng: (*[rng.standard_normal(shape) for shape in shapes], 2 * rng.integers(0, 2, n) - 1)


def several_labels(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return rng.standard_normal((3, 4)), np.array([[2, 0, -1, 1], [3, -1, 0, 0], [0, 1, 2, 3]])


def sequences(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    x = rng.standard_normal((6, 3, 5))
    x = x - np.log(np.exp(x).sum(-1, keepdims=True))
    return x, np.array([[1, 2, 2], [4, 3, 0], [2, 1, 3]]), np.array([6, 5, 2]), np.array([3, 2, 3])


TRIPLET = ((4, 3),) * 3

CASES = [
    case("CrossEntropyLoss", lambda n: n.CrossEntropyLoss(), of=labelled(4, 3)),
    case(
        "CrossEntropyLoss/arguments",
        lambda n: n.CrossEntropyLoss(weights(n, 1.0, 2.0, 0.5), ignore_index=1, label_smoothing=0.1),
        of=labelled(4, 3, 2),
    ),
    case("CrossEntropyLoss/sum", lambda n: n.CrossEntropyLoss(reduction="sum"), of=labelled(4, 3)),
    case("NLLLoss", lambda n: n.NLLLoss(weights(n, 1.0, 2.0, 0.5), reduction="none"), of=log_probabilities),
    case("MSELoss", lambda n: n.MSELoss(), (4, 3), (4, 3)),
    case("L1Loss", lambda n: n.L1Loss(reduction="sum"), (4, 3), (4, 3)),
    case("SmoothL1Loss", lambda n: n.SmoothL1Loss(beta=0.5), (4, 3), (4, 3)),
    case("HuberLoss", lambda n: n.HuberLoss(delta=0.5), (4, 3), (4, 3)),
    case("BCELoss", lambda n: n.BCELoss(), of=probabilities),
    case("BCELoss/weight", lambda n: n.BCELoss(weights(n, 1.0, 2.0, 0.5)), of=probabilities),
    case(
        "BCEWithLogitsLoss",
        lambda n: n.BCEWithLogitsLoss(pos_weight=weights(n, 1.0, 2.0, 0.5)),
        of=lambda rng: (3 * rng.standard_normal((4, 3)), rng.uniform(0, 1, (4, 3))),
    ),
    case("KLDivLoss", lambda n: n.KLDivLoss(reduction="batchmean"), of=distributions),
    case("LinearCrossEntropyLoss", lambda n: n.LinearCrossEntropyLoss(5, 3), of=labelled(4, 5)),
    case(
        "LinearCrossEntropyLoss/arguments",
        lambda n: n.LinearCrossEntropyLoss(
            5, 3, out_features=(2,), bias=True, weight=weights(n, 1.0, 2.0, 0.5), ignore_index=1, label_smoothing=0.1
        ),
        of=lambda rng: (rng.standard_normal((4, 5)), rng.integers(0, 3, (4, 2))),
    ),
    case(
        "PoissonNLLLoss", None, of=lambda rng: (rng.standard_normal((4, 3)), rng.integers(0, 4, (4, 3)).astype(float))
    ),
    case(
        "PoissonNLLLoss/arguments",
        lambda n: n.PoissonNLLLoss(False, True, eps=1e-3, reduction="sum"),
        of=lambda rng: (rng.uniform(0.1, 3.0, (4, 3)), rng.integers(0, 4, (4, 3)).astype(float)),
    ),
    case(
        "GaussianNLLLoss",
        None,
        of=lambda rng: (*rng.standard_normal((2, 4, 3)), rng.uniform(0.0, 2.0, (4, 3))),
        wrt=(0, 1, 2),
    ),
    case(
        "GaussianNLLLoss/arguments",
        lambda n: n.GaussianNLLLoss(full=True, eps=0.5, reduction="none"),
        of=lambda rng: (*rng.standard_normal((2, 4, 3)), rng.uniform(0.0, 2.0, (4, 1))),
        wrt=(0, 1, 2),
    ),
    case("CTCLoss/infinite", lambda n: n.CTCLoss(reduction="none"), of=sequences, wrt=()),
    case("CTCLoss/zero-infinity", lambda n: n.CTCLoss(zero_infinity=True), of=sequences, wrt=()),
    case("HingeEmbeddingLoss", lambda n: n.HingeEmbeddingLoss(0.5), of=signs(4, (4,))),
    case("SoftMarginLoss", None, of=signs(4, (4,))),
    case("MarginRankingLoss", lambda n: n.MarginRankingLoss(0.3), of=signs(4, (4,), (4,)), wrt=(0, 1)),
    case("CosineEmbeddingLoss", lambda n: n.CosineEmbeddingLoss(0.1), of=signs(4, (4, 3), (4, 3)), wrt=(0, 1)),
    case("MultiMarginLoss", None, of=labelled(4, 3)),
    case(
        "MultiMarginLoss/arguments",
        lambda n: n.MultiMarginLoss(2, 0.5, weights(n, 1.0, 2.0, 0.5), reduction="none"),
        of=labelled(4, 3),
    ),
    case("MultiLabelMarginLoss", None, of=several_labels),
    case("MultiLabelMarginLoss/sum", lambda n: n.MultiLabelMarginLoss(reduction="sum"), of=several_labels),
    case(
        "MultiLabelSoftMarginLoss",
        lambda n: n.MultiLabelSoftMarginLoss(weights(n, 1.0, 2.0, 0.5)),
        of=lambda rng: (rng.standard_normal((4, 3)), rng.integers(0, 2, (4, 3)).astype(float)),
    ),
    case("TripletMarginLoss", None, *TRIPLET, wrt=(0, 1, 2)),
    case(
        "TripletMarginLoss/arguments",
        lambda n: n.TripletMarginLoss(2.0, 1.0, 1e-3, True, reduction="none"),
        *TRIPLET,
        wrt=(0, 1, 2),
    ),
    case("TripletMarginWithDistanceLoss", None, *TRIPLET, wrt=(0, 1, 2)),
    case(
        "TripletMarginWithDistanceLoss/arguments",
        lambda n: n.TripletMarginWithDistanceLoss(
            distance_function=n.CosineSimilarity(), margin=0.5, swap=True, reduction="sum"
        ),
        *TRIPLET,
        wrt=(0, 1, 2),
    ),
    case(
        "AdaptiveLogSoftmaxWithLoss",
        lambda n: n.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 6], 2.0),
        of=lambda rng: (rng.standard_normal((6, 8)), np.array([0, 2, 4, 5, 7, 11])),
    ),
    case(
        "AdaptiveLogSoftmaxWithLoss/an empty cluster",
        lambda n: n.AdaptiveLogSoftmaxWithLoss(16, 12, [3, 6], head_bias=True),
        of=lambda rng: (rng.standard_normal((3, 16)), np.array([8, 2, 8])),
    ),
]
