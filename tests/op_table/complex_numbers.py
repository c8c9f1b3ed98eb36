"""Cases of complex numbers: parts, conjugates, polar form."""

from __future__ import annotations

import cmath
from collections.abc import Callable

import numpy as np

import autograd_core as ag

from .case import OpCase, complex_normal, normal, operands, uniform


def parts_of(function: Callable) -> Callable:
    """A NumPy function of complex arrays, of the parts one by one."""
    return lambda x: np.array([function(complex(v)) for v in x.reshape(-1)]).reshape(x.shape)


CASES = [
    OpCase("conj", ag.conj, operands(normal(3)), np.array, lambda torch, x: torch.conj(x)),
    OpCase(
        "conj/complex",
        ag.conj,
        operands(complex_normal(3, 2)),
        parts_of(lambda z: complex(z.real, -z.imag)),
        lambda torch, x: torch.conj(x).resolve_conj(),
    ),
    OpCase("real", ag.real, operands(complex_normal(3, 2)), parts_of(lambda z: z.real), lambda torch, x: x.real),
    OpCase("real/of real", ag.real, operands(normal(3)), np.array, lambda torch, x: torch.real(x)),
    OpCase("imag", ag.imag, operands(complex_normal(3, 2)), parts_of(lambda z: z.imag), lambda torch, x: x.imag),
    OpCase(
        "imag/of real",
        ag.imag,
        operands(normal(3)),
        lambda x: x.imag.copy(),
        no_torch="refuses real tensors",
        differentiable=(),
        why_not="the imaginary part of a real number is the constant 0",
    ),
    OpCase(
        "complex",
        ag.complex,
        operands(normal(3, 2), normal(3, 2)),
        lambda re, im: re + 1j * im,
        lambda torch, re, im: torch.complex(re, im),
    ),
    OpCase(
        "complex/broadcast",
        ag.complex,
        operands(normal(3, 1), normal(2)),
        lambda re, im: re + 1j * im,
        no_torch="operands must have one shape",
    ),
    OpCase(
        "view_as_real",
        ag.view_as_real,
        operands(complex_normal(3, 2)),
        lambda x: np.stack([x.real, x.imag], -1),
        lambda torch, x: torch.view_as_real(x),
    ),
    OpCase(
        "view_as_complex",
        ag.view_as_complex,
        operands(normal(3, 2)),
        lambda x: x[:, 0] + 1j * x[:, 1],
        lambda torch, x: torch.view_as_complex(x),
    ),
    OpCase(
        "isreal",
        ag.isreal,
        lambda rng: (np.array([1.0, 2j, 0, 1 + 1j]),),
        lambda x: np.array([True, False, True, False]),
        lambda torch, x: torch.isreal(x),
        differentiable=(),
        why_not="its results are booleans",
    ),
    OpCase(
        "iscomplex",
        ag.iscomplex,
        lambda rng: (np.array([1.0, 2j, 0, 1 + 1j]),),
        lambda x: np.array([False, True, False, True]),
        no_torch="has no elementwise iscomplex",
        differentiable=(),
        why_not="its results are booleans",
    ),
    OpCase("angle", ag.angle, operands(complex_normal(3, 2)), parts_of(cmath.phase), lambda torch, x: torch.angle(x)),
    OpCase(
        "angle/of real",
        ag.angle,
        lambda rng: (np.array([1.5, -2.0, 0.0, 3.0]),),
        lambda x: np.array([0, np.pi, 0, 0]),
        lambda torch, x: torch.angle(x),
        differentiable=(),
        why_not="the angle of a real number is constant but for a jump at 0",
    ),
    OpCase(
        "polar",
        ag.polar,
        operands(uniform(0.5, 2.0, 3, 2), normal(3, 2)),
        lambda r, phi: r * np.exp(1j * phi),
        lambda torch, r, phi: torch.polar(r, phi),
    ),
    OpCase(
        "abs/complex", ag.abs, operands(complex_normal(3, 2)), parts_of(lambda z: abs(z)), lambda torch, x: torch.abs(x)
    ),
    OpCase(
        "sign/complex",
        ag.sign,
        operands(complex_normal(3, 2)),
        parts_of(lambda z: z / abs(z)),
        lambda torch, x: torch.sgn(x),
    ),
    OpCase(
        "astype/to complex",
        lambda x, z: ag.astype(x, "complex128") * z,
        operands(normal(3), complex_normal(3)),
        lambda x, z: x * z,
        lambda torch, x, z: x.to(torch.complex128) * z,
        own_dtype="the dtype of its result is named in the call",
    ),
]
