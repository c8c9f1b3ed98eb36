"""Tensor as a value: every operator and method against NumPy, what it says of itself, what it can be turned into."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.ops.methods import Methods

X = np.array([[1.5, -2.0, 0.25], [3.0, 0.5, -1.0]], np.float32)
Y = np.array([[2.0, 1.0, 0.5], [-1.0, 4.0, 3.0]], np.float32)
POSITIVE = np.abs(X) + 0.5
N = np.array([[5, -7, 3], [2, 8, -1]])
M = np.array([[2, 3, 1], [1, 4, 5]])
TRUE = X > 0
FALSE = Y > 2


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def same(found: Any, expected: Any, **tolerance: float) -> None:
    """Values, shape and dtype of a tensor, or of several."""
    if isinstance(expected, (tuple, list)):
        assert len(found) == len(expected)
        for f, e in zip(found, expected, strict=True):
            same(f, e, **tolerance)
        return
    assert isinstance(found, ag.Tensor)
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found.numpy(), expected, **({"rtol": 2e-6, "atol": 1e-7} | tolerance))


# Operators ------------------------------------------------------------------------------------------------------

BINARY: dict[str, tuple[Callable[[Any, Any], Any], np.ndarray, np.ndarray]] = {
    "+": (operator.add, X, Y),
    "-": (operator.sub, X, Y),
    "*": (operator.mul, X, Y),
    "/": (operator.truediv, X, Y),
    "//": (operator.floordiv, X, Y),
    "%": (operator.mod, X, Y),
    "**": (operator.pow, POSITIVE, Y),
    "@": (operator.matmul, X, Y.T.copy()),
    "==": (operator.eq, N, np.array([[5, 0, 3], [0, 0, -1]])),
    "!=": (operator.ne, N, np.array([[5, 0, 3], [0, 0, -1]])),
    "<": (operator.lt, X, Y),
    "<=": (operator.le, X, Y),
    ">": (operator.gt, X, Y),
    ">=": (operator.ge, X, Y),
    "&": (operator.and_, TRUE, FALSE),
    "|": (operator.or_, TRUE, FALSE),
    "^": (operator.xor, TRUE, FALSE),
    "integer +": (operator.add, N, M),
    "integer //": (operator.floordiv, N, M),
    "integer %": (operator.mod, N, M),
    "integer **": (operator.pow, N, M),
    "integer @": (operator.matmul, N, M.T.copy()),
    "integer &": (operator.and_, N, M),
    "integer |": (operator.or_, N, M),
    "integer ^": (operator.xor, N, M),
    "<<": (operator.lshift, N, M),
    ">>": (operator.rshift, N, M),
    "divmod": (divmod, N, M),
}


@pytest.mark.parametrize(("op", "a", "b"), BINARY.values(), ids=BINARY.keys())
def test_binary_operators(op, a: np.ndarray, b: np.ndarray) -> None:
    expected = op(a, b)
    same(op(ag.tensor(a), ag.tensor(b)), expected)
    same(op(a, ag.tensor(b)), expected)  # NumPy leaves the operator to the tensor
    same(op(ag.tensor(a), b), expected)
    if op is not operator.matmul:
        same(op(ag.tensor(a), b[0]), op(a, b[0]))
        same(op(a[0], ag.tensor(b)), op(a[0], b))
        same(op(a[0, 0], ag.tensor(b)), op(a[0, 0], b))
        number = b[0, 0].item()
        same(op(ag.tensor(a), number), op(a, number))
        number = a[0, 0].item()
        same(op(number, ag.tensor(b)), op(number, b))
        same(op(a.tolist()[0], ag.tensor(b)), op(a[0], b))


@pytest.mark.parametrize("op", [operator.neg, operator.pos, operator.abs])
@pytest.mark.parametrize("a", [X, N])
def test_unary_operators(op, a: np.ndarray) -> None:
    same(op(ag.tensor(a)), op(a))


@pytest.mark.parametrize("a", [TRUE, N])
def test_invert(a: np.ndarray) -> None:
    same(~ag.tensor(a), ~a)


AUGMENTED = [getattr(operator, f"i{name}") for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")]


@pytest.mark.parametrize("op", AUGMENTED, ids=lambda op: op.__name__)
def test_augmented_assignment_binds_a_new_tensor(op) -> None:
    x = original = ag.tensor(POSITIVE)
    x = op(x, 2.0)
    assert x is not original
    same(original, POSITIVE)
    same(x, op(POSITIVE.copy(), np.float32(2.0)))


def test_no_operator_of_numpy_is_missing() -> None:
    names = {n[2:-2] for n in dir(np.ndarray) if n.startswith("__") and not n.startswith("__array")} - set(dir(object))
    assigning = {n for n in names if n[:1] == "i" and n[1:] in names} | {"delitem"}
    protocols = {"buffer", "class_getitem", "copy", "deepcopy", "setstate", "dlpack", "dlpack_device"}
    assert {n for n in names if not hasattr(ag.Tensor, f"__{n}__")} <= assigning | protocols


# Methods --------------------------------------------------------------------------------------------------------

IDX = np.array([1, 0])
T3 = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

METHODS: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], Any], np.ndarray]] = {
    "abs": (lambda x: x.abs(), np.abs, X),
    "square": (lambda x: x.square(), np.square, X),
    "reciprocal": (lambda x: x.reciprocal(), np.reciprocal, X),
    "conj": (lambda x: x.conj(), np.conj, X),
    "diagonal": (lambda x: x.diagonal(offset=1), lambda x: np.diagonal(x, 1), X),
    "trace": (lambda x: x.trace(), np.trace, X),
    "norm": (lambda x: x.norm(axis=1), lambda x: np.linalg.norm(x, axis=1), X),
    "dot": (lambda x: x[0].dot(x[1]), lambda x: x[0] @ x[1], X),
    "sign": (lambda x: x.sign(), np.sign, X),
    "pow": (lambda x: x.pow(3), lambda x: x**3, X),
    "exp": (lambda x: x.exp(), np.exp, X),
    "log": (lambda x: x.log(), np.log, POSITIVE),
    "log1p": (lambda x: x.log1p(), np.log1p, POSITIVE),
    "expm1": (lambda x: x.expm1(), np.expm1, X),
    "sqrt": (lambda x: x.sqrt(), np.sqrt, POSITIVE),
    "erf": (lambda x: x[0].erf(), lambda x: np.array([0.96610515, -0.9953223, 0.27632639], np.float32), X),
    "sin": (lambda x: x.sin(), np.sin, X),
    "cos": (lambda x: x.cos(), np.cos, X),
    "tanh": (lambda x: x.tanh(), np.tanh, X),
    "sigmoid": (lambda x: x.sigmoid(), lambda x: 1 / (1 + np.exp(-x)), X),
    "relu": (lambda x: x.relu(), lambda x: np.maximum(x, 0), X),
    "floor": (lambda x: x.floor(), np.floor, X),
    "ceil": (lambda x: x.ceil(), np.ceil, X),
    "round": (lambda x: x.round(), np.round, X),
    "clip": (lambda x: x.clip(-1, 1), lambda x: np.clip(x, -1, 1), X),
    "clip/min": (lambda x: x.clip(min=0.0), lambda x: np.clip(x, 0, None), X),
    "clamp": (lambda x: x.clamp(max=1.0), lambda x: np.clip(x, None, 1), X),
    "softmax": (lambda x: x.softmax(), lambda x: softmax(x, -1), X),
    "softmax/axis": (lambda x: x.softmax(0), lambda x: softmax(x, 0), X),
    "log_softmax": (lambda x: x.log_softmax(axis=0), lambda x: np.log(softmax(x, 0)), X),
    "sum": (lambda x: x.sum(), np.sum, X),
    "sum/axis": (lambda x: x.sum(0), lambda x: x.sum(0), X),
    "sum/axes": (lambda x: x.sum((0, 2)), lambda x: x.sum((0, 2)), T3),
    "sum/keepdims": (lambda x: x.sum(-1, keepdims=True), lambda x: x.sum(-1, keepdims=True), X),
    "sum/dtype": (lambda x: x.sum(dtype="float64"), lambda x: x.sum(dtype="float64"), X),
    "sum of booleans": (lambda x: x.sum(axis=1), lambda x: x.sum(axis=1), TRUE),
    "mean": (lambda x: x.mean(1), lambda x: x.mean(1), X),
    "var": (lambda x: x.var(0), lambda x: x.var(0), X),
    "var/correction": (lambda x: x.var(correction=1), lambda x: x.var(ddof=1), X),
    "std": (lambda x: x.std(1, keepdims=True), lambda x: x.std(1, keepdims=True), X),
    "prod": (lambda x: x.prod(0), lambda x: x.prod(0), X),
    "max": (lambda x: x.max(), np.max, X),
    "max/axis": (lambda x: x.max(axis=1, keepdims=True), lambda x: x.max(axis=1, keepdims=True), X),
    "min": (lambda x: x.min(0), lambda x: x.min(0), X),
    "argmax": (lambda x: x.argmax(), np.argmax, X),
    "argmax/axis": (lambda x: x.argmax(1), lambda x: x.argmax(1), X),
    "argmin": (lambda x: x.argmin(axis=0, keepdims=True), lambda x: x.argmin(axis=0, keepdims=True), X),
    "any": (lambda x: x.any(0), lambda x: x.any(0), TRUE),
    "all": (lambda x: x.all(axis=1), lambda x: x.all(axis=1), TRUE),
    "logsumexp": (lambda x: x.logsumexp(1), lambda x: np.log(np.exp(x).sum(1)), X),
    "cumsum": (lambda x: x.cumsum(1), lambda x: x.cumsum(1), X),
    "reshape": (lambda x: x.reshape(3, 2), lambda x: x.reshape(3, 2), X),
    "reshape/tuple": (lambda x: x.reshape((-1, 2)), lambda x: x.reshape(-1, 2), X),
    "reshape/int": (lambda x: x.reshape(-1), lambda x: x.reshape(-1), X),
    "view": (lambda x: x.view(6), lambda x: x.reshape(6), X),
    "flatten": (lambda x: x.flatten(), np.ravel, T3),
    "flatten/axes": (lambda x: x.flatten(1), lambda x: x.reshape(2, 12), T3),
    "ravel": (lambda x: x.ravel(), np.ravel, X),
    "broadcast_to": (lambda x: x.broadcast_to((4, 2, 3)), lambda x: np.broadcast_to(x, (4, 2, 3)), X),
    "expand": (lambda x: x[:, None].expand(-1, 5, 3), lambda x: np.broadcast_to(x[:, None], (2, 5, 3)), X),
    "permute": (lambda x: x.permute(2, 0, 1), lambda x: x.transpose(2, 0, 1), T3),
    "permute/tuple": (lambda x: x.permute((1, 0, -1)), lambda x: x.transpose(1, 0, 2), T3),
    "transpose": (lambda x: x.transpose(), lambda x: x.transpose(), T3),
    "transpose/two": (lambda x: x.transpose(0, -1), lambda x: x.swapaxes(0, -1), T3),
    "transpose/three": (lambda x: x.transpose(1, 2, 0), lambda x: x.transpose(1, 2, 0), T3),
    "swapaxes": (lambda x: x.swapaxes(0, 1), lambda x: x.swapaxes(0, 1), T3),
    "T": (lambda x: x.T, lambda x: x.T, X),
    "mT": (lambda x: x.mT, lambda x: x.swapaxes(-1, -2), T3),
    "H": (lambda x: x.H, lambda x: x.conj().T, X + 1j * X[::-1]),
    "mH": (lambda x: x.mH, lambda x: x.conj().swapaxes(-1, -2), T3 * (1 - 2j)),
    "real": (lambda x: x.real, lambda x: x.real, X + 1j * X[::-1]),
    "imag": (lambda x: x.imag, lambda x: x.imag, X + 1j * X[::-1]),
    "angle": (lambda x: x.angle(), np.angle, X + 1j * X[::-1]),
    "squeeze": (lambda x: x[None, :, None].squeeze(), lambda x: x, X),
    "squeeze/axis": (lambda x: x[None, :, None].squeeze(0), lambda x: x[:, None], X),
    "unsqueeze": (lambda x: x.unsqueeze(-1), lambda x: x[..., None], X),
    "split": (lambda x: x.split(2, axis=1), lambda x: [x[:, :2], x[:, 2:]], X),
    "split/sizes": (lambda x: x.split([1, 1]), lambda x: [x[:1], x[1:]], X),
    "unbind": (lambda x: x.unbind(1), lambda x: [x[:, 0], x[:, 1], x[:, 2]], X),
    "flip": (lambda x: x.flip(), np.flip, X),
    "flip/axis": (lambda x: x.flip(1), lambda x: np.flip(x, 1), X),
    "roll": (lambda x: x.roll(2), lambda x: np.roll(x, 2), X),
    "roll/axis": (lambda x: x.roll(-1, axis=1), lambda x: np.roll(x, -1, axis=1), X),
    "repeat": (lambda x: x.repeat(2, 3), lambda x: np.tile(x, (2, 3)), X),
    "take": (lambda x: x.take(IDX, axis=0), lambda x: x.take(IDX, axis=0), X),
    "gather": (
        lambda x: x.gather(1, ag.tensor([[0, 2], [1, 1]])),
        lambda x: np.take_along_axis(x, np.array([[0, 2], [1, 1]]), axis=1),
        X,
    ),
    "masked_fill": (lambda x: x.masked_fill(x > 0, 7.0), lambda x: np.where(x > 0, np.float32(7), x), X),
    "at.set": (lambda x: x.at[0, 1:].set(9.0), lambda x: np.array([[x[0, 0], 9, 9], x[1]], np.float32), X),
    "getitem": (lambda x: x[1, ::-1], lambda x: x[1, ::-1], X),
    "getitem/array": (lambda x: x[ag.tensor(IDX)], lambda x: x[IDX], X),
    "getitem/mask": (lambda x: x[x > 0], lambda x: x[x > 0], X),
    "getitem/mixed": (lambda x: x[..., None, [0, 2]], lambda x: x[..., None, [0, 2]], X),
    "astype": (lambda x: x.astype("int64"), lambda x: x.astype("int64"), X),
    "float": (lambda x: x.float(), lambda x: x.astype("float32"), N),
    "double": (lambda x: x.double(), lambda x: x.astype("float64"), N),
    "long": (lambda x: x.long(), lambda x: x.astype("int64"), X),
    "int": (lambda x: x.int(), lambda x: x.astype("int32"), X),
    "bool": (lambda x: x.bool(), lambda x: x.astype("bool"), X),
    "to/dtype": (lambda x: x.to(ag.float64), lambda x: x.astype("float64"), X),
    "to/both": (lambda x: x.to("cpu", "float16"), lambda x: x.astype("float16"), X),
    "to/name of a dtype": (lambda x: x.to("float64"), lambda x: x.astype("float64"), X),
    "cpu": (lambda x: x.cpu(), lambda x: x, X),
    "detach": (lambda x: x.detach(), lambda x: x, X),
    "new_zeros": (lambda x: x.new_zeros((2, 1)), lambda x: np.zeros((2, 1), x.dtype), X),
    "new_ones": (lambda x: x.new_ones(3), lambda x: np.ones(3, x.dtype), N),
}


@pytest.mark.parametrize(("method", "reference", "a"), METHODS.values(), ids=METHODS.keys())
def test_methods(method, reference, a: np.ndarray) -> None:
    same(method(ag.tensor(a)), reference(a), rtol=5e-6)


def test_every_method_is_in_the_table() -> None:
    methods = {n for n in dir(Methods) if not n.startswith("_") and hasattr(Methods, n)} - {"at", "level"}
    tried = {name.partition("/")[0] for name in METHODS}
    assert methods <= tried


# Assignment -----------------------------------------------------------------------------------------------------


def test_assignment_changes_this_tensor_and_no_view_of_it() -> None:
    x = ag.zeros((2, 2))
    view, copy, array = x.reshape((4,)), x.detach(), x.numpy()
    x[0] = ag.tensor([1.0, 2.0])
    x[x > 1] = 5
    assert x.tolist() == [[1.0, 5.0], [0.0, 0.0]]
    for other in (view, copy, array):
        assert not other.any()


def _kept() -> tuple[ag.Tensor, ag.Tensor]:
    """A constant that a recorded product needs for its gradient, and that product."""
    x, w = ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0], requires_grad=True)
    return x, x * w


def test_assignment_is_refused_where_a_gradient_would_be_wrong_or_lost() -> None:
    w = ag.tensor([1.0, 2.0], requires_grad=True)
    x, y = _kept()
    for target, value, reason in (
        (w, 0.0, "this tensor requires gradients"),
        (w * 2, 0.0, "this tensor requires gradients"),
        (ag.zeros(2), w[0], "the value requires gradients, which would be lost"),
        (x, 0.0, "a recorded operation has kept this tensor"),
    ):
        before = target.tolist()
        with pytest.raises(ag.GradientError, match=reason):
            target[0] = value
        assert target.tolist() == before
    assert y.tolist() == [3.0, 8.0]


def test_T_is_for_matrices() -> None:
    with pytest.raises(ag.ShapeError, match=r"x\.T needs 2 dimensions"):
        _ = ag.tensor(T3).T


# What a tensor says of itself -----------------------------------------------------------------------------------


def test_description() -> None:
    x = ag.tensor(T3)
    assert (x.shape, x.ndim, x.size, x.nbytes, x.dtype, len(x)) == ((2, 3, 4), 3, 24, 96, np.float32, 2)
    assert type(x.shape) is tuple
    assert (x.device, str(x.device), repr(x.device)) == ("cpu", "cpu", "Device('cpu')")
    assert str(x.aval) == "float32[2, 3, 4]"


REPRS = {
    "scalar": (lambda: ag.tensor(2.5), "tensor(2.5)"),
    "vector": (lambda: ag.tensor([1.0, 2.0]), "tensor([1., 2.])"),
    "matrix": (lambda: ag.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
    "booleans": (lambda: ag.tensor([True, False]), "tensor([ True, False])"),
    "empty": (lambda: ag.zeros((0, 3)), "tensor([], shape=(0, 3))"),
    "double": (lambda: ag.tensor([1.0], dtype="float64"), "tensor([1.], dtype=float64)"),
    "complex": (lambda: ag.tensor([1 + 2j]), "tensor([1.+2.j])"),
    "leaf": (lambda: ag.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
    "result": (lambda: ag.tensor([1.0], requires_grad=True) * 2, "tensor([2.], requires_grad=True)"),
    "device": (lambda: ag.tensor([1.0], device="numpy"), "tensor([1.], device='numpy')"),
    "everything": (
        lambda: ag.tensor([1.0], dtype="float16", device="numpy", requires_grad=True),
        "tensor([1.], dtype=float16, device='numpy', requires_grad=True)",
    ),
    "long": (lambda: ag.zeros(5000), "tensor([0., 0., 0., ..., 0., 0., 0.])"),
    "variable": (lambda: ag.Variable(np.ones(2, np.float32), ag.zeros(0).device), "tensor([1., 1.])"),
}


@pytest.mark.parametrize(("make", "text"), REPRS.values(), ids=REPRS.keys())
def test_repr(make, text: str) -> None:
    assert repr(make()) == str(make()) == f"{make()}" == text


def test_format_of_one_number() -> None:
    assert f"{ag.tensor(2.0 / 3, requires_grad=True):.3f}" == "0.667"
    assert f"{ag.tensor([12]):>5d}" == "   12"
    with pytest.raises(ag.ShapeError, match="one element"):
        f"{ag.tensor([1.0, 2.0]):.3f}"


def test_identity_and_hash() -> None:
    x, y = ag.tensor([1.0]), ag.tensor([1.0])
    assert {x: "x", y: "y"}[y] == "y"
    assert len({x, y, x}) == 2
    assert hash(x) == hash(x)


def test_comparison_with_what_is_no_array() -> None:
    x = ag.tensor([1.0, 2.0])
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "text") is False
    assert None not in [x]


def test_membership() -> None:
    assert 3.0 in ag.tensor(X)
    assert 4 not in ag.tensor(X)


# What a tensor can be turned into -------------------------------------------------------------------------------


def test_numpy_is_a_view_that_cannot_be_written_to() -> None:
    x = ag.tensor([1.0, 2.0])
    array = x.numpy()
    assert type(array) is np.ndarray
    assert np.shares_memory(array, x.numpy())
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 9.0
    array.copy()[0] = 9.0
    assert x.tolist() == [1.0, 2.0]


def test_conversion_by_numpy() -> None:
    x = ag.tensor([1.0, 2.0])
    assert np.asarray(x).tolist() == [1.0, 2.0]
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, np.float64).dtype == np.float64
    assert np.stack([x, x]).shape == (2, 2)
    with pytest.raises(ValueError, match="copy"):
        np.array(x, np.float64, copy=False)


def test_conversion_by_numpy_does_not_lose_a_history_unasked() -> None:
    w = ag.tensor([1.0, 2.0], requires_grad=True)
    for x in (w, w * 2.0):
        with pytest.raises(ag.GradientError, match=r"x\.detach\(\)\.numpy\(\)"):
            np.asarray(x)
        with pytest.raises(ag.GradientError, match=r"x\.detach\(\)\.numpy\(\)"):
            ag.tensor([x, x])
        assert x.numpy().tolist() == x.detach().numpy().tolist() == x.tolist()


def test_numpy_functions_do_not_take_tensors_apart() -> None:
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.exp(ag.tensor([1.0]))


@pytest.mark.parametrize(("value", "kind"), [(2.5, float), (3, int), (True, bool), (1 + 2j, complex), ([[4.0]], float)])
def test_item(value, kind) -> None:
    found = ag.tensor(value).item()
    assert type(found) is kind
    assert found == np.array(value).item()


def test_python_numbers() -> None:
    assert (int(ag.tensor(2.7)), float(ag.tensor([3])), complex(ag.tensor(1j)), bool(ag.tensor([0.0]))) == (2, 3, 1j, 0)
    assert type(float(ag.tensor(3))) is float
    assert [10, 20, 30][ag.tensor(1)] == 20
    assert list(range(ag.tensor(3))) == [0, 1, 2]
    assert ag.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert "yes" if ag.tensor(True) else "no" == "yes"


def test_iteration_and_unpacking() -> None:
    a, b = x = ag.tensor(X)
    same([a, b], [X[0], X[1]])
    assert [row.shape for row in x] == [(3,), (3,)]
    assert list(ag.zeros((0, 3))) == []
    w = ag.tensor([1.0, 2.0], requires_grad=True)
    first, second = w
    (first * second).backward()
    assert w.grad.tolist() == [2.0, 1.0]
    assert [i.item() for i in reversed(ag.tensor([1, 2, 3]))] == [3, 2, 1]
    assert ag.tensor(2.0) in [ag.tensor(2.0)]


def test_copies() -> None:
    x = ag.tensor(X, requires_grad=True)
    for duplicate in (copy.copy(x), copy.deepcopy(x)):
        assert (type(duplicate), duplicate.tolist(), duplicate.requires_grad) == (ag.Tensor, X.tolist(), True)
        assert duplicate.device is x.device


def test_a_tensor_takes_no_new_attributes() -> None:
    with pytest.raises(AttributeError):
        ag.tensor([1.0]).gradient = None
