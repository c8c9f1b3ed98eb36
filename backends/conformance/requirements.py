"""How a check says what it found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.errors import AutogradError

TOLERANCE = {"float16": 5e-3, "float32": 2e-5, "complex64": 2e-5}  # relative; 1e-11 for those of 64 bits a number


class Nonconformance(AssertionError):
    """A backend does not do what the protocol or the reference says."""


def require(condition: Any, message: str) -> None:
    if not condition:
        raise Nonconformance(message)


def raised(kind: type[AutogradError], attempt: Callable[[], Any]) -> AutogradError:
    try:
        attempt()
    except kind as error:
        return error
    except Exception as error:
        raise Nonconformance(f"must raise {kind.__name__}, raised {type(error).__name__}: {error}") from error
    raise Nonconformance(f"must raise {kind.__name__}, raised nothing")


def close(found: np.ndarray, expected: np.ndarray, what: str, *, each: bool = False) -> None:
    """Equal shape and dtype; floating values equal to within rounding of the largest of them, or (``each``) of each."""
    if expected.dtype.kind not in "fc":
        return same(found, expected, what)
    require(found.shape == expected.shape, f"{what} must have shape {expected.shape}, has {found.shape}")
    require(found.dtype == expected.dtype, f"{what} must have dtype {expected.dtype}, has {found.dtype}")
    relative = TOLERANCE.get(expected.dtype.name, 1e-11)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max()) if finite.size and not each else np.finfo(expected.dtype).eps
    wrong = ~np.isclose(found, expected, rtol=relative, atol=relative * scale, equal_nan=True)
    if wrong.any():
        place = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(wrong)))
        a, e = np.atleast_1d(found)[place], np.atleast_1d(expected)[place]
        raise Nonconformance(f"{what} must be {e!r} at {place}, is {a!r} ({int(wrong.sum())} of {wrong.size} differ)")


def same(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Equal shape, dtype and bits (but for the sign and payload of NaN)."""
    require(found.shape == expected.shape, f"{what} must have shape {expected.shape}, has {found.shape}")
    require(found.dtype == expected.dtype, f"{what} must have dtype {expected.dtype}, has {found.dtype}")
    has_nan = expected.dtype.kind in "fc" and np.isnan(expected).any()
    if not (np.array_equal(found, expected, equal_nan=True) if has_nan else found.tobytes() == expected.tobytes()):
        raise Nonconformance(f"{what} must be {expected!r}, is {found!r}")
