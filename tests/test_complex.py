"""Complex numbers in every operation that takes them: values, both modes of derivative, second order, hard points.

The op table holds cases of the functions made for them; here stand all the others. Derivatives are those of the real
function of real and imaginary parts: vjps are compared with PyTorch's, whose convention is the same.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_core as ag

RNG = np.random.default_rng(7)


def draw(*shape: int) -> np.ndarray:
    return RNG.uniform(0.6, 2.0, shape) * np.exp(1j * RNG.uniform(-3, 3, shape))


Z, W = draw(2, 3), draw(2, 3)
X = RNG.uniform(0.5, 2.0, (2, 3))  # real
FLAGS = np.array([[True, False, True], [False, False, True]])
AT = np.array([0, 1, 0])


class Case(NamedTuple):
    """A function, the same of NumPy arrays and of torch tensors, and its operands."""

    fn: Callable[..., Any]
    numpy: Callable[..., Any]
    torch: Callable[..., Any] | None
    operands: tuple[np.ndarray, ...]


def named(name: str, numpy: Any = None, operands: tuple[np.ndarray, ...] = (Z,), torch: str | None = None) -> Case:
    """A function that all three libraries have."""

    def theirs(torch_module: Any, *xs: Any) -> Any:
        return getattr(torch_module, torch or name)(*xs)

    return Case(getattr(ag, name), numpy or getattr(np, name), theirs, operands)


BOTH, WITH_REAL, REAL_FIRST = (Z, W), (Z, X), (X, Z)
CASES: dict[str, Case] = {
    **{name: named(name) for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "square")},
    **{name: named(name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "reciprocal", "negative")},
    **{name: named(name, getattr(np, f"arc{name[1:]}")) for name in ("asin", "acos", "atan")},
    **{name: named(name, getattr(np, f"arc{name[1:]}")) for name in ("asinh", "acosh", "atanh")},
    "rsqrt": named("rsqrt", lambda z: 1 / np.sqrt(z)),
    "positive": named("positive"),
    **{name: named(name, operands=BOTH) for name in ("add", "subtract", "multiply", "divide")},
    **{f"{name}/real": named(name, operands=WITH_REAL) for name in ("add", "subtract", "multiply", "divide")},
    **{f"{name}/of real": named(name, operands=REAL_FIRST) for name in ("subtract", "multiply", "divide")},
    "multiply/number": Case(lambda z: z * (2 - 1j), lambda z: z * (2 - 1j), lambda torch, z: z * (2 - 1j), (Z,)),
    "multiply/of real by a number": Case(lambda x: x * 2j, lambda x: x * 2j, lambda torch, x: x * 2j, (X,)),
    "divide/number": Case(lambda z: z / 4, lambda z: z / 4, lambda torch, z: z / 4, (Z,)),
    "divide/a number": Case(lambda z: 1j / z, lambda z: 1j / z, lambda torch, z: 1j / z, (Z,)),
    "pow": named("pow", np.power, BOTH),
    # PyTorch's forward mode forgets that a real operand has become complex; told so, it agrees
    "pow/real exponent": Case(ag.pow, np.power, lambda torch, z, x: torch.pow(z, x + 0j), WITH_REAL),
    "pow/real base": Case(ag.pow, np.power, lambda torch, x, z: torch.pow(x + 0j, z), REAL_FIRST),
    "pow/complex number": Case(lambda z: z ** (1 - 2j), lambda z: z ** (1 - 2j), lambda torch, z: z ** (1 - 2j), (Z,)),
    **{
        f"pow/{p}": Case(lambda z, p=p: z**p, lambda z, p=p: np.exp(p * np.log(z)), lambda torch, z, p=p: z**p, (Z,))
        for p in (0, 1, 2, 3, 4, 5, -1, -2, -3, 0.5, -0.5, 1.5, -1.5, 2.7)
    },
    "xlogy": Case(ag.xlogy, lambda z, w: z * np.log(w), lambda torch, z, w: z * torch.log(w), BOTH),
    "sum": named("sum"),
    "sum/axis": Case(lambda z: ag.sum(z, axis=0), lambda z: z.sum(0), lambda torch, z: z.sum(0), (Z,)),
    "mean": named("mean"),
    "mean/axis": Case(lambda z: ag.mean(z, axis=1), lambda z: z.mean(1), lambda torch, z: z.mean(1), (Z,)),
    "prod": named("prod"),
    "prod/axis": Case(lambda z: ag.prod(z, axis=1), lambda z: z.prod(1), lambda torch, z: z.prod(1), (Z,)),
    "cumulative_sum": Case(
        lambda z: ag.cumulative_sum(z, axis=1), lambda z: z.cumsum(1), lambda torch, z: z.cumsum(1), (Z,)
    ),
    "cumulative_prod": Case(
        lambda z: ag.cumulative_prod(z, axis=1), lambda z: z.cumprod(1), lambda torch, z: z.cumprod(1), (Z,)
    ),
    "where": Case(
        lambda z, w: ag.where(FLAGS, z, w),
        lambda z, w: np.where(FLAGS, z, w),
        lambda torch, z, w: torch.where(torch.from_numpy(FLAGS), z, w),
        BOTH,
    ),
    "where/real": Case(
        lambda z, x: ag.where(FLAGS, z, x),
        lambda z, x: np.where(FLAGS, z, x),
        lambda torch, z, x: torch.where(torch.from_numpy(FLAGS), z, x + 0j),
        WITH_REAL,
    ),
    "nan_to_num": Case(ag.nan_to_num, np.nan_to_num, None, (Z,)),
    "round": Case(ag.round, np.round, None, (Z + 0.03,)),
    "reshape": Case(lambda z: z.reshape(3, 2), lambda z: z.reshape(3, 2), lambda torch, z: z.reshape(3, 2), (Z,)),
    "permute_dims": Case(lambda z: z.permute(1, 0), np.transpose, lambda torch, z: z.permute(1, 0), (Z,)),
    "broadcast_to": Case(
        lambda z: ag.broadcast_to(z[:, :1], (2, 4)),
        lambda z: np.broadcast_to(z[:, :1], (2, 4)),
        lambda torch, z: z[:, :1].expand(2, 4),
        (Z,),
    ),
    "flip": Case(lambda z: z.flip(1), lambda z: z[:, ::-1], lambda torch, z: z.flip(1), (Z,)),
    "roll": Case(lambda z: z.roll(1, axis=1), lambda z: np.roll(z, 1, 1), lambda torch, z: z.roll(1, 1), (Z,)),
    "tile": Case(lambda z: z.repeat(2, 1), lambda z: np.tile(z, (2, 1)), lambda torch, z: z.repeat(2, 1), (Z,)),
    "repeat": Case(
        lambda z: ag.repeat(z, 2, axis=1),
        lambda z: z.repeat(2, 1),
        lambda torch, z: z.repeat_interleave(2, 1),
        (Z,),
    ),
    "tril": named("tril"),
    "concat": Case(
        lambda z, x: ag.concat([z, x]),
        lambda z, x: np.concatenate([z, x]),
        lambda torch, z, x: torch.cat([z, x]),
        WITH_REAL,
    ),
    "stack": Case(
        lambda z, w: ag.stack([z, w]), lambda z, w: np.stack([z, w]), lambda torch, z, w: torch.stack([z, w]), BOTH
    ),
    "split": Case(
        lambda z: ag.split(z, [1, 2], axis=1)[1], lambda z: z[:, 1:], lambda torch, z: z.split([1, 2], 1)[1], (Z,)
    ),
    "slice": Case(lambda z: z[:, ::2], lambda z: z[:, ::2], lambda torch, z: z[:, ::2], (Z,)),
    "take": Case(
        lambda z: ag.take(z, ag.asarray(AT), axis=1),
        lambda z: z[:, AT],
        lambda torch, z: z[:, torch.from_numpy(AT)],
        (Z,),
    ),
    "mask": Case(lambda z: z[ag.asarray(FLAGS)], lambda z: z[FLAGS], lambda torch, z: z[torch.from_numpy(FLAGS)], (Z,)),
    "at.set": Case(
        lambda z, w: z.at[:, 1:].set(w[:, 1:]),
        lambda z, w: np.concatenate([z[:, :1], w[:, 1:]], 1),
        lambda torch, z, w: torch.cat([z[:, :1], w[:, 1:]], 1),
        BOTH,
    ),
    "at.add": Case(
        lambda z, w: z.at[ag.asarray([0, 0, 1])].add(ag.concat([w, w[:1]])),
        lambda z, w: z + np.stack([w[0] + w[1], w[0]]),
        lambda torch, z, w: z + torch.stack([w[0] + w[1], w[0]]),
        BOTH,
    ),
}

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def pulled(case: Case, operands: tuple[np.ndarray, ...], g: np.ndarray) -> list[np.ndarray]:
    _, pull = ag.vjp(case.fn, *map(ag.asarray, operands))
    return [x.numpy() for x in pull(ag.asarray(g))]


def cotangent(y: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    g = rng.standard_normal(y.shape)
    return np.asarray(g + 1j * rng.standard_normal(y.shape) if y.dtype.kind == "c" else g, y.dtype)


@every_case
def test_value(case: Case):
    y = case.fn(*map(ag.asarray, case.operands)).numpy()
    expected = np.asarray(case.numpy(*case.operands))
    assert (y.dtype, y.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@every_case
def test_single_precision(case: Case):
    """From complex64 and float32 come complex64 (float32) results and gradients, near those in double precision."""
    single = tuple(x.astype(np.complex64 if x.dtype.kind == "c" else np.float32) for x in case.operands)
    double = tuple(x.astype(np.complex128 if x.dtype.kind == "c" else np.float64) for x in single)
    exact = case.fn(*map(ag.asarray, double)).numpy()
    y = case.fn(*map(ag.asarray, single)).numpy()
    assert y.dtype == (np.complex64 if exact.dtype.kind == "c" else np.float32)
    np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-4)
    g = cotangent(y)
    for found, expected, x in zip(
        pulled(case, single, g), pulled(case, double, g.astype(exact.dtype)), single, strict=True
    ):
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@every_case
def test_derivatives_agree_with_finite_differences(case: Case):
    ag.check_grads(case.fn, case.operands, order=2)


@every_case
def test_pytorch_gives_the_same_derivatives(case: Case):
    if case.torch is None:
        pytest.skip("PyTorch does not differentiate it for complex numbers")
    torch = pytest.importorskip("torch")
    theirs = [torch.from_numpy(x.copy()).requires_grad_() for x in case.operands]
    y = case.torch(torch, *theirs)
    g = cotangent(y.detach().resolve_conj().numpy())
    expected = torch.autograd.grad(y, theirs, torch.from_numpy(g), allow_unused=True)
    for found, wanted in zip(pulled(case, case.operands, g), expected, strict=True):
        wanted = np.zeros_like(found) if wanted is None else wanted.resolve_conj().resolve_neg().numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)
    tangents = tuple(cotangent(x) for x in case.operands)
    _, pushed = ag.jvp(case.fn, tuple(map(ag.asarray, case.operands)), tuple(map(ag.asarray, tangents)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PyTorch imports for its forward mode is deprecated by itself
        _, wanted = torch.func.jvp(
            lambda *xs: case.torch(torch, *xs),
            tuple(torch.from_numpy(x.copy()) for x in case.operands),
            tuple(map(torch.from_numpy, tangents)),
        )
    np.testing.assert_allclose(pushed.numpy(), wanted.resolve_conj().resolve_neg().numpy(), rtol=1e-10, atol=1e-10)


# What the gradient of a real function is ------------------------------------------------------------------------


def test_the_gradient_points_uphill():
    """dL/dRe + i dL/dIm: minus a step along it lowers L."""
    z = ag.tensor(np.array([1 + 2j]), requires_grad=True)
    loss = ag.sum(ag.abs(z - (3 - 1j)) ** 2)
    loss.backward()
    np.testing.assert_allclose(z.grad.numpy(), 2 * (1 + 2j - (3 - 1j)) * np.ones(1))
    stepped = z.detach() - 0.1 * z.grad
    assert float(ag.sum(ag.abs(stepped - (3 - 1j)) ** 2)) < float(loss)


def test_a_real_leaf_in_a_complex_expression_gets_a_real_gradient():
    x = ag.tensor(np.array([0.5, 2.0]), requires_grad=True)
    (ag.exp(1j * x) * (1 + 1j)).real.sum().backward()
    assert x.grad.dtype == np.float64
    np.testing.assert_allclose(x.grad.numpy(), -np.sin([0.5, 2.0]) - np.cos([0.5, 2.0]))


def test_a_holomorphic_function_has_its_conjugated_derivative_as_vjp_and_the_derivative_as_jvp():
    z, g = ag.tensor(np.array(0.5 - 1j)), ag.tensor(np.array(2 + 1j))
    _, pull = ag.vjp(lambda z: z**3, z)
    np.testing.assert_allclose(pull(g)[0].numpy(), (2 + 1j) * np.conj(3 * (0.5 - 1j) ** 2))
    np.testing.assert_allclose(ag.jvp(lambda z: z**3, (z,), (g,))[1].numpy(), (2 + 1j) * 3 * (0.5 - 1j) ** 2)


def test_a_complex_parameter_learns():
    """Gradient descent finds the frequency response of a filter from real measurements of its modulus and angle."""
    target = np.array([1 - 1j, 0.5 + 2j])
    z = ag.tensor(np.array([1j, 1 + 0j]))
    for _ in range(200):
        z = z - 0.1 * ag.grad(lambda z: ag.sum(ag.square(ag.abs(z - target))))(z)
    np.testing.assert_allclose(z.numpy(), target, atol=1e-6)


# Hard points ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [ag.abs, ag.sign, ag.angle], ids=["abs", "sign", "angle"])
def test_at_zero_the_derivative_is_zero(f):
    z = ag.tensor(np.array([0j]))
    y, pull = ag.vjp(f, z)
    assert y.item() == 0
    assert pull(y.new_ones((1,)))[0].item() == 0
    assert ag.jvp(f, (z,), (z + (1 + 1j),))[1].item() == 0


def test_abs_neither_overflows_nor_underflows():
    z = np.array([3e300 + 4e300j, 3e-320 + 4e-320j, complex(np.inf, np.nan), complex(np.nan, -np.inf)])
    np.testing.assert_array_equal(ag.abs(ag.asarray(z)).numpy(), np.abs(z))
    single = np.array([3e30 + 4e30j], np.complex64)
    np.testing.assert_allclose(ag.abs(ag.asarray(single)).numpy(), [5e30], rtol=1e-6)


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (ag.acosh, lambda z: 1 / (np.sqrt(z - 1) * np.sqrt(z + 1))),
        (ag.asinh, lambda z: 1 / np.sqrt(1 + z * z)),
        (ag.asin, lambda z: 1 / np.sqrt(1 - z * z)),
        (ag.atanh, lambda z: 1 / (1 - z * z)),
        (ag.log, lambda z: 1 / z),
        (ag.sqrt, lambda z: 0.5 / np.sqrt(z)),
        (lambda z: z**1.5, lambda z: 1.5 * np.sqrt(z)),
    ],
    ids=["acosh", "asinh", "asin", "atanh", "log", "sqrt", "power"],
)
def test_every_quadrant_is_on_the_principal_branch(f, slope):
    z = np.array([2 + 1j, -2 + 1j, -2 - 1j, 2 - 1j, 0.1 + 3j, 0.1 - 3j, -0.1 + 0.2j])
    ag.check_grads(f, (z,))
    one = np.ones_like(z)
    np.testing.assert_allclose(ag.jvp(f, (ag.asarray(z),), (ag.asarray(one),))[1].numpy(), slope(z), rtol=1e-12)


def test_products_with_zeros_have_derivatives():
    ag.check_grads(ag.prod, (np.array([1 + 1j, 0, 2 - 1j]),))
    ag.check_grads(lambda z: ag.cumulative_prod(z), (np.array([1 + 1j, 0, 2 - 1j]),))


def test_a_choice_not_taken_leaves_no_nan():
    z = ag.tensor(np.array([0j, 4 + 0j]), requires_grad=True)
    ag.where(ag.abs(z) > 0, ag.sqrt(z), 0).real.sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), [0, 0.25])


def test_infinite_parts_stay_in_their_part():
    z = ag.complex(ag.tensor([1.0]), ag.tensor([math.inf])).numpy()
    assert (z.real, z.imag) == (1, math.inf)


@pytest.mark.parametrize("name", ["isfinite", "isinf", "isnan", "sqrt", "exp", "log", "tanh", "asinh", "atan", "expm1"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_special_values_are_those_of_numpy(name):
    special = [0.0, -0.0, 1.0, math.inf, -math.inf, math.nan]
    z = np.array([complex(a, b) for a in special for b in special])
    numpy = {"asinh": np.arcsinh, "atan": np.arctan}.get(name) or getattr(np, name)
    np.testing.assert_array_equal(getattr(ag, name)(ag.asarray(z)).numpy(), numpy(z))


def test_equality():
    z = ag.tensor([1 + 1j, 1 - 1j])
    assert (z == 1 + 1j).tolist() == [True, False]
    assert (z != 1 + 1j).tolist() == [False, True]


def test_casts():
    x = ag.tensor([1.5, -2.0], requires_grad=True)
    z = x.astype("complex64")
    assert z.numpy().tolist() == [1.5, -2]
    (z * (2 + 3j)).real.sum().backward()
    assert x.grad.tolist() == [2, 2]
    with pytest.raises(ag.DTypeError, match=r"complex64 to float32 would lose the imaginary part; write x\.real"):
        z.astype("float32")


Z4 = ag.tensor([1 + 1j, 2 - 1j])


@pytest.mark.parametrize(
    "call",
    [
        lambda: ag.max(Z4),
        lambda: ag.min(Z4),
        lambda: ag.argmax(Z4),
        lambda: ag.sort(Z4),
        lambda: ag.argsort(Z4),
        lambda: ag.maximum(Z4, 0.0),
        lambda: ag.minimum(1.0, Z4),
        lambda: ag.clip(Z4, 0, 1),
        lambda: ag.clip(ag.tensor([1.0]), 0, 1j),
        lambda: Z4 > 1,
        lambda: ag.tensor([1.0]) <= 1j,
        lambda: Z4 // 2,
        lambda: Z4 % 2,
        lambda: ag.floor(Z4),
        lambda: ag.atan2(Z4, Z4),
        lambda: ag.hypot(Z4, 1.0),
        lambda: ag.copysign(1.0, Z4),
        lambda: ag.logaddexp(Z4, Z4),
        lambda: ag.logsumexp(Z4),
        lambda: ag.var(Z4),
        lambda: ag.std(Z4),
        lambda: ag.erf(Z4),
        lambda: ag.deg2rad(Z4),
        lambda: ag.erfc(Z4),
        lambda: Z4.softmax(),
        lambda: Z4.log_softmax(),
        lambda: ag.polar(Z4, Z4),
        lambda: ag.complex(Z4, 1.0),
        lambda: ag.view_as_complex(Z4),
        lambda: ag.fft.rfft(Z4),
    ],
)
def test_what_only_real_numbers_have_is_refused(call):
    with pytest.raises(ag.DTypeError, match="complex64|1j"):
        call()


def test_errors_say_what_to_write():
    with pytest.raises(ag.DTypeError, match=r"greater: takes real numbers, got complex64\[2\].*write ag\.abs\(x\)"):
        _ = Z4 > 1
    with pytest.raises(ag.ShapeError, match=r"its length is 2; got shape \(3,\).*ag\.complex\(re, im\)"):
        ag.view_as_complex(ag.zeros(3))
    with pytest.raises(ag.DTypeError, match=r"got float32\[3\], which is real already"):
        ag.view_as_real(ag.zeros(3))
