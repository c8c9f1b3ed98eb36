"""The functions of CuPy's namespaces: NumPy's of the same names, and where CuPy differs, their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import arrays, ufuncs
from .facts import check_arguments
from .hardware import machine

NUMPY = {"cupy": np, "cupy.linalg": np.linalg, "cupy.fft": np.fft, "cupy.lib.stride_tricks": np.lib.stride_tricks}
# How many elements come out, or whether all went well, is read on the host.
WAITING = frozenset(
    [
        "nonzero",
        "argwhere",
        "flatnonzero",
        "unique",
        "unique_all",
        "unique_counts",
        "unique_inverse",
        "unique_values",
        "union1d",
        "intersect1d",
        "setdiff1d",
        "setxor1d",
        "extract",
        "trim_zeros",
        "histogram",
        "array_str",
        "array_repr",
        "array2string",
    ]
)
# cuBLAS and cuSOLVER refuse to work on a stream that is captured; whether Thrust's sorts can be is not known.
NOT_CAPTURED = {
    "cuBLAS": frozenset(["matmul", "dot", "vdot", "inner", "outer", "tensordot", "einsum", "kron"]),
    "Thrust": {
        "sort",
        "argsort",
        "lexsort",
        "partition",
        "argpartition",
        "msort",
        "sort_complex",
        "median",
        "percentile",
    },
}
# Functions that need no array to begin with.
MAKING = frozenset(
    [
        "eye",
        "identity",
        "tri",
        "linspace",
        "logspace",
        "indices",
        "meshgrid",
        "fftfreq",
        "rfftfreq",
        "bartlett",
        "blackman",
        "hamming",
        "hanning",
        "kaiser",
        "ix_",
        "diag_indices",
        "tril_indices",
        "triu_indices",
        "mask_indices",
    ]
)
# Plain functions of shapes and dtypes.
OF_NO_ARRAYS = frozenset(
    [
        "broadcast_shapes",
        "can_cast",
        "common_type",
        "dtype",
        "finfo",
        "iinfo",
        "isdtype",
        "isscalar",
        "issubdtype",
        "min_scalar_type",
        "ndim",
        "promote_types",
        "result_type",
        "shape",
        "size",
        "iscomplexobj",
        "isrealobj",
        "ndindex",
    ]
)


def call(where: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``where.name(*args, **kwargs)`` as CuPy takes it."""
    check_arguments(where, name, args, kwargs)
    own = OWN.get((where, name))
    if own is not None:
        return own(*args, **kwargs)
    if name in OF_NO_ARRAYS:
        return getattr(np, name)(*map(_dtype_of, args), **kwargs)
    for library, names in NOT_CAPTURED.items():
        if name in names:
            machine.refuse_capture(f"{name} ({library})")
    if where == "cupy.linalg":
        machine.refuse_capture(f"{name} (cuSOLVER)")
    if name in WAITING:
        machine.synchronize(machine.queue, name)
    return _by_numpy(where, name, args, kwargs)


def _dtype_of(x: Any) -> Any:
    return np.empty(x.shape, x.dtype) if isinstance(x, arrays.ndarray) else x


def _by_numpy(where: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    run = getattr(NUMPY[where], name, None)
    if run is None:
        raise NotImplementedError(f"the fake has no {where}.{name}: add it to functions.OWN")
    if name not in MAKING and not any(isinstance(x, arrays.ndarray) for x in _leaves(args[:1])):
        raise TypeError(f"{where}.{name} takes arrays of CuPy, got {type(args[0]).__name__ if args else 'none'}")
    reads: list[arrays.ndarray] = []
    out = kwargs.get("out")
    given = {k: v for k, v in kwargs.items() if k != "out"}
    _collect(f"{where}.{name}", (args, given), reads)
    for x in (*reads, *([] if out is None else [out])):
        machine.check_here(x)

    hosts, options = _hosts(args), _hosts(given)

    def compute() -> Any:
        with np.errstate(all="ignore"):
            return run(*hosts, **options)

    return _placed(name, compute, reads, out)


def _placed(name: str, compute: Callable[[], Any], reads: list[arrays.ndarray], out: Any = None) -> Any:
    """The results of ``compute`` on the device: views where they share memory with an operand."""
    found = compute()
    several = isinstance(found, tuple) or (isinstance(found, list) and found and isinstance(found[0], np.ndarray))
    pieces = list(found) if several else [found]
    if not all(isinstance(piece, (np.ndarray, np.generic)) for piece in pieces):
        return found
    made, fresh = [], []
    for k, piece in enumerate(map(np.asarray, pieces)):
        source = next((x for x in reads if piece.size and np.may_share_memory(piece, x._host)), None)
        if out is not None:
            if out.shape != piece.shape or not np.can_cast(piece.dtype, out.dtype, "same_kind"):
                raise ValueError(
                    f"{name}: out of {out.dtype}{list(out.shape)} does not fit {piece.dtype}{list(piece.shape)}"
                )
            made.append(out)
            fresh.append((k, out))
        elif source is not None:
            made.append(arrays.view_of(source, piece))
        else:
            made.append(arrays.empty(piece.shape, piece.dtype, "F" if piece.flags.fnc else "C"))
            fresh.append((k, made[-1]))

    def work() -> None:
        again = compute() if capturing else found
        for k, target in targets:
            target[...] = again[k] if several else again

    capturing = machine.queue.capture is not None
    targets = [(k, target._host) for k, target in fresh]
    if any(target.size for _, target in fresh):
        machine.launch(name, work, reads, [target for _, target in fresh])
    return type(found)(made) if type(found) in (tuple, list) else tuple(made) if several else made[0]


def _collect(what: str, value: Any, reads: list[arrays.ndarray]) -> None:
    """The arrays among the arguments; arrays on the host are refused."""
    if isinstance(value, arrays.ndarray):
        reads.append(value)
    elif isinstance(value, np.ndarray):
        raise TypeError(f"{what}: Unsupported type {type(value)}: an array on the host")
    elif isinstance(value, (tuple, list)):
        for item in value:
            _collect(what, item, reads)
    elif isinstance(value, dict):
        for item in value.values():
            _collect(what, item, reads)


def _hosts(value: Any) -> Any:
    if isinstance(value, arrays.ndarray):
        return value._host
    if isinstance(value, dict):
        return {k: _hosts(v) for k, v in value.items()}
    return type(value)(map(_hosts, value)) if type(value) in (tuple, list) else value


# ---------------------------------------------------------------------------------------- where CuPy differs


def _array(
    obj: Any,
    dtype: Any = None,
    copy: Any = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> Any:
    if subok:
        raise NotImplementedError("subok")
    order = order or "K"
    dtype = None if dtype is None else arrays.supported(dtype)
    if isinstance(obj, (list, tuple)) and any(isinstance(x, arrays.ndarray) for x in _leaves(obj)):
        reads: list[arrays.ndarray] = []
        _collect("array", obj, reads)
        return _placed("array", lambda: np.array(_hosts(obj), dtype), reads)
    if isinstance(obj, arrays.ndarray):
        if obj.data.device_id != machine.local.device:
            return arrays.copied_across(obj).astype(obj.dtype if dtype is None else dtype, copy=False)
        made = obj.astype(obj.dtype if dtype is None else dtype, order, copy=copy)
    else:
        host = np.array(obj, dtype=dtype, copy=None, ndmin=ndmin)
        host = host if host.dtype.isnative else host.astype(host.dtype.newbyteorder("="))
        made = arrays.from_host(host.astype(arrays.supported(host.dtype), copy=False), order)
    if made.ndim < ndmin:
        made = made.reshape((1,) * (ndmin - made.ndim) + made.shape)
    if blocking:
        machine.synchronize(machine.queue, "array(blocking=True)")
    return made


def _leaves(obj: Any) -> Any:
    return (y for x in obj for y in (_leaves(x) if isinstance(x, (list, tuple)) else (x,)))


def _asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> Any:
    return _array(a, dtype, bool(copy) if copy is not None else False, order, blocking=blocking)


def _ascontiguousarray(a: Any, dtype: Any = None) -> Any:
    """Of 0-d arrays with one axis."""
    made = a.astype(a.dtype if dtype is None else dtype, "C", copy=False)
    return made.reshape(1) if not made.shape else made


def _asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    return a.get(stream, order, out, blocking) if isinstance(a, arrays.ndarray) else np.asarray(a, order=order)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if x is None:
        return call("cupy", "nonzero", (condition,), {})
    return ufuncs.WHERE(condition.astype("?", copy=False), x, y)


def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    if where is not None or src.dtype != dst.dtype or src.shape != dst.shape:
        raise NotImplementedError("the fake copies whole arrays of one dtype")
    machine.launch("copyto", lambda: np.copyto(dst._host, src._host), [src], [dst])


def _full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> Any:
    if dtype is None:
        dtype = fill_value.dtype if isinstance(fill_value, arrays.ndarray) else np.array(fill_value).dtype
    made = arrays.empty(shape, dtype, order)
    if made.size:
        made.fill(fill_value)
    return made


def _like(prototype: Any, fill_value: Any, dtype: Any, order: str, shape: Any) -> Any:
    kept = "F" if order == "K" and prototype._host.flags.fnc else "C" if order in "KA" else order
    made = arrays.empty(prototype.shape if shape is None else shape, prototype.dtype if dtype is None else dtype, kept)
    if fill_value is not None and made.size:
        made.fill(fill_value)
    return made


def _take(a: Any, indices: Any, axis: int | None = None, out: Any = None) -> Any:
    """Indices out of range wrap around."""
    read = [a]
    if not isinstance(indices, arrays.ndarray):
        indices = _array(indices)
    read.append(indices)
    length = a.size if axis is None else a.shape[axis] if a.ndim else 1
    return _placed("take", lambda: np.take(a._host, np.mod(indices._host, max(length, 1)), axis), read, out)


def _take_along_axis(a: Any, indices: Any, axis: int | None) -> Any:
    length = a.size if axis is None else a.shape[axis]
    return _placed(
        "take_along_axis",
        lambda: np.take_along_axis(a._host, np.mod(indices._host, max(length, 1)), axis),
        [a, indices],
    )


def _concatenate(
    tup: Any, axis: int | None = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    if not all(isinstance(x, arrays.ndarray) for x in tup):
        raise TypeError("Only cupy arrays can be concatenated")
    return _by_numpy("cupy", "concatenate", (tuple(tup), axis), {"out": out, "dtype": dtype, "casting": casting})


def _sorted(name: str) -> Callable[..., Any]:
    def run(a: Any, axis: int | None = -1, kind: str | None = None) -> Any:
        if kind not in (None, "stable"):
            raise ValueError(f"kind can only be None or 'stable', got {kind!r}")
        machine.refuse_capture(f"{name} (Thrust)")
        return _placed(name, lambda: getattr(np, name)(a._host, axis, kind="stable"), [a])

    return run


def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    if isinstance(repeats, arrays.ndarray):
        raise ValueError("cupy.ndaray cannot be specified as `repeats` argument.")
    return _placed("repeat", lambda: np.repeat(a._host, repeats, axis), [a])


def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    if not isinstance(a, arrays.ndarray):
        raise NotImplementedError("Only int or ndarray are supported for a")
    v = _array(v) if not isinstance(v, arrays.ndarray) else v
    return _placed("searchsorted", lambda: np.searchsorted(a._host, v._host, side), [a, v])


def _from_dlpack(array: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    kind, _ = array.__dlpack_device__()
    if kind != 2:
        raise TypeError("CPU arrays cannot be directly imported to CuPy. Use `cupy.array(numpy.from_dlpack(input))`")
    taken = array.__dlpack__(stream=None).array
    machine.check_here(taken)
    return taken.copy() if copy else arrays.view_of(taken, taken._host)


def _arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    if any(isinstance(x, arrays.ndarray) for x in (start, stop, step)):
        raise TypeError("the bounds of arange are numbers")
    found = (
        np.arange(start, stop, 1 if step is None else step, dtype)
        if stop is not None
        else np.arange(0, start, step, dtype)
    )
    return _placed("arange", lambda: found, [])


def _matmul(*args: Any, **kwargs: Any) -> Any:
    machine.refuse_capture("matmul (cuBLAS)")
    reads: list[arrays.ndarray] = []
    _collect("matmul", args, reads)
    if len(reads) < 2:
        raise TypeError("matmul takes arrays")
    out = kwargs.get("out")
    return _placed(
        "matmul", lambda: np.matmul(reads[0]._host, reads[1]._host), reads[:2], reads[2] if len(reads) > 2 else out
    )


# ---------------------------------------------------------------------------------------- linear algebra


def _wait_for_info(name: str) -> None:
    if machine.linalg_errors == "raise":
        machine.synchronize(machine.queue, f"linalg.{name}")


def _solve(a: Any, b: Any) -> Any:
    """A stack of right sides is as large as the stack of matrices: nothing is broadcast."""
    if b.ndim > 1 and a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
    if b.ndim == 1 and a.shape[-1] != b.size:
        raise ValueError("a must have (..., M, M) shape and b must have (M,) for one-dimensional b")
    return _factored("solve", (a, b))


def _factored(name: str, operands: tuple[Any, ...], **options: Any) -> Any:
    """Where a factor does not exist: LinAlgError if the host was told to look, else numbers that mean nothing."""
    machine.refuse_capture(f"linalg.{name} (cuSOLVER)")

    def compute() -> Any:
        with np.errstate(all="ignore"):
            try:
                return getattr(np.linalg, name)(*(x._host for x in operands), **options)
            except np.linalg.LinAlgError:
                if machine.linalg_errors == "raise":
                    raise
                return np.full(operands[-1].shape, np.nan, np.result_type(*(x.dtype for x in operands), np.float32))

    found = _placed(f"linalg.{name}", compute, list(operands))
    _wait_for_info(name)
    return found


def _spectral(name: str, a: Any, options: dict[str, Any]) -> Any:
    """Of matrices with NaN or infinity: NaN, and no error."""
    machine.refuse_capture(f"linalg.{name} (cuSOLVER)")

    def compute() -> Any:
        finite = bool(np.isfinite(a._host).all())
        with np.errstate(all="ignore"):
            found = getattr(np.linalg, name)(
                a._host if finite else np.eye(*a.shape[-2:]) + 0 * np.nan_to_num(a._host, posinf=0, neginf=0), **options
            )
        pieces = tuple(found) if isinstance(found, tuple) else (found,)
        pieces = pieces if finite else tuple(np.full_like(piece, np.nan) for piece in pieces)
        return pieces if isinstance(found, tuple) else pieces[0]

    return _placed(f"linalg.{name}", compute, [a])


OWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("cupy", "array"): _array,
    ("cupy", "asarray"): _asarray,
    ("cupy", "asanyarray"): _asarray,
    ("cupy", "ascontiguousarray"): _ascontiguousarray,
    ("cupy", "asnumpy"): _asnumpy,
    ("cupy", "where"): _where,
    ("cupy", "copyto"): _copyto,
    ("cupy", "full"): _full,
    ("cupy", "zeros"): lambda shape, dtype=float, order="C": _full(shape, 0, dtype, order),
    ("cupy", "ones"): lambda shape, dtype=float, order="C": _full(shape, 1, dtype, order),
    ("cupy", "empty"): lambda shape, dtype=float, order="C": arrays.empty(shape, dtype, order),
    ("cupy", "full_like"): lambda a, fill_value, dtype=None, order="K", subok=None, shape=None: _like(
        a, fill_value, dtype, order, shape
    ),
    ("cupy", "zeros_like"): lambda a, dtype=None, order="K", subok=None, shape=None: _like(a, 0, dtype, order, shape),
    ("cupy", "ones_like"): lambda a, dtype=None, order="K", subok=None, shape=None: _like(a, 1, dtype, order, shape),
    ("cupy", "empty_like"): lambda prototype, dtype=None, order="K", subok=None, shape=None: _like(
        prototype, None, dtype, order, shape
    ),
    ("cupy", "take"): _take,
    ("cupy", "take_along_axis"): _take_along_axis,
    ("cupy", "concatenate"): _concatenate,
    ("cupy", "sort"): _sorted("sort"),
    ("cupy", "argsort"): _sorted("argsort"),
    ("cupy", "repeat"): _repeat,
    ("cupy", "searchsorted"): _searchsorted,
    ("cupy", "from_dlpack"): _from_dlpack,
    ("cupy", "arange"): _arange,
    ("cupy", "matmul"): _matmul,
    ("cupy.linalg", "solve"): _solve,
    **{
        ("cupy.linalg", name): (lambda *operands, _name=name, **options: _factored(_name, operands, **options))
        for name in ("inv", "cholesky")
    },
    **{
        ("cupy.linalg", name): (lambda a, _name=name, **options: _spectral(_name, a, options))
        for name in ("svd", "eigh", "eigvalsh", "eig", "eigvals", "qr")
    },
}
