"""Golden texts: what each bad input is told, word for word."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import errors

zeros = ag.zeros
FIX = "Lengths must be equal or 1; insert an axis with x[:, None] or ag.expand_dims, or transpose one operand."


def leaf() -> ag.Tensor:
    return ag.tensor([1.0, 2.0], requires_grad=True)


def set_item(x: ag.Tensor) -> None:
    x[0] = 1.0


Case = tuple[str, Callable[[], Any], type[Exception], str]

SHAPES: list[Case] = [
    (
        "broadcasting",
        lambda: zeros((2, 3)) + zeros((4, 3)),
        ag.ShapeError,
        f"add: shapes (2, 3) and (4, 3) do not broadcast: axis -2 (from the right) has lengths 2 and 4. {FIX}",
    ),
    (
        "broadcasting, the middle axis",
        lambda: zeros((2, 3, 4)) * zeros((2, 4)),
        ag.ShapeError,
        f"multiply: shapes (2, 3, 4) and (2, 4) do not broadcast: axis -2 (from the right) has lengths 2 and 3. {FIX}",
    ),
    (
        "broadcasting of three",
        lambda: ag.where(ag.tensor([True, False]), zeros(3), zeros(2)),
        ag.ShapeError,
        f"where: shapes (2,) and (3,) and (2,) do not broadcast: axis -1 (from the right) has lengths 2 and 3. {FIX}",
    ),
    (
        "broadcast_to",
        lambda: zeros((2, 3)).broadcast_to((4, 3)),
        ag.ShapeError,
        f"broadcast_to: shapes (2, 3) and (4, 3) do not broadcast: axis -2 (from the right) has lengths 2 and 4. {FIX}",
    ),
    (
        "clip",
        lambda: zeros(2).clip(zeros(3)),
        ag.ShapeError,
        f"clip: shapes (2,) and (3,) do not broadcast: axis -1 (from the right) has lengths 2 and 3. {FIX}",
    ),
    (
        "matmul",
        lambda: zeros((2, 3)) @ zeros((4, 5)),
        ag.ShapeError,
        "matmul: shapes (2, 3) and (4, 5) do not fit: x1 is (..., n, k) and x2 (..., k, m), but k is 3 in x1 and 4 in "
        "x2; transpose one with x.mT",
    ),
    (
        "matmul, leading axes",
        lambda: zeros((2, 3, 4)) @ zeros((5, 4, 3)),
        ag.ShapeError,
        "matmul (leading axes): shapes (2,) and (5,) do not broadcast: axis -1 (from the right) has lengths 2 and 5. "
        + FIX,
    ),
    (
        "matmul with a number",
        lambda: zeros((2, 3)) @ 2.0,
        ag.ShapeError,
        "matmul: shapes (2, 3) and (): a 0-d operand has no axis to sum; use x1 * x2",
    ),
    (
        "reshape",
        lambda: zeros((2, 3)).reshape(4, 2),
        ag.ShapeError,
        "reshape: 6 elements of shape (2, 3) do not fit (4, 2), which has 8; write -1 for a length to be inferred",
    ),
    (
        "reshape, inferred",
        lambda: zeros((2, 3)).reshape(4, -1),
        ag.ShapeError,
        "reshape: 6 elements of shape (2, 3) do not fit (4, -1): the length -1 cannot be inferred, as the "
        "others make 4",
    ),
    (
        "reshape, inferred twice",
        lambda: zeros((2, 3)).reshape(-1, -1),
        ag.ShapeError,
        "reshape: (2, 3) and (-1, -1) do not fit: one length at most can be -1 (inferred)",
    ),
    (
        "reshape to no shape",
        lambda: zeros((2, 3)).reshape(2.0, 3),
        ag.ArgumentError,
        "reshape: a shape is an int or a tuple of ints, got (2.0, 3)",
    ),
    ("zeros", lambda: zeros((2, -1)), ag.ShapeError, "zeros: shape (2, -1) has a negative length"),
    (
        "axis",
        lambda: zeros((2, 3)).sum(2),
        ag.IndexingError,
        "sum: axis 2 is out of range for 2 dimension(s); use -2 to 1",
    ),
    (
        "axis, negative",
        lambda: zeros((2, 3)).softmax(-3),
        ag.IndexingError,
        "softmax: axis -3 is out of range for 2 dimension(s); use -2 to 1",
    ),
    ("axis twice", lambda: zeros((2, 3)).mean((0, -2)), ag.ShapeError, "mean: axis (0, -2) names an axis twice"),
    ("axis of no kind", lambda: zeros((2, 3)).max("x"), ag.ArgumentError, "max: axis must be an int, got 'x'"),
    (
        "maximum of nothing",
        lambda: zeros((0, 3)).max(0),
        ag.ShapeError,
        "max: no element to choose in shape (0, 3) along axis 0: its length is 0",
    ),
    (
        "permute",
        lambda: zeros((2, 3)).permute(0, 0),
        ag.ShapeError,
        "permute_dims: axes (0, 0) do not name each of the 2 axes of (2, 3) once",
    ),
    (
        "T",
        lambda: zeros((2, 3, 4)).T,
        ag.ShapeError,
        "x.T needs 2 dimensions, this tensor has shape (2, 3, 4); use x.mT or x.permute(...)",
    ),
    (
        "squeeze",
        lambda: zeros((2, 3)).squeeze(0),
        ag.ShapeError,
        "squeeze: axis 0 of shape (2, 3) has a length other than 1: nothing to remove there",
    ),
    (
        "concat",
        lambda: ag.concat([zeros((2, 3)), zeros((2, 4))]),
        ag.ShapeError,
        "concat: shapes (2, 3), (2, 4) must agree in every axis but axis 0",
    ),
    ("concat of nothing", lambda: ag.concat([]), ag.ArgumentError, "concat: got no tensors; at least one is needed"),
    (
        "concat of one tensor",
        lambda: ag.concat(zeros((2, 3))),
        ag.ArgumentError,
        "concat: takes a list or tuple of tensors, got Tensor",
    ),
    (
        "stack",
        lambda: ag.stack([zeros(3), zeros(2)]),
        ag.ShapeError,
        "stack: shapes (3,), (2,) must be equal; ag.concat joins unequal ones",
    ),
    (
        "split",
        lambda: zeros(5).split([2, 2]),
        ag.ShapeError,
        "split: sizes (2, 2) add up to 4, but axis 0 of (5,) has 5",
    ),
    (
        "einsum, a letter",
        lambda: ag.einsum("ij,jk->ik", zeros((2, 3)), zeros((4, 5))),
        ag.ShapeError,
        "einsum: letter j has length 3 in operand 0 and 4 in operand 1: shapes (2, 3) and (4, 5)",
    ),
    (
        "einsum, operands",
        lambda: ag.einsum("ij,jk->ik", zeros((2, 3))),
        ag.ArgumentError,
        "einsum: subscripts 'ij,jk->ik' name 2 operand(s), but 1 given",
    ),
    (
        "einsum, dimensions",
        lambda: ag.einsum("ijk->i", zeros((2, 3))),
        ag.ShapeError,
        "einsum: operand 0 has 2 dimension(s), but 'ijk' names 3",
    ),
    (
        "einsum, output",
        lambda: ag.einsum("ij->ik", zeros((2, 3))),
        ag.ArgumentError,
        "einsum: letter k of the output is in no operand of 'ij->ik'",
    ),
]

INDICES: list[Case] = [
    (
        "an index",
        lambda: zeros((2, 3))[5],
        ag.IndexingError,
        "index 5 is out of range for axis 0 with length 2; use -2 to 1",
    ),
    (
        "an index in a tensor",
        lambda: zeros((2, 3))[ag.tensor([0, 7])],
        ag.IndexingError,
        "index 7 is out of range for an axis of length 2; use -2 to 1",
    ),
    (
        "too many indices",
        lambda: zeros((2, 3))[0, 0, 0],
        ag.IndexingError,
        "3 indices were used on a tensor of 2 dimension(s), shape (2, 3)",
    ),
    (
        "a floating index",
        lambda: zeros((2, 3))[ag.tensor([1.0])],
        ag.DTypeError,
        "an index holds integers or booleans, got float32[1]; write .astype('int64')",
    ),
    (
        "a mask",
        lambda: zeros((2, 3))[ag.tensor([True, False, True])],
        ag.IndexingError,
        "a boolean index of shape (3,) was used on axes of lengths (2,) (from axis 0 of shape (2, 3)): a mask must "
        "have the shape of what it chooses from",
    ),
    (
        "assignment",
        lambda: set_item(ag.tensor([1.0, 2.0], requires_grad=True)),
        ag.GradientError,
        "x[i] = v: this tensor requires gradients, which would be those of other values. Write x = x.at[i].set(v) (or "
        ".add, .multiply)",
    ),
    (
        "an update that loses fractions",
        lambda: ag.tensor([1, 2]).at[0].set(1.5),
        ag.DTypeError,
        "x.at[...].set: a value of dtype float32 in a tensor of int64 would lose its fraction; cast one",
    ),
]

DTYPES_AND_DEVICES: list[Case] = [
    (
        "mixed devices",
        lambda: zeros(2) + zeros((2, 3), device="numpy"),
        ag.DeviceError,
        "add: operands lie on different devices: float32[2] on cpu, float32[2, 3] on numpy. Move one explicitly: "
        "x.to('cpu') or x.to('numpy').",
    ),
    (
        "mixed devices among several",
        lambda: ag.concat([zeros(2), zeros(1), zeros(3, device="numpy")]),
        ag.DeviceError,
        "concat: operands lie on different devices: float32[2] on cpu, float32[1] on cpu, float32[3] on numpy. Move "
        "one explicitly: x.to('cpu') or x.to('numpy').",
    ),
    (
        "a cotangent elsewhere",
        lambda: (leaf() * 2.0).backward(zeros(2, device="numpy")),
        ag.DeviceError,
        "backward: operands lie on different devices: float32[2] on cpu, float32[2] on numpy. Move one explicitly: "
        "x.to('cpu') or x.to('numpy').",
    ),
    (
        "device index",
        lambda: zeros(2, device="cpu:3"),
        ag.DeviceError,
        "device 'cpu:3' does not exist: cpu has 1 device(s), 'cpu:0'",
    ),
    (
        "device name",
        lambda: zeros(2, device="cpu:x"),
        ag.DeviceError,
        "device 'cpu:x': write the backend's name or name:index, such as 'cpu:0'",
    ),
    (
        "no device",
        lambda: zeros(2, device=3),
        ag.DeviceError,
        "a device is a name such as 'cpu' or 'cuda:1', got 3",
    ),
    (
        "no dtype",
        lambda: ag.tensor(1.0, dtype="floaty"),
        ag.DTypeError,
        "'floaty' is not a dtype; write e.g. ag.float32 or 'float32'",
    ),
    (
        "dtype without numbers",
        lambda: zeros(2, dtype=object),
        ag.DTypeError,
        "dtype object holds no numbers; a tensor holds booleans, integers, floats or complex numbers",
    ),
    (
        "text",
        lambda: ag.tensor(["a"]),
        ag.DTypeError,
        "tensor: an array of dtype <U1 cannot be a tensor: it holds no numbers",
    ),
    (
        "an object",
        lambda: zeros(2) * None,
        ag.ArgumentError,
        "multiply: NoneType None cannot become a tensor: no number of at most 64 bits, no array, no nested list of "
        "such; tensors are joined with ag.stack",
    ),
    (
        "complex to real",
        lambda: ag.tensor([1j]).float(),
        ag.DTypeError,
        "astype: complex64 to float32 would lose the imaginary part; write x.real.astype('float32'), "
        "or ag.abs(x) for the modulus",
    ),
    (
        "a floating condition",
        lambda: ag.where(zeros(2), zeros(2), zeros(2)),
        ag.DTypeError,
        "where: condition must be boolean, got float32; write e.g. condition > 0",
    ),
    (
        "bits of floats",
        lambda: zeros(2) & (zeros(2) > 0),
        ag.DTypeError,
        "bitwise_and: needs booleans or integers, got float32[2] and float32[2]; compare first, (x > 0) & (y > 0)",
    ),
    (
        "an integer to a negative power",
        lambda: ag.tensor([2]) ** -1,
        ag.DTypeError,
        "pow: int64[1] to the power -1 is no integer; write x.astype('float32') ** -1 or x ** -1.0",
    ),
]

CONVERSIONS: list[Case] = [
    (
        "truth",
        lambda: bool(zeros(2)),
        ag.ShapeError,
        "the truth value of a tensor of shape (2,) is ambiguous: use x.any() or x.all(); for a choice by element, "
        "ag.where(condition, a, b)",
    ),
    (
        "item",
        lambda: zeros((2, 3)).item(),
        ag.ShapeError,
        "item() takes a tensor of one element, this one has shape (2, 3)",
    ),
    (
        "float",
        lambda: float(zeros(2)),
        ag.ShapeError,
        "item() takes a tensor of one element, this one has shape (2,)",
    ),
    (
        "index",
        lambda: [1, 2][zeros(())],
        ag.DTypeError,
        "only integer tensors can be used as an index, this one has dtype float32",
    ),
    ("len", lambda: len(zeros(())), ag.NotASequenceError, "len() of a 0-d tensor: it holds one value, x.item()"),
    (
        "iteration",
        lambda: list(zeros(())),
        ag.NotASequenceError,
        "a 0-d tensor cannot be iterated over: it holds one value, x.item()",
    ),
    (
        "NumPy",
        lambda: np.asarray(leaf()),
        ag.GradientError,
        "NumPy would lose the gradient of this tensor: write x.detach().numpy()",
    ),
]

CASES = SHAPES + INDICES + DTYPES_AND_DEVICES + CONVERSIONS


@pytest.mark.parametrize(("bad", "kind", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_text(bad: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(ag.AutogradError) as caught:
        bad()
    assert (type(caught.value), str(caught.value)) == (kind, text)


def test_a_device_that_nobody_registered_names_those_registered() -> None:
    """Which they are depends on what is installed."""
    with pytest.raises(ag.DeviceError) as caught:
        zeros(2, device="tpu")
    found = re.fullmatch(r"no backend is named 'tpu'; registered are: (.*)", str(caught.value))
    assert {"cpu", "cuda", "numpy"} <= set(found[1].split(", "))


def test_a_device_that_cannot_be_used_says_why() -> None:
    """In the words of its backend."""
    (cuda, *_) = [device for device in ag.devices() if device.name == "cuda"]
    if cuda.available:
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ag.BackendUnavailableError) as caught:
        zeros(2).to("cuda")
    assert str(caught.value) == f"device 'cuda' cannot be used here: {cuda.reason}"
    assert len(cuda.reason) > 10


def test_rows_of_unequal_length() -> None:
    """The end of the text is NumPy's."""
    with pytest.raises(ag.ArgumentError, match=r"^tensor: list \[\[1\.0\], \[1\.0, 2\.0\]\] cannot become a tensor: "):
        ag.tensor([[1.0], [1.0, 2.0]])


def test_a_long_value_is_not_repeated_in_full() -> None:
    with pytest.raises(ag.ArgumentError) as caught:
        ag.tensor([None] * 1000)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("kind", "built_in"),
    [
        (errors.ShapeError, ValueError),
        (errors.IndexingError, IndexError),
        (errors.NotASequenceError, TypeError),
        (errors.DTypeError, TypeError),
        (errors.DeviceError, ValueError),
        (errors.BackendUnavailableError, ImportError),
        (errors.GradientError, RuntimeError),
        (errors.AnomalyError, FloatingPointError),
        (errors.GradientCheckError, AssertionError),
        (errors.ArgumentError, ValueError),
        (errors.DataError, ValueError),
        (errors.StateDictError, KeyError),
        (errors.CheckpointError, ValueError),
    ],
)
def test_errors_are_those_that_a_user_of_numpy_catches(kind: type[Exception], built_in: type[Exception]) -> None:
    assert issubclass(kind, ag.AutogradError)
    assert issubclass(kind, built_in)
    assert getattr(ag, kind.__name__) is kind
    assert str(kind("what was asked")) == "what was asked"


def test_every_error_is_public() -> None:
    kinds = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert not [e.__name__ for e in kinds if getattr(ag, e.__name__, None) is not e]
