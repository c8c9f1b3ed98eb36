"""Signatures of the Python array API standard, version 2024.12, as its stubs state them.

https://data-apis.org/array-api/2024.12/API_specification/
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

# signature -> the functions that have it
FUNCTIONS = {
    "": "__array_namespace_info__",
    "x, /": "abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite "
    "isinf isnan log log10 log1p log2 logical_not matrix_transpose negative nonzero positive real reciprocal round "
    "sign signbit sin sinh sqrt square tan tanh trunc unique_all unique_counts unique_inverse unique_values",
    "x1, x2, /": "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide "
    "equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor "
    "matmul maximum minimum multiply nextafter not_equal pow remainder subtract",
    "*arrays": "broadcast_arrays",
    "*arrays, indexing='xy'": "meshgrid",
    "*arrays_and_dtypes": "result_type",
    "arrays, /, *, axis=0": "concat stack",
    "condition, x1, x2, /": "where",
    "dtype, kind": "isdtype",
    "from_, to, /": "can_cast",
    "n_rows, n_cols=None, /, *, k=0, dtype=None, device=None": "eye",
    "obj, /, *, dtype=None, device=None, copy=None": "asarray",
    "shape, *, dtype=None, device=None": "empty ones zeros",
    "shape, fill_value, *, dtype=None, device=None": "full",
    "start, /, stop=None, step=1, *, dtype=None, device=None": "arange",
    "start, stop, /, num, *, dtype=None, device=None, endpoint=True": "linspace",
    "type, /": "finfo iinfo",
    "x, /, *, axis=-1, descending=False, stable=True": "argsort sort",
    "x, /, *, axis=-1, n=1, prepend=None, append=None": "diff",
    "x, /, *, axis=0": "unstack",
    "x, /, *, axis=None": "flip",
    "x, /, *, axis=None, correction=0.0, keepdims=False": "std var",
    "x, /, *, axis=None, dtype=None, include_initial=False": "cumulative_prod cumulative_sum",
    "x, /, *, axis=None, dtype=None, keepdims=False": "prod sum",
    "x, /, *, axis=None, keepdims=False": "all any argmax argmin count_nonzero max mean min",
    "x, /, *, device=None, copy=None": "from_dlpack",
    "x, /, *, dtype=None, device=None": "empty_like ones_like zeros_like",
    "x, /, *, k=0": "tril triu",
    "x, /, axes": "permute_dims",
    "x, /, axis": "expand_dims squeeze",
    "x, /, fill_value, *, dtype=None, device=None": "full_like",
    "x, /, min=None, max=None": "clip",
    "x, /, shape": "broadcast_to",
    "x, /, shape, *, copy=None": "reshape",
    "x, /, shift, *, axis=None": "roll",
    "x, dtype, /, *, copy=True, device=None": "astype",
    "x, indices, /, *, axis=-1": "take_along_axis",
    "x, indices, /, *, axis=None": "take",
    "x, repeats, /, *, axis=None": "repeat",
    "x, repetitions, /": "tile",
    "x, source, destination, /": "moveaxis",
    "x1, x2, /, *, axes=2": "tensordot",
    "x1, x2, /, *, axis=-1": "vecdot",
    "x1, x2, /, *, side='left', sorter=None": "searchsorted",
}
LINALG = {
    "x, /": "det eigh eigvalsh inv matrix_transpose slogdet svdvals",
    "x1, x2, /": "matmul outer solve",
    "x, /, *, full_matrices=True": "svd",
    "x, /, *, keepdims=False, ord='fro'": "matrix_norm",
    "x, /, *, axis=None, keepdims=False, ord=2": "vector_norm",
    "x, /, *, mode='reduced'": "qr",
    "x, /, *, offset=0": "diagonal",
    "x, /, *, offset=0, dtype=None": "trace",
    "x, /, *, rtol=None": "matrix_rank pinv",
    "x, /, *, upper=False": "cholesky",
    "x, n, /": "matrix_power",
    "x1, x2, /, *, axes=2": "tensordot",
    "x1, x2, /, *, axis=-1": "cross vecdot",
}
FFT = {
    "n, /, *, d=1.0, dtype=None, device=None": "fftfreq rfftfreq",
    "x, /, *, axes=None": "fftshift ifftshift",
    "x, /, *, n=None, axis=-1, norm='backward'": "fft hfft ifft ihfft irfft rfft",
    "x, /, *, s=None, axes=None, norm='backward'": "fftn ifftn irfftn rfftn",
}
INSPECTION = {
    "self": "capabilities default_device devices",
    "self, *, device=None": "default_dtypes",
    "self, *, device=None, kind=None": "dtypes",
}
METHODS = {
    "self, /": "__abs__ __bool__ __complex__ __dlpack_device__ __float__ __index__ __int__ __invert__ __neg__ __pos__",
    "self, other, /": "__add__ __and__ __eq__ __floordiv__ __ge__ __gt__ __le__ __lshift__ __lt__ __matmul__ __mod__ "
    "__mul__ __ne__ __or__ __pow__ __rshift__ __sub__ __truediv__ __xor__",
    "self, /, *, api_version=None": "__array_namespace__",
    "self, /, *, stream=None, max_version=None, dl_device=None, copy=None": "__dlpack__",
    "self, device, /, *, stream=None": "to_device",
    "self, key, /": "__getitem__",
    "self, key, value, /": "__setitem__",
}
ATTRIBUTES = "T device dtype mT ndim shape size"
DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"
CONSTANTS = "e inf nan newaxis pi"


def rows(table: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(name, signature) of every function of a table."""
    for signature, names in table.items():
        for name in names.split():
            yield name, signature


def parameters(signature: str) -> dict[str, tuple[str, str | None]]:
    """Parameter -> its kind, by the names of ``inspect``, and the source of its default."""
    function = ast.parse(f"def f({signature}): ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + [ast.unparse(d) for d in given.defaults]
    kinds = ["POSITIONAL_ONLY"] * len(given.posonlyargs) + ["POSITIONAL_OR_KEYWORD"] * len(given.args)
    found = {p.arg: (k, d) for p, k, d in zip(positional, kinds, defaults, strict=True)}
    if given.vararg is not None:
        found[given.vararg.arg] = ("VAR_POSITIONAL", None)
    for parameter, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        found[parameter.arg] = ("KEYWORD_ONLY", None if default is None else ast.unparse(default))
    return found
