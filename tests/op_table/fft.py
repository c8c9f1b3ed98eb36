"""Cases of Fourier transforms, against sums of products with powers of the root of unity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ag

from .case import OpCase, complex_normal, normal, operands

# what the sum is divided by, for n points: of the transform and of its inverse
FACTORS = {"backward": (0.0, 1.0), "ortho": (0.5, 0.5), "forward": (1.0, 0.0)}


def resized(x: np.ndarray, axis: int, n: int) -> np.ndarray:
    """``x`` cut off, or followed by zeros, along ``axis``."""
    x = np.moveaxis(x, axis, 0)
    y = np.zeros((n, *x.shape[1:]), x.dtype)
    y[: min(n, len(x))] = x[:n]
    return np.moveaxis(y, 0, axis)


def summed(x: np.ndarray, axis: int, sign: int, norm: str) -> np.ndarray:
    """The transform along one axis (``sign`` -1), or its inverse (1), by its definition."""
    n = x.shape[axis]
    matrix = np.exp(sign * 2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) / n ** FACTORS[norm][sign > 0]
    return np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)


def whole_spectrum(x: np.ndarray, axis: int, n: int) -> np.ndarray:
    """All n entries of a real signal's transform from the first n // 2 + 1: y_-k = conj(y_k)."""
    x = np.moveaxis(resized(x, axis, n // 2 + 1), axis, 0).astype(complex)
    y = np.zeros((n, *x.shape[1:]), complex)
    y[: n // 2 + 1] = x
    y[0] = x[0].real
    if n % 2 == 0:
        y[n // 2] = x[n // 2].real
    for k in range(1, (n + 1) // 2):
        y[n - k] = x[k].conj()
    return np.moveaxis(y, 0, axis)


def transform(sign: int, lengths: tuple, axes: tuple, norm: str = "backward") -> Callable:
    def reference(x: np.ndarray) -> np.ndarray:
        for n, axis in zip(lengths, axes, strict=True):
            x = summed(resized(x, axis, n), axis, sign, norm)
        return x

    return reference


def halved(n: int, axis: int, norm: str = "backward", sign: int = -1) -> Callable:
    return lambda x: np.take(transform(sign, (n,), (axis,), norm)(x), range(n // 2 + 1), axis)


def real_signal(n: int, axis: int, norm: str = "backward", sign: int = 1) -> Callable:
    return lambda x: summed(whole_spectrum(x, axis, n), axis, sign, norm).real.copy()


def case(name: str, make: Callable, reference: Callable, **arguments: Any) -> OpCase:
    function = name.partition("/")[0]
    theirs = {{"axis": "dim", "axes": "dim"}.get(k, k): v for k, v in arguments.items()}
    return OpCase(
        name,
        lambda x: getattr(ag.fft, function)(x, **arguments),
        operands(make),
        reference,
        (lambda torch, x: getattr(torch.fft, function)(x, **theirs)),
        own_dtype="half precision is transformed in single" if function.startswith(("irfft", "hfft")) else "",
    )


def frequencies(name: str, fn: Callable, expected: list[float], torch: Callable) -> OpCase:
    return OpCase(
        name,
        fn,
        lambda rng: (),
        lambda: np.array(expected, float),
        torch,
        differentiable=(),
        why_not="it has no operands",
    )


CASES = [
    case("fft", complex_normal(5), transform(-1, (5,), (0,))),
    case("fft/real", normal(2, 4), transform(-1, (4,), (1,))),
    case("fft/one point", complex_normal(2, 1), transform(-1, (1,), (1,))),
    case("fft/cut off", complex_normal(2, 5), transform(-1, (3,), (1,)), n=3),
    case("fft/filled up", complex_normal(3, 2), transform(-1, (5,), (0,)), n=5, axis=0),
    case("fft/ortho", complex_normal(2, 3), transform(-1, (3,), (1,), "ortho"), norm="ortho"),
    case("fft/forward", complex_normal(2, 3), transform(-1, (3,), (1,), "forward"), norm="forward"),
    case("ifft", complex_normal(5), transform(1, (5,), (0,))),
    case("ifft/filled up", complex_normal(3, 2), transform(1, (5,), (0,), "forward"), n=5, axis=0, norm="forward"),
    case("ifft/ortho", complex_normal(2, 3), transform(1, (3,), (1,), "ortho"), norm="ortho"),
    case("fftn", complex_normal(2, 3, 2), transform(-1, (2, 3, 2), (0, 1, 2))),
    case("fftn/s", complex_normal(2, 3, 2), transform(-1, (4, 1), (1, 2)), s=(4, 1)),
    case(
        "fftn/axes",
        complex_normal(2, 3, 2),
        transform(-1, (2, 4), (2, 0), "ortho"),
        s=(2, 4),
        axes=(-1, 0),
        norm="ortho",
    ),
    case("ifftn", complex_normal(2, 3), transform(1, (2, 3), (0, 1))),
    case("ifftn/axes", complex_normal(2, 3, 2), transform(1, (2, 2), (2, 0), "forward"), axes=(2, 0), norm="forward"),
    case("fft2", complex_normal(2, 3, 2), transform(-1, (3, 2), (1, 2))),
    case("ifft2", complex_normal(2, 3, 2), transform(1, (4, 2), (1, 2)), s=(4, 2)),
    case("rfft", normal(2, 6), halved(6, 1)),
    case("rfft/odd", normal(5), halved(5, 0)),
    case("rfft/one point", normal(1), halved(1, 0)),
    case("rfft/two points", normal(2), halved(2, 0)),
    case("rfft/cut off", normal(5, 2), halved(4, 0, "ortho"), n=4, axis=0, norm="ortho"),
    case("rfft/filled up", normal(3), halved(5, 0, "forward"), n=5, norm="forward"),
    case("irfft", complex_normal(2, 4), real_signal(6, 1)),
    case("irfft/odd", complex_normal(4), real_signal(7, 0, "ortho"), n=7, norm="ortho"),
    case("irfft/one point", complex_normal(2), real_signal(1, 0), n=1),
    case("irfft/cut off", complex_normal(4, 2), real_signal(4, 0, "forward"), n=4, axis=0, norm="forward"),
    case("irfft/filled up", complex_normal(2), real_signal(6, 0), n=6),
    case("irfft/real", normal(3), real_signal(4, 0)),
    case("rfftn", normal(3, 4), lambda x: transform(-1, (3,), (0,))(halved(4, 1)(x))),
    case(
        "rfftn/axes",
        normal(3, 2, 4),
        lambda x: transform(-1, (5,), (2,), "ortho")(halved(3, 0, "ortho")(x)),
        s=(5, 3),
        axes=(2, 0),
        norm="ortho",
    ),
    case("irfftn", complex_normal(3, 3), lambda x: real_signal(4, 1)(transform(1, (3,), (0,))(x))),
    case(
        "irfftn/axes",
        complex_normal(2, 2, 4),
        lambda x: real_signal(3, 0, "ortho")(transform(1, (5,), (2,), "ortho")(x)),
        s=(5, 3),
        axes=(2, 0),
        norm="ortho",
    ),
    case("rfft2", normal(2, 3, 4), lambda x: transform(-1, (3,), (1,))(halved(4, 2)(x))),
    case("irfft2", complex_normal(2, 3, 2), lambda x: real_signal(3, 2)(transform(1, (3,), (1,))(x)), s=(3, 3)),
    case("hfft", complex_normal(2, 4), real_signal(6, 1, "backward", -1)),
    case("hfft/odd", complex_normal(3), real_signal(5, 0, "ortho", -1), n=5, norm="ortho"),
    case("hfft/forward", complex_normal(3), real_signal(4, 0, "forward", -1), norm="forward"),
    case("ihfft", normal(2, 6), halved(6, 1, "backward", 1)),
    case("ihfft/odd", normal(3), halved(5, 0, "forward", 1), n=5, norm="forward"),
    case("fftshift", complex_normal(5), lambda x: x[[3, 4, 0, 1, 2]]),
    case("fftshift/axes", normal(3, 4), lambda x: x[:, [2, 3, 0, 1]], axes=(1,)),
    case("ifftshift", complex_normal(5), lambda x: x[[2, 3, 4, 0, 1]]),
    case("ifftshift/two axes", normal(3, 2), lambda x: x[[1, 2, 0]][:, [1, 0]]),
    frequencies(
        "fftfreq",
        lambda: ag.fft.fftfreq(5, 0.1, dtype="float64"),
        [0, 2, 4, -4, -2],
        lambda torch: torch.fft.fftfreq(5, 0.1, dtype=torch.float64),
    ),
    frequencies(
        "rfftfreq",
        lambda: ag.fft.rfftfreq(4, 0.5, dtype="float64"),
        [0, 0.5, 1],
        lambda torch: torch.fft.rfftfreq(4, 0.5, dtype=torch.float64),
    ),
]
