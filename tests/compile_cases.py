"""The op table as programs: values and gradients of several cases in one function, and which cases are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from op_checks import arrays, as_float32, normal_like
from op_table import CASES, OpCase

import autograd_core as ag
from autograd_core import tree
from autograd_core.aval import as_dtype, is_inexact

TOGETHER = 6  # cases in one program
OF_EACH = 3  # cases of one function, unless every case is asked for
# Relative, and for elements that cancel relative to the largest of their array: compiled code adds up in another order,
# fuses a * b + c into one rounding, and has elementary functions of its own.
TOLERANCE = {np.dtype(t): 1e-5 if t in ("f", "F") else 1e-11 for t in "fdFD"}

ARRAY = "pass it as an argument"
AS_MANY = r"as many elements as values say, at .*keep all elements and choose with ag\.where"
_CLOSED_OVER = "the case's arrays are no operands; the same operation with operands: test_arrays_that_are_operands"
_COUNTED = "how many there are depends on values"

# name, or function -> (what the error says, why it is right to refuse)
REFUSED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            "scaled_dot_product_attention/mask",
            "scaled_dot_product_attention/mask-of-a-blind-query",
            "scaled_dot_product_attention/infinite-mask",
            "scaled_dot_product_attention/causal-and-mask",
            "scaled_dot_product_attention/mask-a-head",
            "scaled_dot_product_attention/mask-of-keys",
            "multi_head_attention_forward/padding",
            "multi_head_attention_forward/padding-fused",
            "multi_head_attention_forward/hidden",
            "multi_head_attention_forward/mask-of-numbers",
            "multi_head_attention_forward/mask-a-head",
            "multi_head_attention_forward/static-keys",
            "multi_head_attention_forward/more-keys",
            "multi_head_attention_forward/nothing-to-see",
            "conv2d/input-gradient",
            "conv2d/input-gradient-stride",
            "conv2d/weight-gradient",
            "conv2d/weight-gradient-dilation",
            "getitem/array",
            "getitem/matrix-of-indices",
            "getitem/array-second-axis",
            "getitem/arrays",
            "getitem/arrays-broadcast",
            "getitem/arrays-after-slice",
            "getitem/arrays-parted",
            "getitem/int-and-array-parted",
            "getitem/array-and-slice",
            "getitem/array-and-backwards",
            "getitem/mask",
            "getitem/mask-first-axis",
            "getitem/mask-second-axis",
            "getitem/mask-of-two-axes",
            "getitem/mask-after-ellipsis-and-int",
            "getitem/mask-and-array",
            "getitem/mask-nothing",
            "at/set array",
            "at/set array-second-axis",
            "at/set arrays-parted",
            "at/set array-and-slice",
            "at/set mask",
            "at/add array",
            "at/add arrays",
            "at/add mask",
            "at/multiply array",
            "masked_fill",
            "masked_fill/tensor",
            "masked_select",
        ),
        (ARRAY, _CLOSED_OVER),
    ),
    **dict.fromkeys(
        ("nonzero", "getitem/truth", "unique_values", "unique_counts", "unique_inverse", "unique_all"),
        (AS_MANY, _COUNTED),
    ),
    "transfer": ("the function was captured for", "a compiled function runs on one device"),
}


def refusal(case: OpCase) -> tuple[str, str] | None:
    """What the error says for a case that is refused, and why it is; by name, or for all cases of a function."""
    return REFUSED.get(case.name) or REFUSED.get(case.function)


@dataclass(frozen=True)
class Program:
    """One case, with its operands and the cotangents for its floating results."""

    case: OpCase
    operands: tuple[np.ndarray, ...]
    cotangents: tuple[np.ndarray, ...]
    wrt: tuple[int, ...]

    @property
    def inputs(self) -> tuple[np.ndarray, ...]:
        return (*self.operands, *self.cotangents)

    def run(self, *tensors: ag.Tensor) -> list[ag.Tensor]:
        """The results, then the gradients of the operands that have any."""
        primals, cotangents = tensors[: len(self.operands)], tensors[len(self.operands) :]
        results = tree.flatten(self.case.fn(*primals))[0]
        if not self.wrt:
            return results

        def f(*chosen: ag.Tensor) -> tuple[ag.Tensor, ...]:
            full = list(primals)
            for i, x in zip(self.wrt, chosen, strict=True):
                full[i] = x
            return tuple(y for y in tree.flatten(self.case.fn(*full))[0] if is_inexact(y.dtype))

        _, pull = ag.vjp(f, *[primals[i] for i in self.wrt])
        return [*results, *pull(tuple(cotangents))]


def program(case: OpCase, *, single: bool) -> Program:
    """A case in float32 or float64."""
    xs = arrays(case)
    if single:
        xs = as_float32(xs)
    wrt = case.argnums(xs)
    results = tree.flatten(case.fn(*[ag.tensor(x) for x in xs]))[0] if wrt else []
    rng = np.random.default_rng(1)
    return Program(case, xs, tuple(normal_like(rng, y) for y in results if is_inexact(y.dtype)), wrt)


def halved(case: OpCase, dtype: str) -> Program:
    """A case in half precision; TypeError for one that has complex numbers."""
    xs = tuple(a.astype(as_dtype(dtype)) if a.dtype.kind == "f" else a for a in arrays(case))
    wrt = case.argnums(xs)
    results = tree.flatten(case.fn(*[ag.tensor(x) for x in xs]))[0] if wrt else []
    inexact = [y for y in results if is_inexact(y.dtype)]
    if any(x.dtype.kind == "c" for x in (*xs, *inexact)):
        raise TypeError(f"{case.name} has complex numbers, which there are none of in {dtype}")
    rng = np.random.default_rng(1)
    return Program(case, xs, tuple(rng.standard_normal(y.shape).astype(y.dtype) for y in inexact), wrt)


def together(programs: Sequence[Program]) -> Callable[..., list[list[ag.Tensor]]]:
    """All of them as one function of all their inputs."""

    def run(*tensors: ag.Tensor) -> list[list[ag.Tensor]]:
        given = iter(tensors)
        return [p.run(*[next(given) for _ in p.inputs]) for p in programs]

    return run


def chunks(every: bool) -> Iterator[tuple[str, list[OpCase]]]:
    """The cases that are compiled, those of one function together, with a name for each of these lists.

    Of functions with many cases ``OF_EACH``, spread over their list, unless ``every`` one is wanted.
    """
    accepted = sorted((c for c in CASES if refusal(c) is None), key=lambda c: c.function)
    for function, group in groupby(accepted, key=lambda c: c.function):
        own = list(group)
        if not every and len(own) > OF_EACH:
            own = [own[i * len(own) // OF_EACH] for i in range(OF_EACH)]
        for i in range(0, len(own), TOGETHER):
            yield function if len(own) <= TOGETHER else f"{function}/{i // TOGETHER}", own[i : i + TOGETHER]


def assert_close(found: Any, expected: Any, what: str, tolerances: dict[np.dtype, float] = TOLERANCE) -> None:
    """Equal shape and dtype; whole numbers and truth values equal, others to rounding."""
    a, b = found.numpy(), expected.numpy()
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    assert a.dtype == b.dtype, f"{what}: {a.dtype}, expected {b.dtype}"
    tolerance = tolerances.get(b.dtype, 0.0)
    scale = float(np.abs(b[np.isfinite(b)]).max(initial=0)) if tolerance else 0.0
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, err_msg=what)
