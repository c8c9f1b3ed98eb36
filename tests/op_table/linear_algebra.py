"""Cases of products and diagonals."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core import linalg
from autograd_core.ops import linear_algebra
from autograd_core.ops.diagonals import embed_diagonal_p
from autograd_core.primitive import bind

from .case import OpCase, complex_normal, normal, operands

ABSENT = "PyTorch has no such function"
INNER = "an inner step of other operations"


def case(
    name: str,
    *shapes: tuple[int, ...],
    reference: Callable[..., Any] | None = None,
    torch: Callable[..., Any] | None = None,
    no_torch: str = "",
    draw: Callable[..., Any] = normal,
    **arguments: Any,
) -> OpCase:
    """A function of normal operands, compared with NumPy's of that name and with PyTorch's."""
    function = name.partition("/")[0]
    home = linalg if hasattr(linalg, function) else linear_algebra
    if torch is None and not no_torch:

        def torch(torch: Any, *xs: Any) -> Any:
            return getattr(torch, function)(*xs, **arguments)

    return OpCase(
        name,
        lambda *xs: getattr(home, function)(*xs, **arguments),
        operands(*(draw(*shape) for shape in shapes)),
        reference or (lambda *xs: getattr(np, function)(*xs, **arguments)),
        torch,
        no_torch=no_torch,
    )


def einsum(subscripts: str, *shapes: tuple[int, ...], no_torch: str = "") -> OpCase:
    return OpCase(
        f"einsum/{subscripts}",
        lambda *xs: linear_algebra.einsum(subscripts, *xs),
        operands(*(normal(*shape) for shape in shapes)),
        lambda *xs: np.einsum(subscripts, *xs),
        None if no_torch else lambda torch, *xs: torch.einsum(subscripts, *xs),
        no_torch=no_torch,
    )


def embedded(x: np.ndarray, offset: int, n: int, m: int) -> np.ndarray:
    y = np.zeros((*x.shape[:-1], n, m))
    for i in range(x.shape[-1]):
        y[..., i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return y


def in_lists(x1: Any, x2: Any) -> Any:
    return linear_algebra.einsum(x1, [..., 5, 1], x2, [1, 3], [3, ..., 5])


def chain(*shapes: tuple[int, ...]) -> OpCase:
    return OpCase(
        f"multi_dot/{len(shapes)} from {shapes[0]} to {shapes[-1]}",
        lambda *xs: linalg.multi_dot(xs),
        operands(*(normal(*shape) for shape in shapes)),
        lambda *xs: functools.reduce(np.matmul, xs),
        lambda torch, *xs: torch.linalg.multi_dot(xs),
    )


def vecdot(torch: Any, x1: Any, x2: Any) -> Any:
    return torch.linalg.vecdot(x1, x2)


def cross(torch: Any, x1: Any, x2: Any) -> Any:
    return torch.linalg.cross(x1, x2)


def affine(torch: Any, x: Any, w: Any, *b: Any) -> Any:
    return torch.nn.functional.linear(x, w, *b)


CASES = [
    case("matmul", (2, 3), (3, 4)),
    case("matmul/vectors", (3,), (3,)),
    case("matmul/row", (3,), (3, 2)),
    case("matmul/column", (2, 3), (3,)),
    case("matmul/batch", (2, 2, 3), (2, 3, 2)),
    case("matmul/batch of rows with one matrix", (2, 2, 3), (3, 4)),
    case("matmul/one matrix with a batch", (2, 3), (3, 3, 2)),
    case("matmul/one row with a batch", (3,), (2, 3, 2)),
    case("matmul/batch with a column", (2, 2, 3), (3,)),
    case("matmul/broadcast batches", (2, 1, 2, 3), (3, 3, 1)),
    case("matmul/lengths of one", (1, 2, 3), (4, 3, 1)),
    case("matmul/nothing summed", (2, 0), (0, 3)),
    case("matmul/no rows", (0, 2, 3), (3, 2)),
    case("matmul/empty batch", (2, 3), (0, 3, 2)),
    case("linear", (4, 3), (2, 3), (2,), reference=lambda x, w, b: x @ w.T + b, torch=affine),
    case("linear/no bias", (4, 3), (2, 3), reference=lambda x, w: x @ w.T, torch=affine),
    case("linear/leading axes", (2, 2, 3), (4, 3), (4,), reference=lambda x, w, b: x @ w.T + b, torch=affine),
    case("linear/vector", (3,), (4, 3), (4,), reference=lambda x, w, b: x @ w.T + b, torch=affine),
    einsum("ij,jk->ik", (2, 3), (3, 4)),
    einsum("ij,jk->ki", (2, 3), (3, 4)),
    einsum("ba", (2, 3)),
    einsum("ij,jk", (2, 3), (3, 2)),
    einsum("ij -> ", (2, 3)),
    einsum("ii->i", (3, 3)),
    einsum("ii", (3, 3)),
    einsum("ijij->ji", (2, 3, 2, 3)),
    einsum("iij,jk->ik", (2, 2, 3), (3, 2)),
    einsum("i,i->i", (3,), (3,)),
    einsum("i,j->ji", (3,), (4,)),
    einsum("bi,bi->b", (2, 3), (2, 3)),
    einsum("ij,kl->", (2, 2), (2, 3)),
    einsum(",i->i", (), (3,)),
    einsum("bqhd,bkhd->bhqk", (1, 2, 2, 3), (1, 3, 2, 3)),
    einsum("bhqk,bkhd->bqhd", (2, 2, 2, 3), (2, 3, 2, 1)),
    einsum("...ij,...jk->...ik", (2, 1, 2, 3), (2, 3, 2)),
    einsum("i...,...j->j...i", (2, 3), (3, 2), no_torch="its result has another layout of '...'"),
    einsum("...,...", (2, 3), (3,)),
    einsum("ij, jk -> ik", (2, 1), (3, 2), no_torch="only NumPy is asked to stretch a named axis"),
    einsum("ij,jk,kl->il", (2, 3), (3, 2), (2, 4)),
    einsum("a,b,c->cab", (2,), (3,), (2,)),
    einsum("ab,b,cb->ac", (2, 3), (3,), (2, 3)),
    einsum("abc,cd,def,a->ebf", (2, 2, 3), (3, 2), (2, 1, 2), (2,)),
    OpCase(
        "einsum/lists",
        in_lists,
        operands(normal(2, 2, 3), normal(3, 2)),
        lambda x1, x2: np.einsum("...fb,bd->d...f", x1, x2),
        lambda torch, x1, x2: torch.einsum("...fb,bd->d...f", x1, x2),
    ),
    case("tensordot", (2, 3, 2), (3, 2, 4), torch=lambda torch, x1, x2: torch.tensordot(x1, x2, dims=2)),
    case("tensordot/none", (2,), (3,), axes=0, torch=lambda torch, x1, x2: torch.tensordot(x1, x2, dims=0)),
    case(
        "tensordot/pairs",
        (2, 3, 4),
        (4, 2, 2),
        axes=((0, -1), (1, 0)),
        torch=lambda torch, x1, x2: torch.tensordot(x1, x2, dims=((0, 2), (1, 0))),
    ),
    case("dot", (3,), (3,)),
    case("dot/matrices", (2, 3), (3, 2), no_torch="torch.dot takes vectors only"),
    case("dot/number", (), (3,), no_torch="torch.dot takes vectors only"),
    case("dot/many axes", (2, 3), (2, 3, 2), no_torch="torch.dot takes vectors only"),
    case("vecdot", (2, 3), (2, 3), torch=vecdot),
    case("vecdot/broadcast", (2, 1, 3), (2, 3), torch=vecdot),
    case("vecdot/axis", (3, 2), (3, 2), axis=-2, torch=lambda torch, x1, x2: torch.linalg.vecdot(x1, x2, dim=0)),
    case("inner", (2, 3), (2, 2, 3)),
    case("inner/vectors", (3,), (3,)),
    case("inner/number", (), (3,)),
    case("inner/complex", (2, 3), (3,), draw=complex_normal),
    case("vdot", (3,), (3,)),
    case("vdot/matrices", (2, 3), (3, 2), no_torch="torch.vdot takes vectors only"),
    case("vdot/complex", (3,), (3,), draw=complex_normal),
    case("outer", (3,), (2,)),
    case("outer/empty", (0,), (2,)),
    case("kron", (2, 2), (1, 3)),
    case("kron/other dimensions", (2,), (2, 1, 2)),
    case("kron/fewer dimensions on the right", (2, 1, 2), (2,)),
    case(
        "diagonal",
        (2, 3, 4),
        reference=lambda x: np.diagonal(x, 0, -2, -1),
        torch=lambda torch, x: torch.diagonal(x, 0, -2, -1),
    ),
    case(
        "diagonal/above",
        (3, 4),
        offset=2,
        reference=lambda x: np.diagonal(x, 2),
        torch=lambda torch, x: torch.diagonal(x, 2),
    ),
    case(
        "diagonal/below",
        (2, 4, 3),
        offset=-1,
        reference=lambda x: np.diagonal(x, -1, -2, -1),
        torch=lambda torch, x: torch.diagonal(x, -1, -2, -1),
    ),
    OpCase(
        "embed_diagonal",
        lambda x: bind(embed_diagonal_p, (x,), {"shape": (2, 4, 3), "offset": -1}),
        operands(normal(2, 3)),
        lambda x: embedded(x, -1, 4, 3),
        no_torch=INNER,
        not_empty="the shape of the result is a parameter",
    ),
    case("trace", (3, 3)),
    case(
        "trace/batch above",
        (2, 3, 4),
        offset=1,
        reference=lambda x: np.trace(x, 1, -2, -1),
        no_torch="torch.trace takes matrices only",
    ),
    case("cross", (2, 3), (2, 3), torch=cross),
    case("cross/broadcast", (2, 1, 3), (1, 2, 3), torch=cross),
    case("cross/axis", (3, 2), (3, 2), axis=-2, torch=lambda torch, x1, x2: torch.linalg.cross(x1, x2, dim=-2)),
    chain((2, 3), (3, 4)),
    chain((2, 3), (3, 1), (1, 2)),
    chain((3,), (3, 2), (2, 2), (2,)),
    case("matmul/complex", (2, 3), (3, 2), draw=complex_normal),
    case("matmul/complex batches", (2, 2, 3), (3, 2), draw=complex_normal),
    case(
        "linear/complex",
        (2, 2, 3),
        (4, 3),
        (4,),
        reference=lambda x, w, b: x @ w.T + b,
        torch=affine,
        draw=complex_normal,
    ),
    case("vecdot/complex", (2, 3), (2, 3), torch=vecdot, draw=complex_normal),
    case("outer/complex", (2,), (3,), draw=complex_normal),
    case("cross/complex", (3,), (3,), torch=cross, draw=complex_normal),
    case(
        "trace/complex",
        (2, 3, 3),
        reference=lambda x: np.trace(x, 0, -2, -1),
        torch=lambda torch, x: torch.diagonal(x, 0, -2, -1).sum(-1),
        draw=complex_normal,
    ),
]
