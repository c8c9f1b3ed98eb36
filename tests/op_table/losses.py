"""Cases of losses, checked against their definitions, one sample and one element at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.ops import cross_entropy, losses
from autograd_core.primitive import bind

from .case import OpCase, integers, normal, operands, uniform

INNER = "an inner step of other operations"


def reduced(values: np.ndarray, reduction: str) -> Any:
    if reduction == "none":
        return values
    return values.sum() / {"sum": 1, "mean": values.size, "batchmean": len(np.atleast_1d(values))}[reduction]


def by_elements(formula: Callable[..., float], reduction: str = "mean") -> Callable[..., Any]:
    """A loss from the formula for one element; operands that it does not take are weights."""

    def reference(*xs: np.ndarray) -> Any:
        x, t, *weights = np.broadcast_arrays(*xs)
        rows = zip(x.flat, t.flat, *(w.flat for w in weights))
        n = formula.__code__.co_argcount
        values = [formula(*v[:n]) * math.prod(v[n:]) for v in rows]
        return reduced(np.array(values).reshape(x.shape), reduction)

    return reference


def case(
    name: str,
    draws: tuple[Callable[[np.random.Generator], np.ndarray], ...],
    formula: Callable[..., float],
    keywords: tuple[str, ...] = (),
    **arguments: Any,
) -> OpCase:
    """An elementwise loss; operands after the first two are passed under ``keywords``."""
    function = name.partition("/")[0]

    def call(module: Any, xs: Any) -> Any:
        return getattr(module, function)(*xs[:2], **dict(zip(keywords, xs[2:])), **arguments)

    return OpCase(
        name,
        lambda *xs: call(losses, xs),
        operands(*draws),
        by_elements(formula, arguments.get("reduction", "mean")),
        lambda torch, *xs: call(torch.nn.functional, xs),
        # PyTorch gives no gradient of weights, and a weight is a constant of the problem
        differentiable=(0, 1) if keywords else None,
    )


def squared(x: float, t: float) -> float:
    return (x - t) ** 2


def absolute(x: float, t: float) -> float:
    return abs(x - t)


def huber(delta: float) -> Callable[[float, float], float]:
    return lambda x, t: (x - t) ** 2 / 2 if abs(x - t) <= delta else delta * (abs(x - t) - delta / 2)


def smooth(beta: float) -> Callable[[float, float], float]:
    return lambda x, t: huber(beta)(x, t) / beta


def binary(p: float, t: float) -> float:
    return -(t * math.log(p) + (1 - t) * math.log(1 - p))


def logistic(x: float, t: float) -> float:
    return binary(1 / (1 + math.exp(-x)), t)


def divergence(x: float, t: float) -> float:
    return t * (math.log(t) - x)


def halves(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Draws 0.5, 1.5, ...: off the kinks of a loss of counts; of whole numbers PyTorch loses digits."""
    return lambda rng: rng.integers(0, 5, shape) + 0.5


def poisson(x: float, t: float) -> float:
    return math.exp(x) - t * x


def stirling(t: float) -> float:
    return t * math.log(t) - t + math.log(2 * math.pi * t) / 2 if t > 1 else 0.0


def gaussian(x: float, t: float, v: float) -> float:
    return (math.log(v) + (x - t) ** 2 / v) / 2


def divergence_of_logs(x: float, t: float) -> float:
    return math.exp(t) * (t - x)


# ------------------------------------------------------------------------------------------- classification


def distribution(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    def draw(rng: np.random.Generator) -> np.ndarray:
        p = rng.uniform(0.1, 1.0, shape)
        return p / p.sum(axis=min(len(shape) - 1, 1), keepdims=True)

    return draw


def labels_with_gaps(*labels: int) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: np.array(labels)


def log_of_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def by_samples(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    logarithms: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy (``logarithms``: of log-probabilities) by its definition."""
    axis = min(x.ndim - 1, 1)
    scores = np.moveaxis(x, axis, -1)
    n_classes, shape = scores.shape[-1], scores.shape[:-1]
    of_classes = target.dtype.kind == "f"
    w = np.ones(n_classes) if weight is None else weight
    values, counts = np.zeros(shape), np.zeros(shape)
    targets = np.moveaxis(target, axis, -1) if of_classes else target
    for i in np.ndindex(shape):
        logp = scores[i] if logarithms else log_of_softmax(scores[i])
        if of_classes:
            p, counts[i] = targets[i], 1.0
        elif targets[i] == ignore_index:
            continue
        else:
            p, counts[i] = np.eye(n_classes)[targets[i]], w[targets[i]]
        p = (1 - label_smoothing) * p + label_smoothing / n_classes
        values[i] = -(w * p * logp).sum()
    return values.sum() / counts.sum() if reduction == "mean" else reduced(values, reduction)


def classification(
    name: str,
    *draws: Callable[[np.random.Generator], np.ndarray],
    differentiable: tuple[int, ...] = (0,),
    **arguments: Any,
) -> OpCase:
    function = name.partition("/")[0]
    return OpCase(
        name,
        lambda *xs: getattr(cross_entropy, function)(*xs, **arguments),
        operands(*draws),
        lambda *xs: by_samples(*xs, logarithms=function == "nll_loss", **arguments),
        lambda torch, *xs: getattr(torch.nn.functional, function)(*xs, **arguments),
        differentiable=differentiable,
    )


def own_class(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return by_samples(x, labels, reduction="none")


def slope(scale: np.ndarray, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    rows = [s * (np.exp(log_of_softmax(v)) - np.eye(len(v))[t]) for s, v, t in zip(scale, x, labels)]
    return np.array(rows).reshape(x.shape)


PAIR = (normal(2, 3), normal(2, 3))
UNIT = (uniform(0.1, 0.9, 2, 3), uniform(0.1, 0.9, 2, 3))
SCORES = (normal(2, 3), uniform(0.0, 1.0, 2, 3))
LOGS = (uniform(-2.0, -0.1, 2, 3), uniform(0.1, 0.9, 2, 3))
FACTORS = uniform(0.5, 2.0, 2, 3)
COUNTS = halves(2, 3)

CASES = [
    case("mse_loss", PAIR, squared),
    case("mse_loss/sum", PAIR, squared, reduction="sum"),
    case("mse_loss/none", PAIR, squared, reduction="none"),
    case("mse_loss/numbers", (normal(), normal()), squared),
    case("mse_loss/no samples", (normal(0, 3), normal(0, 3)), squared, reduction="sum"),
    case("l1_loss", PAIR, absolute),
    case("l1_loss/none", PAIR, absolute, reduction="none"),
    case("huber_loss", PAIR, huber(1.0)),
    case("huber_loss/delta", PAIR, huber(0.3), delta=0.3, reduction="none"),
    case("smooth_l1_loss", PAIR, smooth(1.0)),
    case("smooth_l1_loss/beta", PAIR, smooth(0.4), beta=0.4, reduction="sum"),
    case("smooth_l1_loss/beta 0", PAIR, absolute, beta=0.0),
    case("binary_cross_entropy", UNIT, binary),
    case("binary_cross_entropy/weight", (*UNIT, FACTORS), binary, ("weight",), reduction="none"),
    case("binary_cross_entropy_with_logits", SCORES, logistic),
    case(
        "binary_cross_entropy_with_logits/weight", (*SCORES, uniform(0.5, 2, 3)), logistic, ("weight",), reduction="sum"
    ),
    OpCase(
        "binary_cross_entropy_with_logits/pos_weight",
        lambda x, t, w, p: losses.binary_cross_entropy_with_logits(x, t, w, pos_weight=p),
        operands(*SCORES, FACTORS, uniform(0.5, 2.0, 3)),
        lambda x, t, w, p: (w * (p * t * np.log1p(np.exp(-x)) + (1 - t) * np.log1p(np.exp(x)))).mean(),
        lambda torch, x, t, w, p: torch.nn.functional.binary_cross_entropy_with_logits(x, t, w, pos_weight=p),
        differentiable=(0, 1),
    ),
    case("kl_div", LOGS, divergence, reduction="sum"),
    OpCase(
        "kl_div/mean",
        lambda x, t: losses.kl_div(x, t),
        operands(*LOGS),
        by_elements(divergence),
        no_torch="PyTorch warns that its mean will change",
    ),
    case("kl_div/batchmean", LOGS, divergence, reduction="batchmean"),
    case("kl_div/log_target", PAIR, divergence_of_logs, reduction="none", log_target=True),
    case("mse_loss/weight", (*PAIR, FACTORS), squared, ("weight",), reduction="none"),
    *[
        OpCase(
            f"{name}/weight, mean",
            lambda x, t, w, name=name: getattr(losses, name)(x, t, weight=w),
            operands(*PAIR, FACTORS),
            lambda x, t, w, formula=formula: by_elements(formula, "none")(x, t, w).sum() / w.sum(),
            lambda torch, x, t, w, name=name: getattr(torch.nn.functional, name)(x, t, weight=w),
        )
        for name, formula in (("mse_loss", squared), ("l1_loss", absolute))
    ],
    case("huber_loss/weight", (*PAIR, FACTORS), huber(1.0), ("weight",)),
    case("poisson_nll_loss", (normal(2, 3), COUNTS), poisson),
    case(
        "poisson_nll_loss/full",
        (normal(2, 3), COUNTS),
        lambda x, t: poisson(x, t) + stirling(t),
        full=True,
        reduction="none",
    ),
    case(
        "poisson_nll_loss/rates",
        (uniform(0.1, 3.0, 2, 3), COUNTS),
        lambda x, t: x - t * math.log(x + 1e-3),
        log_input=False,
        eps=1e-3,
        reduction="sum",
    ),
    case("gaussian_nll_loss", (*PAIR, FACTORS), gaussian, ("var",)),
    case(
        "gaussian_nll_loss/full",
        (*PAIR, FACTORS),
        lambda x, t, v: gaussian(x, t, v) + math.log(2 * math.pi) / 2,
        ("var",),
        full=True,
        reduction="none",
    ),
    *[
        OpCase(
            f"gaussian_nll_loss/{variant}",
            lambda x, t, v: losses.gaussian_nll_loss(x, t, v),
            operands(*PAIR, uniform(0.5, 2.0, *shape)),
            lambda x, t, v: np.mean([gaussian(*z) for z in zip(x.flat, t.flat, np.repeat(v, 3))]),
            lambda torch, x, t, v: torch.nn.functional.gaussian_nll_loss(x, t, v),
        )
        for variant, shape in (("rows", (2,)), ("rows, kept axis", (2, 1)))
    ],
    classification("cross_entropy", normal(4, 3), integers(0, 3, 4)),
    classification("cross_entropy/sum", normal(4, 3), integers(0, 3, 4), reduction="sum"),
    classification("cross_entropy/none", normal(4, 3), integers(0, 3, 4), reduction="none"),
    classification("cross_entropy/one sample", normal(3), integers(0, 3)),
    classification("cross_entropy/one sample, weight", normal(3), integers(0, 3), uniform(0.5, 2.0, 3)),
    classification("cross_entropy/pixels", normal(2, 3, 2, 2), integers(0, 3, 2, 2, 2), reduction="none"),
    classification("cross_entropy/weight", normal(4, 3), integers(0, 3, 4), uniform(0.5, 2.0, 3)),
    classification("cross_entropy/ignored", normal(4, 3), labels_with_gaps(0, -100, 2, -100)),
    classification("cross_entropy/a class ignored", normal(4, 3), labels_with_gaps(0, 1, 2, 1), ignore_index=1),
    classification(
        "cross_entropy/ignored, weight",
        normal(2, 3, 2),
        labels_with_gaps([0, 9], [1, 2]),
        uniform(0.5, 2.0, 3),
        ignore_index=9,
    ),
    classification("cross_entropy/smoothing", normal(4, 3), integers(0, 3, 4), label_smoothing=0.1),
    classification(
        "cross_entropy/smoothing, ignored, weight",
        normal(2, 3, 2),
        labels_with_gaps([0, -100], [1, 2]),
        uniform(0.5, 2.0, 3),
        label_smoothing=0.2,
    ),
    classification("cross_entropy/probabilities", normal(4, 3), distribution(4, 3), differentiable=(0, 1)),
    classification(
        "cross_entropy/probabilities of pixels",
        normal(2, 3, 2),
        distribution(2, 3, 2),
        uniform(0.5, 2.0, 3),
        label_smoothing=0.1,
        differentiable=(0, 1),
    ),
    classification("cross_entropy/probabilities of one", normal(3), distribution(3), differentiable=(0, 1)),
    *[
        OpCase(
            f"linear_cross_entropy/{variant}",
            lambda x, w, t, b: cross_entropy.linear_cross_entropy(x, w, t, linear_bias=b, label_smoothing=0.1),
            operands(normal(4, 2), normal(3, *shape, 2), integers(0, 3, 4, *shape), normal(3, *shape)),
            lambda x, w, t, b: by_samples(np.einsum("nd,c...d->nc...", x, w) + b, t, label_smoothing=0.1),
            lambda torch, x, w, t, b: torch.nn.functional.linear_cross_entropy(
                x, w, t, linear_bias=b, label_smoothing=0.1
            ),
        )
        for variant, shape in (("vectors", ()), ("two dimensions", (2,)))
    ],
    classification("nll_loss", normal(4, 3), integers(0, 3, 4)),
    classification("nll_loss/none", normal(2, 3, 2), integers(0, 3, 2, 2), reduction="none"),
    classification("nll_loss/ignored, weight", normal(4, 3), labels_with_gaps(0, -100, 2, 1), uniform(0.5, 2.0, 3)),
    OpCase(
        "softmax_cross_entropy",
        lambda x, labels: bind(cross_entropy.softmax_cross_entropy_p, (x, labels), {"axis": 1}),
        operands(normal(2, 3, 2), integers(0, 3, 2, 2)),
        own_class,
        no_torch=INNER,
    ),
    OpCase(
        "softmax_cross_entropy_slope",
        lambda *xs: bind(cross_entropy.softmax_cross_entropy_slope_p, xs, {"axis": 1}),
        operands(normal(4), normal(4, 3), integers(0, 3, 4)),
        slope,
        no_torch=INNER,
    ),
]
