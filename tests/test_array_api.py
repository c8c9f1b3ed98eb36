"""The Python array API standard 2024.12: what of it is not an operation (those are in the op table).

``docs/array_api.md`` says how the standard's own test suite is run on ``autograd_core`` and what it finds.
"""

from __future__ import annotations

import inspect
import itertools
import operator
from typing import Any

import array_api_standard as standard
import numpy as np
import pytest
from plugins.boxed import BoxedBackend

import autograd_core as ag
from autograd_core.backend import Device, KernelTable
from autograd_core.errors import ArgumentError, DTypeError, GradientError, ShapeError


def each(table: dict[str, str]):
    return pytest.mark.parametrize(("name", "signature"), list(standard.rows(table)))


# ------------------------------------------------------------------------------------------ signatures


# What a parameter may be: a function that takes it in more ways than the standard asks for serves its callers too.
STRICT = {"POSITIONAL_ONLY": ("POSITIONAL_ONLY",), "KEYWORD_ONLY": ("KEYWORD_ONLY",)}
WIDER = {kind: (kind, "POSITIONAL_OR_KEYWORD") for kind in STRICT}


def check_signature(function: Any, signature: str, allowed: dict[str, tuple[str, ...]] = STRICT) -> None:
    """Parameters as the standard has them, in its order; others of ours have defaults."""
    given = list(inspect.signature(function).parameters.values())
    wanted = standard.parameters(signature)
    for name, (kind, default) in wanted.items():
        ours = given[0] if kind == "POSITIONAL_ONLY" else next((p for p in given if p.name == name), None)
        assert ours is not None, f"{name} is missing"  # names of positional-only parameters are nobody's business
        assert ours.kind.name in allowed.get(kind, (kind,)), f"{name} is {ours.kind.name}, not {kind}"
        found = None if ours.default is ours.empty else repr(ours.default)
        assert found == default or (default is None and name == "axis"), f"{name} is {found} by default, not {default}"
        given.remove(ours)
    assert all(p.default is not p.empty or p.kind.name.startswith("VAR") for p in given), f"beside those: {given}"


@each(standard.FUNCTIONS)
def test_functions_have_the_signatures_of_the_standard(name, signature):
    check_signature(getattr(ag, name), signature)


@each(standard.LINALG)
def test_linear_algebra_has_the_signatures_of_the_standard(name, signature):
    check_signature(getattr(ag.linalg, name), signature)


@each(standard.FFT)
def test_fourier_transforms_have_the_signatures_of_the_standard(name, signature):
    check_signature(getattr(ag.fft, name), signature, WIDER)  # NumPy's signatures


@each(standard.INSPECTION)
def test_inspection_has_the_signatures_of_the_standard(name, signature):
    check_signature(getattr(type(ag.__array_namespace_info__()), name), signature)


def test_a_wrong_signature_would_be_found():
    def swapped(x, /, *, axis=0, keepdims=False):
        pass

    def named(x, *, axis=None, keepdims=False):
        pass

    def greedy(x, /, more, *, axis=None, keepdims=False):
        pass

    for function in (swapped, named, greedy):
        with pytest.raises(AssertionError):
            check_signature(function, "x, /, *, axis=None, keepdims=False")


@each(standard.METHODS)
def test_tensors_have_the_methods_of_the_standard(name, signature):
    check_signature(getattr(ag.Tensor, name), signature, WIDER)


def test_tensors_have_the_attributes_of_the_standard():
    x = ag.ones((2, 3))
    assert all(hasattr(x, name) for name in standard.ATTRIBUTES.split())
    assert (x.ndim, x.size, x.shape, x.T.shape, x.mT.shape) == (2, 6, (2, 3), (3, 2), (3, 2))


def test_dtypes_and_constants_of_the_standard_are_on_the_face():
    assert all(getattr(ag, name) == np.dtype(name) for name in standard.DTYPES.split())
    assert (ag.e, ag.pi, ag.inf, ag.newaxis) == (np.e, np.pi, np.inf, None)
    assert np.isnan(ag.nan)
    assert all(hasattr(ag, name) for name in standard.CONSTANTS.split())


# ------------------------------------------------------------------------------------------ inspection


def test_tensors_name_their_namespace():
    x = ag.ones(2)
    assert x.__array_namespace__() is ag
    assert x.__array_namespace__(api_version=ag.__array_api_version__) is ag
    with pytest.raises(ArgumentError, match="version '1999.12' of the array API is not offered"):
        x.__array_namespace__(api_version="1999.12")


def test_namespace_info():
    info = ag.__array_namespace_info__()
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}
    assert info.default_device() == "cpu"
    assert "cpu" in info.devices()
    assert all(ag.zeros(1, device=device).device is device for device in info.devices())
    defaults = info.default_dtypes()
    assert defaults == info.default_dtypes(device="numpy")
    assert ag.asarray(1.0).dtype == ag.zeros(1).dtype == defaults["real floating"] == ag.float32
    assert ag.asarray(1j).dtype == defaults["complex floating"] == ag.complex64
    assert ag.asarray(1).dtype == ag.arange(2).dtype == defaults["integral"] == ag.int64
    assert ag.argmax(ag.ones(2)).dtype == defaults["indexing"]
    with ag.default_device("numpy"):
        assert info.default_device() == "numpy"


def test_as_many_dimensions_as_promised():
    most = ag.__array_namespace_info__().capabilities()["max dimensions"]
    x = ag.ones((1,) * most)
    assert (x + x).sum().item() == 2


def test_dtypes_of_a_kind():
    info = ag.__array_namespace_info__()
    assert list(info.dtypes()) == standard.DTYPES.split()
    assert info.dtypes(kind="real floating") == {"float32": ag.float32, "float64": ag.float64}
    assert list(info.dtypes(kind=("bool", "complex floating"))) == ["bool", "complex64", "complex128"]
    numbers = info.dtypes(kind="integral") | info.dtypes(kind=("real floating", "complex floating"))
    assert info.dtypes(kind="numeric") == numbers
    with pytest.raises(ArgumentError, match="'floating' is no kind of dtype; kinds are 'bool', "):
        info.dtypes(kind="floating")


# ------------------------------------------------------------------------------------------ data types


def test_isdtype():
    kinds = ("bool", "signed integer", "unsigned integer", "real floating", "complex floating")
    for name in [*standard.DTYPES.split(), "float16"]:
        dtype = np.dtype(name)
        found = [kind for kind in kinds if ag.isdtype(dtype, kind)]
        assert found == [kinds["biufc".index(dtype.kind)]]
        assert ag.isdtype(dtype, "integral") == (dtype.kind in "iu")
        assert ag.isdtype(dtype, "numeric") == (dtype.kind != "b")
        assert ag.isdtype(dtype, dtype)
        assert ag.isdtype(dtype, ("numeric", ag.bool))
    assert not ag.isdtype(ag.int8, ag.int16)
    with pytest.raises(ArgumentError, match="isdtype: 'number' is no kind"):
        ag.isdtype(ag.int8, "number")


SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")


def promotion_table() -> dict[tuple[str, str], str]:
    """The tables of the standard: within a kind the wider, between integers of both signs the next wider signed one."""
    table = {("bool", "bool"): "bool"}
    for family in (SIGNED, UNSIGNED, ("float32", "float64"), ("complex64", "complex128")):
        for a, b in itertools.product(family, repeat=2):
            table[a, b] = max(a, b, key=family.index)
    for (i, signed), (j, unsigned) in itertools.product(enumerate(SIGNED), enumerate(UNSIGNED[:3])):
        table[signed, unsigned] = SIGNED[max(i, j + 1)]
    for single, both in (("float32", "complex64"), ("float64", "complex128")):
        table[single, "complex64"] = both
        table[single, "complex128"] = "complex128"
    return table


@pytest.mark.parametrize(("pair", "expected"), promotion_table().items())
def test_promotion_is_that_of_the_standard(pair, expected):
    for a, b in (pair, pair[::-1]):
        assert ag.result_type(ag.asarray(1, dtype=a), np.dtype(b)) == expected
        assert ag.add(ag.ones((2, 1), dtype=a), ag.ones(3, dtype=b)).dtype == expected
        assert ag.can_cast(a, expected)
        assert ag.can_cast(ag.ones(1, dtype=a), b) == (expected == b)


@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        ((ag.int8, 1), "int8"),
        ((ag.int8, True), "int8"),
        ((ag.uint8, 1, ag.int8), "int16"),
        ((ag.float32, 1), "float32"),
        ((2.5, ag.float64), "float64"),
        ((ag.float32, 1j), "complex64"),
        ((ag.float64, 1j), "complex128"),
        ((ag.int64, 2.5), "float32"),  # beyond the standard: the default float, where NumPy answers float64
        ((ag.bool, 1), "int64"),
        ((ag.int64, ag.float32), "float64"),  # beyond the standard: as NumPy
    ],
)
def test_result_type_of_python_numbers_and_mixed_kinds(operands, expected):
    assert ag.result_type(*operands) == expected
    arrays = [ag.ones(2, dtype=x) if isinstance(x, np.dtype) else x for x in operands]
    total = arrays[0] + arrays[1]
    for x in arrays[2:]:
        total = total + x
    assert total.dtype == expected


def test_result_type_needs_a_dtype():
    with pytest.raises(ArgumentError, match="takes at least one tensor or dtype"):
        ag.result_type(1.0, 2)


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "complex64", "complex128"])
def test_finfo(name):
    found, expected = ag.finfo(name), np.finfo(name)
    assert found.dtype == expected.dtype
    assert found.bits == expected.bits
    for attribute in ("eps", "max", "min", "smallest_normal"):
        value = getattr(found, attribute)
        assert type(value) is float
        assert value == getattr(expected, attribute)
    assert ag.finfo(ag.ones(1, dtype=name)) == found


@pytest.mark.parametrize("name", [*SIGNED, *UNSIGNED])
def test_iinfo(name):
    found, expected = ag.iinfo(ag.ones(1, dtype=name)), np.iinfo(name)
    assert (found.bits, found.max, found.min, found.dtype) == (expected.bits, expected.max, expected.min, name)
    assert type(found.max) is int


def test_limits_of_the_wrong_kind_of_dtype():
    with pytest.raises(DTypeError, match="finfo: takes a floating dtype, got int64; write ag.iinfo"):
        ag.finfo(ag.int64)
    with pytest.raises(DTypeError, match="iinfo: takes an integer dtype, got bool"):
        ag.iinfo(ag.bool)


# ------------------------------------------------------------------------------------------ copies, devices


def test_copies_are_other_tensors_with_the_same_gradient():
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    for copied in (
        ag.asarray(x, copy=True),
        ag.astype(x, ag.float32),
        ag.reshape(x, 2, copy=True),
    ):
        assert copied is not x
        (copied * copied).sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]
    constant = ag.tensor([1.0, 2.0])
    copied = ag.asarray(constant, copy=True)
    constant[0] = 9.0
    assert copied.tolist() == [1.0, 2.0]


def test_where_a_copy_is_forbidden():
    x = ag.tensor([1.0])
    array = np.ones(2)
    assert ag.asarray(x, copy=False) is x
    assert np.shares_memory(ag.asarray(array, copy=False).numpy(), array)
    for obj, dtype in ((x, "float64"), (array, "float32"), ([1.0], None), (2.0, None)):
        with pytest.raises(ArgumentError, match="asarray: copy=False, but .* by a copy only"):
            ag.asarray(obj, dtype=dtype, copy=False)
    with pytest.raises(ArgumentError, match="float32 on cpu can become float32 on numpy by a copy only"):
        ag.asarray(x, device="numpy", copy=False)


def test_to_device():
    x = ag.tensor([1.0], requires_grad=True)
    assert x.to_device("cpu") is x
    y = x.to_device("numpy")
    assert y.device == "numpy"
    y.backward()
    assert x.grad.device == "cpu"
    with pytest.raises(ArgumentError, match="to_device: copies wait"):
        x.to_device("numpy", stream=1)


# ------------------------------------------------------------------------------------------ DLPack


def test_numpy_reads_tensors_by_dlpack():
    x = ag.tensor([[1.0, 2.0], [3.0, 4.0]])
    copied = np.from_dlpack(x.mT)
    copied[0, 0] = 9.0
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    shared = np.from_dlpack(x, copy=False)
    assert np.shares_memory(shared, x.numpy())
    assert not shared.flags.writeable
    assert x.__dlpack_device__() == (1, 0)


@pytest.mark.parametrize("name", [*standard.DTYPES.split(), "float16"])
def test_tensors_are_made_from_what_speaks_dlpack(name):
    array = np.array([[0, 1], [1, 0]], name)
    x = ag.from_dlpack(array)
    assert x.dtype == name
    assert np.shares_memory(x.numpy(), array)
    apart = ag.from_dlpack(array, copy=True)
    assert not np.shares_memory(apart.numpy(), array)
    assert apart.tolist() == array.tolist() == ag.from_dlpack(x).tolist()
    assert ag.from_dlpack(array, device="numpy").device == "numpy"
    assert ag.from_dlpack(x, device="numpy").device == "numpy"


def test_what_dlpack_cannot_do():
    x = ag.tensor([1.0])
    with pytest.raises(GradientError, match=r"pass x\.detach\(\)"):
        np.from_dlpack(ag.tensor([1.0], requires_grad=True))
    with pytest.raises(BufferError, match="readonly"):
        x.__dlpack__(copy=False)  # of a version that cannot say that memory is read-only
    with pytest.raises(ArgumentError, match="from_dlpack: list does not offer __dlpack__"):
        ag.from_dlpack([1.0])
    with pytest.raises(BufferError, match="cpu to numpy takes a copy"):
        ag.from_dlpack(x, device="numpy", copy=False)

    class Elsewhere:
        def __dlpack_device__(self):
            return (7, 0)

        def __dlpack__(self, **options):
            raise AssertionError("not asked")

    with pytest.raises(ag.DeviceError, match=r"no device here holds arrays of DLPack's device \(7, 0\)"):
        ag.from_dlpack(Elsewhere())


def test_arrays_of_a_backend_that_does_not_speak_dlpack():
    backend = BoxedBackend()
    device = Device(backend, 0, KernelTable(backend))
    x = ag.ones(2, device=device)
    for call in (x.__dlpack__, x.__dlpack_device__):
        with pytest.raises(BufferError, match=r"arrays on boxed do not speak DLPack; write x\.to\('cpu'\) first"):
            call()
    assert ag.from_dlpack(np.ones(2), device=device).device is device


def test_pytorch_and_dlpack():
    torch = pytest.importorskip("torch")
    x = ag.tensor([1.0, 2.0])
    theirs = torch.from_dlpack(x)
    theirs[0] = 9.0  # it heeds no mark of read-only memory
    assert x.tolist() == [1.0, 2.0]
    source = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    ours = ag.from_dlpack(source.T)
    assert ours.dtype == ag.float64
    assert ours.tolist() == source.T.tolist()
    assert ours.numpy().__array_interface__["data"][0] == source.data_ptr()
    with pytest.raises(BufferError):
        ag.from_dlpack(source.requires_grad_())
    with pytest.raises(BufferError, match="Tensor of dtype torch.bfloat16 cannot be taken"):
        ag.from_dlpack(torch.ones(2, dtype=torch.bfloat16))


# ------------------------------------------------------------------------------------------ operators

BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift", "matmul"]


@pytest.mark.parametrize("name", BINARY)
def test_operators_in_all_their_forms(name):
    integral = name in ("and", "or", "xor", "lshift", "rshift")
    left, right = (np.array([[5, 3], [2, 7]], np.int64 if integral else np.float64), np.array([[2, 1], [3, 1]]))
    right = right.astype(left.dtype)
    expected = getattr(left, f"__{name}__")(right)
    x, y = ag.asarray(left), ag.asarray(right)
    assert getattr(x, f"__{name}__")(y).numpy() == pytest.approx(expected)
    assert getattr(y, f"__r{name}__")(x).numpy() == pytest.approx(expected)
    changed = getattr(operator, f"i{name}")(x, y)
    assert changed.numpy() == pytest.approx(expected)
    assert x.numpy() == pytest.approx(left)  # x += y binds a new tensor to the name


# ------------------------------------------------------------------------------------------ sets, searching


def test_sets_keep_no_derivative_and_have_names():
    x = ag.tensor([2.0, 1.0, 2.0], requires_grad=True)
    found = ag.unique_all(x)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    assert not found.values.requires_grad
    assert found.values[found.inverse_indices].tolist() == x.tolist()
    assert ag.unique_counts(x)._fields == ("values", "counts")
    assert ag.unique_inverse(x)._fields == ("values", "inverse_indices")


def test_complex_numbers_have_unique_values():
    x = ag.tensor([1 + 2j, 1 - 2j, 1 + 2j])
    assert ag.unique_counts(x).counts.tolist() == [1, 2]


def test_equal_zeros_of_both_signs_are_one_value():
    found = ag.unique_all(ag.tensor([0.0, -0.0]))
    assert (found.values.tolist(), found.counts.tolist()) == ([0.0], [2])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: ag.searchsorted(x, x, side="middle"), ArgumentError, "side must be 'left' or 'right', got 'middle'"),
        (lambda x: ag.searchsorted(ag.ones((2, 2)), x), ShapeError, r"x1 must have 1 dimension, got shape \(2, 2\)"),
        (lambda x: ag.searchsorted(x, x, sorter=ag.arange(2)), ShapeError, r"sorter of shape \(2,\) does not fit"),
        (lambda x: ag.searchsorted(x, x, sorter=x), DTypeError, "sorter must hold integers, got float32"),
        (lambda x: ag.searchsorted(x * 1j, x), DTypeError, "complex numbers have no order"),
        (lambda x: ag.diff(x, n=-1), ArgumentError, "must not be negative, got -1"),
        (lambda x: ag.diff(ag.tensor(1.0)), ShapeError, "axis -1 is out of range"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call(ag.ones(3))


def test_searchsorted_on_a_batch():
    rows = ag.tensor([[1.0, 2.0, 3.0], [0.0, 5.0, 9.0]])
    values = ag.tensor([[2.5, 0.5], [2.5, 9.0]])
    assert ag.vmap(ag.searchsorted)(rows, values).tolist() == [[2, 0], [1, 2]]
    assert ag.vmap(ag.searchsorted, in_axes=(None, 0))(rows[0], values).tolist() == [[2, 0], [2, 3]]
    assert ag.vmap(ag.searchsorted, in_axes=(0, None))(rows, values[0]).tolist() == [[2, 0], [1, 1]]
