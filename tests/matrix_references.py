"""Functions of matrices by their definitions, in plain loops: what those of LAPACK are compared with.

Each takes single matrices; ``each`` runs one over stacks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray


def each(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` of single matrices as a function of stacks, whose leading axes broadcast."""

    def run(*xs: Array, **arguments: Any) -> Any:
        batch = np.broadcast_shapes(*(x.shape[:-2] for x in xs))
        stacks = [np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in xs]
        results = [f(*(x[index] for x in stacks), **arguments) for index in np.ndindex(*batch)]
        if not results:
            raise ValueError("an empty stack says nothing about the shape of the results")
        if isinstance(results[0], tuple):
            return tuple(np.array(piece).reshape(*batch, *np.shape(piece[0])) for piece in zip(*results, strict=True))
        return np.array(results).reshape(*batch, *np.shape(results[0]))

    return run


def adjoint(x: Array) -> Array:
    return np.conj(np.swapaxes(x, -1, -2))


def det(x: Array) -> Any:
    """Leibniz' sum over permutations."""
    n = len(x)
    total = np.zeros((), x.dtype)
    for order in itertools.permutations(range(n)):
        inversions = sum(order[i] > order[j] for i in range(n) for j in range(i + 1, n))
        total = total + (-1) ** inversions * prod([x[i, order[i]] for i in range(n)], start=x.dtype.type(1))
    return total


def cofactors(x: Array) -> Array:
    n = len(x)
    y = np.zeros_like(x)
    for i, j in np.ndindex(n, n):
        y[i, j] = (-1) ** (i + j) * det(np.delete(np.delete(x, i, 0), j, 1))
    return y


def inverse(x: Array) -> Array:
    """Cramer's rule."""
    return cofactors(x).T / det(x)


def solution(x: Array, b: Array) -> Array:
    return inverse(x) @ b


def cholesky(x: Array) -> Array:
    """Row by row (Cholesky, Banachiewicz)."""
    y = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(i):
            y[i, j] = (x[i, j] - y[i, :j] @ np.conj(y[j, :j])) / y[j, j]
        y[i, i] = np.sqrt(x[i, i].real - (np.abs(y[i, :i]) ** 2).sum())
    return y


def gram_schmidt(x: Array) -> tuple[Array, Array]:
    """Orthonormal columns and triangle, with the signs that LAPACK's have."""
    m, n = x.shape
    q = np.zeros((m, min(m, n)), x.dtype)
    for k in range(min(m, n)):
        rest = x[:, k] - q[:, :k] @ (adjoint(q[:, :k]) @ x[:, k])
        q[:, k] = rest / np.sqrt((np.abs(rest) ** 2).sum())
    signs = np.sign(np.diagonal(np.linalg.qr(x)[1]).real)
    q = q * signs
    return q, np.triu(adjoint(q) @ x)


def elimination(x: Array) -> tuple[Array, Array, Array]:
    """P, L, U; complex pivots by the sum of the moduli of their parts, as LAPACK takes them."""
    m, n = x.shape
    k = min(m, n)
    upper, lower, p = x.copy(), np.eye(m, k, dtype=x.dtype), np.eye(m, dtype=x.dtype)
    for c in range(k):
        pivot = max(range(c, m), key=lambda r: abs(upper[r, c].real) + abs(upper[r, c].imag))
        upper[[c, pivot]] = upper[[pivot, c]]
        p[:, [c, pivot]] = p[:, [pivot, c]]
        lower[[c, pivot], :c] = lower[[pivot, c], :c]
        for r in range(c + 1, m):
            lower[r, c] = upper[r, c] / upper[c, c]
            upper[r] = upper[r] - lower[r, c] * upper[c]
    return p, lower, np.triu(upper[:k])


def spectral_projectors(x: Array, w: Array) -> Array:
    """y[k] = v_k v_k^H for eigenvectors of length 1 of the distinct eigenvalues w, by Lagrange's polynomials."""
    found = []
    for k in range(len(w)):
        oblique = np.eye(len(x), dtype=np.result_type(x, w))
        for j in range(len(w)):
            if j != k:
                oblique = oblique @ (x - w[j] * np.eye(len(x))) / (w[k] - w[j])
        square = oblique @ adjoint(oblique)
        found.append(square / np.trace(square))
    return np.array(found).reshape(len(w), *x.shape)


def eigh(x: Array) -> tuple[Array, Array]:
    """Eigenvalues by the general algorithm, sorted, and projectors."""
    w = np.sort(np.linalg.eigvals(x).real)
    projectors = spectral_projectors(x, w)
    return w, projectors if np.iscomplexobj(x) else projectors.real


def eig(x: Array) -> tuple[Array, Array]:
    w = np.linalg.eigvals(x).astype(np.complex128)
    return w, spectral_projectors(x, w)


def svd(x: Array) -> tuple[Array, Array]:
    """Singular values, and y[k] = u_k v_k^H, from the eigenvalues of the smaller of x x^H and x^H x."""
    if x.shape[0] > x.shape[1]:
        s, terms = svd(adjoint(x))
        return s, adjoint(terms)
    w, projectors = eigh(x @ adjoint(x))
    s = np.sqrt(w[::-1])
    return s, projectors[::-1] @ x / s[:, None, None]


def pseudo_inverse(x: Array) -> Array:
    """Of full rank, by the normal equations."""
    if x.shape[0] >= x.shape[1]:
        return inverse(adjoint(x) @ x) @ adjoint(x)
    return adjoint(x) @ inverse(x @ adjoint(x))


def exponential(x: Array) -> Array:
    """The power series of x / 2^10, squared ten times."""
    term = total = np.eye(len(x), dtype=x.dtype)
    for k in range(1, 20):
        term = term @ x / (k * 1024)
        total = total + term
    for _ in range(10):
        total = total @ total
    return total
