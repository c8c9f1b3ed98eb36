"""Cases of factorizations: Cholesky, QR, LU, eigenvalues, singular values, and what rests on these.

Eigenvectors are arbitrary up to phases: they are compared, and differentiated, as projectors v v^H.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matrix_references as by_hand
import numpy as np
from matrix_references import adjoint, each

import autograd_core as ag
from autograd_core import linalg

from .case import OpCase, complex_normal, normal, operands

Draw = Callable[[np.random.Generator], np.ndarray]
NO_SLOPE = "a count has no slope"
NO_BOOL = {"bool": "the case adds a matrix and its transpose, which is 'or' for booleans"}


def spread(*shape: int) -> Draw:
    """Matrices whose singular values lie apart."""
    m, n = shape[-2:]
    k = min(m, n)

    def draw(rng: np.random.Generator) -> np.ndarray:
        u, _, vh = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
        return u * (np.arange(k) + rng.uniform(0.8, 1.2, (*shape[:-2], 1, k))) @ vh

    return draw


def definite(*shape: int) -> Draw:
    """Symmetric matrices with eigenvalues near 1, 2, 3, ..."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        q = np.linalg.qr(rng.standard_normal(shape))[0]
        x = q * (1 + np.arange(shape[-1]) + rng.uniform(-0.2, 0.2, (*shape[:-2], 1, shape[-1]))) @ adjoint(q)
        return (x + adjoint(x)) / 2

    return draw


def turning(rng: np.random.Generator) -> np.ndarray:
    """Real matrices whose eigenvalues are complex."""
    return np.array([[[1.0, 3.0], [-2.0, 0.5]]]) + 0.2 * rng.standard_normal((2, 2, 2))


def complex_definite(*shape: int) -> Draw:
    def draw(rng: np.random.Generator) -> np.ndarray:
        x = complex_normal(*shape)(rng)
        return x @ adjoint(x) + np.diag(np.arange(shape[-1]) + 1.0)

    return draw


def whole(*shape: int) -> Draw:
    """Small whole numbers, whose products every dtype holds exactly."""
    return lambda rng: rng.integers(-2, 3, shape).astype(np.float64)


def symmetrized(x: Any) -> Any:
    return (x + ag.conj(x.mT)) / 2


def symmetric(x: np.ndarray) -> np.ndarray:
    return (x + adjoint(x)) / 2


def of_columns(v: Any) -> Any:
    """v_k v_k^H for every column, (..., k, n, n)."""
    rows = v.mT
    return rows[..., :, None] * ag.conj(rows)[..., None, :]


def of_pairs(u: Any, vh: Any) -> Any:
    """u_k v_k^H for every pair of singular vectors, (..., k, m, n)."""
    return u.mT[..., :, None] * vh[..., None, :]


def beyond(u: Any, k: int) -> Any:
    """The projector on the columns behind the first k."""
    rest = u[..., k:]
    return rest @ ag.conj(rest.mT)


# ------------------------------------------------------------------------------------------- triangles


def cholesky(variant: str, draw: Draw, upper: bool = False) -> OpCase:
    def reference(x: np.ndarray) -> np.ndarray:
        y = each(by_hand.cholesky)(symmetric(x))
        return adjoint(y) if upper else y

    return OpCase(
        f"cholesky{variant}",
        lambda x: linalg.cholesky(symmetrized(x), upper=upper),
        operands(draw),
        reference,
        lambda torch, x: torch.linalg.cholesky((x + x.mH) / 2, upper=upper),
        not_in=NO_BOOL,
    )


def qr(variant: str, draw: Draw, **more: Any) -> OpCase:
    return OpCase(
        f"qr{variant}",
        linalg.qr,
        operands(draw),
        each(by_hand.gram_schmidt),
        lambda torch, x: torch.linalg.qr(x),
        **more,
    )


def completed_qr(x: Any) -> Any:
    q, r = linalg.qr(x, mode="complete")
    n = x.shape[-1]
    return q[..., :n], beyond(q, n), r


def completed_by_hand(x: np.ndarray) -> tuple[np.ndarray, ...]:
    q, r = by_hand.gram_schmidt(x)
    m, n = x.shape
    return q, np.eye(m) - q @ adjoint(q), np.concatenate([r, np.zeros((m - n, n))])


def lu(variant: str, draw: Draw, **more: Any) -> OpCase:
    return OpCase(
        f"lu{variant}",
        linalg.lu,
        operands(draw),
        each(by_hand.elimination),
        lambda torch, x: torch.linalg.lu(x),
        jax=lambda jax, x: jax.vmap(jax.scipy.linalg.lu)(x),
        **more,
    )


# ------------------------------------------------------------------------------------------- eigenvalues


def eigh(x: Any) -> Any:
    w, v = linalg.eigh(symmetrized(x))
    return w, of_columns(v)


def torch_eigh(torch: Any, x: Any) -> Any:
    w, v = torch.linalg.eigh((x + x.mH) / 2)
    return w, v.mT[..., :, None] * v.mT.conj()[..., None, :]


def eig(x: Any) -> Any:
    w, v = linalg.eig(x)
    return w, of_columns(v)


def torch_eig(torch: Any, x: Any) -> Any:
    w, v = torch.linalg.eig(x)
    return w, v.mT[..., :, None] * v.mT.conj()[..., None, :]


# ------------------------------------------------------------------------------------------- singular values


def svd(variant: str, draw: Draw, full: bool = False, **more: Any) -> OpCase:
    def ours(x: Any) -> Any:
        k = min(x.shape[-2:])
        u, s, vh = linalg.svd(x, full_matrices=full)
        thin = s, of_pairs(u[..., :k], vh[..., :k, :])
        return (*thin, beyond(u, k), beyond(vh.mT, k)) if full else thin

    def reference(x: np.ndarray) -> tuple[np.ndarray, ...]:
        s, pairs = each(by_hand.svd)(x)
        if not full:
            return s, pairs
        pair = pairs.sum(axis=-3)
        outside_u = np.eye(x.shape[-2]) - pair @ adjoint(pair)
        outside_v = np.eye(x.shape[-1]) - np.swapaxes(pair, -1, -2) @ np.conj(pair)
        return s, pairs, outside_u, outside_v

    def theirs(torch: Any, x: Any) -> Any:
        u, s, vh = torch.linalg.svd(x, full_matrices=False)
        return s, u.mT[..., :, None] * vh[..., None, :]

    return OpCase(
        f"svd{variant}",
        ours,
        operands(draw),
        reference,
        None if full else theirs,
        no_torch="full_matrices has no derivative there" if full else "",
        no_jax="full_matrices has no derivative there" if full else "",
        **more,
    )


def singular_values(variant: str, draw: Draw) -> OpCase:
    return OpCase(
        f"svdvals{variant}",
        linalg.svdvals,
        operands(draw),
        lambda x: each(by_hand.svd)(x)[0],
        lambda torch, x: torch.linalg.svdvals(x),
    )


def pseudo_inverse(variant: str, draw: Draw) -> OpCase:
    return OpCase(
        f"pinv{variant}",
        linalg.pinv,
        operands(draw),
        each(by_hand.pseudo_inverse),
        lambda torch, x: torch.linalg.pinv(x),
    )


def least_squares(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
    vector = b.ndim == 1
    y = each(by_hand.pseudo_inverse)(a) @ b
    squares = (np.abs(a @ y - b) ** 2).sum(axis=-1 if vector else -2)
    rank = np.full(a.shape[:-2], min(a.shape[-2:]))
    return y, squares, rank, each(by_hand.svd)(a)[0]


def torch_least_squares(torch: Any, a: Any, b: Any) -> Any:
    y = torch.linalg.pinv(a) @ b
    squares = ((a @ y - b).abs() ** 2).sum(dim=-1 if b.ndim == 1 else -2)
    return y, squares, torch.linalg.matrix_rank(a), torch.linalg.svdvals(a)


def lstsq(variant: str, a: Draw, b: Draw) -> OpCase:
    return OpCase(
        f"lstsq{variant}",
        linalg.lstsq,
        operands(a, b),
        least_squares,
        torch_least_squares,
        no_jax="jax.numpy's takes single matrices, and leaves residuals out",
    )


CASES = [
    cholesky("", definite(2, 3, 3)),
    cholesky("/upper", definite(2, 2, 2), upper=True),
    cholesky("/complex", complex_definite(2, 2, 2)),
    cholesky("/upper complex", complex_definite(1, 2, 2), upper=True),
    qr("", spread(2, 3, 3)),
    qr("/tall", spread(2, 3, 2)),
    qr("/wide", spread(2, 2, 3), no_jax="it differentiates no wide matrices"),
    qr("/complex", complex_normal(1, 3, 2)),
    qr("/wide complex", complex_normal(1, 1, 2), no_jax="it differentiates no wide matrices"),
    OpCase(
        "qr/complete",
        completed_qr,
        operands(spread(2, 3, 2)),
        each(completed_by_hand),
        no_torch="mode='complete' has no derivative there",
        no_jax="mode='complete' has no derivative there",
    ),
    OpCase(
        "qr/complete complex",
        completed_qr,
        operands(complex_normal(1, 3, 1)),
        each(completed_by_hand),
        no_torch="mode='complete' has no derivative there",
        no_jax="mode='complete' has no derivative there",
    ),
    OpCase(
        "qr/r",
        lambda x: linalg.qr(x, mode="r"),
        operands(spread(1, 3, 2)),
        lambda x: each(by_hand.gram_schmidt)(x)[1],
        no_torch="mode='r' has no derivative there",
    ),
    lu("", normal(2, 3, 3)),
    lu("/tall", normal(2, 3, 2)),
    lu("/wide", normal(2, 2, 3)),
    lu("/complex", complex_normal(1, 2, 2), no_jax="its permutation is a real matrix"),
    OpCase(
        "eigh",
        eigh,
        operands(definite(2, 3, 3)),
        lambda x: each(by_hand.eigh)(symmetric(x)),
        torch_eigh,
        not_in=NO_BOOL,
    ),
    OpCase(
        "eigh/complex",
        eigh,
        operands(complex_definite(1, 3, 3)),
        lambda x: each(by_hand.eigh)(symmetric(x)),
        torch_eigh,
        not_in=NO_BOOL,
    ),
    OpCase(
        "eigvalsh",
        lambda x: linalg.eigvalsh(symmetrized(x)),
        operands(definite(2, 3, 3)),
        lambda x: each(by_hand.eigh)(symmetric(x))[0],
        lambda torch, x: torch.linalg.eigvalsh((x + x.mH) / 2),
        not_in=NO_BOOL,
    ),
    OpCase("eig", eig, operands(spread(1, 3, 3)), each(by_hand.eig), torch_eig),
    OpCase("eig/complex", eig, operands(complex_normal(2, 2, 2)), each(by_hand.eig), torch_eig),
    OpCase(
        "eigvals",
        linalg.eigvals,
        operands(spread(2, 3, 3)),
        lambda x: each(by_hand.eig)(x)[0],
        lambda torch, x: torch.linalg.eigvals(x),
    ),
    OpCase(
        "eigvals/complex",
        linalg.eigvals,
        operands(complex_normal(2, 2, 2)),
        lambda x: each(by_hand.eig)(x)[0],
        lambda torch, x: torch.linalg.eigvals(x),
    ),
    OpCase(
        "eigvals/pairs of real matrices",
        linalg.eigvals,
        operands(turning),
        lambda x: each(by_hand.eig)(x)[0],
        lambda torch, x: torch.linalg.eigvals(x),
    ),
    OpCase("eig/pairs of real matrices", eig, operands(turning), each(by_hand.eig), torch_eig),
    svd("/thin", spread(2, 3, 2)),
    svd("/thin wide", spread(2, 2, 3)),
    svd("/square", spread(2, 3, 3), full=True),
    svd("/full", spread(1, 3, 2), full=True),
    svd("/full wide", spread(1, 2, 3), full=True),
    svd("/thin complex", complex_normal(1, 3, 2)),
    svd("/full complex", complex_normal(1, 2, 3), full=True),
    singular_values("", spread(2, 3, 3)),
    singular_values("/tall", spread(2, 3, 2)),
    singular_values("/complex", complex_normal(1, 2, 3)),
    OpCase(
        "matrix_rank",
        linalg.matrix_rank,
        operands(lambda rng: whole(2, 3, 2)(rng) @ whole(2, 2, 3)(rng)),
        lambda x: np.array([np.linalg.matrix_rank(m, tol=1e-2) for m in x]),
        lambda torch, x: torch.linalg.matrix_rank(x),
        differentiable=(),
        why_not=NO_SLOPE,
        own_dtype="a count",
    ),
    OpCase(
        "matrix_rank/tolerance",
        lambda x: linalg.matrix_rank(x, rtol=ag.asarray([0.5, 0.1])),
        operands(lambda rng: np.broadcast_to(np.diag([1.0, 0.3, 0.05]), (2, 3, 3))),
        lambda x: np.array([1, 2]),
        lambda torch, x: torch.linalg.matrix_rank(x, rtol=torch.tensor([0.5, 0.1])),
        differentiable=(),
        why_not=NO_SLOPE,
        own_dtype="a count",
        not_in=dict.fromkeys(
            ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
            "whole numbers lie beside the tolerance",
        ),
        not_empty="two tolerances for two matrices",
        no_jax="the tolerance is a tensor of ours",
    ),
    pseudo_inverse("", spread(2, 3, 2)),
    pseudo_inverse("/wide", spread(2, 2, 3)),
    pseudo_inverse("/complex", complex_normal(1, 3, 2)),
    OpCase(
        "pinv/rank missing",
        lambda b, c: linalg.pinv(b @ c, rtol=1e-6),
        operands(spread(2, 3, 2), spread(2, 2, 3)),
        lambda b, c: each(by_hand.pseudo_inverse)(c) @ each(by_hand.pseudo_inverse)(b),
        lambda torch, b, c: torch.linalg.pinv(b @ c, rtol=1e-6),
        not_in={
            "float16": "rounding fills the missing rank",
            "bfloat16": "rounding fills the missing rank",
            "bool": "the product of booleans is 'or'",
        },
    ),
    lstsq("", spread(2, 3, 2), normal(2, 3, 2)),
    lstsq("/vector", spread(3, 2), normal(3)),
    lstsq("/wide", spread(2, 2, 3), normal(2, 2)),
    lstsq("/complex", complex_normal(1, 3, 2), complex_normal(1, 3, 1)),
]
