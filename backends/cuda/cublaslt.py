"""cuBLASLt, NVIDIA's matrix products: its C functions, descriptors that end with their owner, status codes in words.

It is called directly because its calls take workspace and stream as arguments, so that they can be captured in a CUDA
graph; CuPy's own products cannot. NVIDIA, cuBLAS library documentation, "Using the cuBLASLt API".
"""

from __future__ import annotations

from ctypes import (
    CDLL,
    POINTER,
    Structure,
    byref,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
    sizeof,
)
from threading import Lock
from typing import Any, NamedTuple
from weakref import finalize

import numpy as np

from autograd_core.errors import BackendUnavailableError

STATUS = {
    1: "not initialized (is there a GPU and a driver that fits?)",
    3: "out of memory",
    7: "an argument is invalid",
    8: "this GPU's architecture lacks the feature",
    11: "memory could not be reached",
    13: "the kernel did not run",
    14: "internal error",
    15: "no algorithm for this combination of dtypes and layouts",
    16: "licence error",
}
NOT_SUPPORTED = 15

# Numbers of NVIDIA's headers: cudaDataType, cublasComputeType_t, and the attributes that are set here.
DATA_TYPES = {"float32": 0, "float64": 1, "float16": 2, "complex64": 4, "complex128": 5, "bfloat16": 14}
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_16BF, COMPUTE_32F_FAST_TF32 = 68, 70, 75, 77
TRANSPOSE_A, TRANSPOSE_B, EPILOGUE, BIAS_POINTER, BIAS_DATA_TYPE = 3, 4, 7, 8, 26
BATCH_COUNT, BATCH_STRIDE = 5, 6
WORKSPACE_BYTES, REDUCTION_SCHEMES, ALIGNMENT_A = 1, 3, 5
# Partial sums meet in workspace, in a fixed order: the same bits each time. Adding them in place is left out.
DETERMINISTIC_REDUCTIONS = 2 | 4
# What follows the sums, before they are rounded: bits of cublasLtEpilogue_t, where 1 alone is nothing.
NOTHING, RELU, BIAS = 1, 2, 4
BIAS_ALIGNMENT = 16  # bytes: kernels for aligned matrices read the bias so too, and no preference tells them not to


class CublasLtError(RuntimeError):
    """A call that cuBLASLt refused; ``status`` is its number."""

    def __init__(self, function: str, status: int):
        super().__init__(f"{function}: status {status}, {STATUS.get(status, 'unknown to this version')}")
        self.status = status


class Algorithm(Structure):
    """How a product is computed, opaque to us."""

    _fields_ = [("words", c_uint64 * 8)]


class _Heuristic(Structure):
    _fields_ = [
        ("algorithm", Algorithm),
        ("workspace", c_size_t),
        ("state", c_int),
        ("waves", c_float),
        ("reserved", c_int * 4),
    ]


class Layout(NamedTuple):
    """A stack of matrices, column by column: element (i, j) of matrix b lies at ``i + j*leading + b*stride``."""

    rows: int
    columns: int
    leading: int
    batch: int = 1
    stride: int = 0


_ARGUMENTS = {
    "cublasLtCreate": [POINTER(c_void_p)],
    "cublasLtDestroy": [c_void_p],
    "cublasLtMatmulDescCreate": [POINTER(c_void_p), c_int, c_int],
    "cublasLtMatmulDescDestroy": [c_void_p],
    "cublasLtMatmulDescSetAttribute": [c_void_p, c_int, c_void_p, c_size_t],
    "cublasLtMatrixLayoutCreate": [POINTER(c_void_p), c_int, c_uint64, c_uint64, c_int64],
    "cublasLtMatrixLayoutDestroy": [c_void_p],
    "cublasLtMatrixLayoutSetAttribute": [c_void_p, c_int, c_void_p, c_size_t],
    "cublasLtMatmulPreferenceCreate": [POINTER(c_void_p)],
    "cublasLtMatmulPreferenceDestroy": [c_void_p],
    "cublasLtMatmulPreferenceSetAttribute": [c_void_p, c_int, c_void_p, c_size_t],
    "cublasLtMatmulAlgoGetHeuristic": [*[c_void_p] * 7, c_int, POINTER(_Heuristic), POINTER(c_int)],
    "cublasLtMatmul": [*[c_void_p] * 14, c_size_t, c_void_p],
}


class CublasLt:
    """The library, loaded, with a handle for one device. Calls are made with that device current."""

    def __init__(self, library: Any):
        self._library = library
        for name, arguments in _ARGUMENTS.items():
            getattr(library, name).argtypes = arguments
            getattr(library, name).restype = c_int
        self.handle = self.create("cublasLtCreate", self, end="cublasLtDestroy")

    def call(self, function: str, *arguments: Any) -> None:
        """CublasLtError unless it succeeds."""
        status = getattr(self._library, function)(*arguments)
        if status:
            raise CublasLtError(function, status)

    def create(self, function: str, owner: Any, *arguments: Any, end: str) -> c_void_p:
        """What ``function`` creates; ``end`` is called on it when the owner is no more."""
        made = c_void_p()
        self.call(function, byref(made), *arguments)
        finalize(owner, getattr(self._library, end), made)
        return made


class Multiplication:
    """D = A B + beta C for given layouts: descriptors and the algorithm that cuBLASLt's heuristic prefers.

    The operands may be transposed: then ``a``'s layout is of A's transpose. dtype: of all four; compute: what the sums
    are made in. epilogue: what follows the sums; ``BIAS`` adds a vector of that dtype, as long as D has rows, to every
    column. workspace: the bytes that it may use; ``needs`` says how many it does. alignment: bytes that the pointers of
    the matrices are multiples of; that of the bias is one of ``BIAS_ALIGNMENT``.
    """

    def __init__(
        self,
        library: CublasLt,
        dtype: str,
        compute: int,
        a: Layout,
        b: Layout,
        d: Layout,
        *,
        transposed: tuple[bool, bool] = (False, False),
        epilogue: int = NOTHING,
        workspace: int = 0,
        alignment: int = 16,
    ):
        self._library = library
        kind = DATA_TYPES[dtype]
        # sums of half precision are made, and scaled, in float32
        self._scale = np.dtype({"float16": "float32", "bfloat16": "float32"}.get(dtype, dtype))
        self._description = library.create(
            "cublasLtMatmulDescCreate", self, compute, DATA_TYPES[self._scale.name], end="cublasLtMatmulDescDestroy"
        )
        for attribute, value in zip((TRANSPOSE_A, TRANSPOSE_B), transposed, strict=True):
            self._describe(attribute, c_int32(value))
        self._has_bias = bool(epilogue & BIAS)
        self._lock = Lock()  # the bias's address is part of the description, which others may use at the same time
        if epilogue != NOTHING:
            self._describe(EPILOGUE, c_uint32(epilogue))
        if self._has_bias:
            self._describe(BIAS_DATA_TYPE, c_int32(kind))
            self._describe(BIAS_POINTER, c_void_p(BIAS_ALIGNMENT))  # looked at by the heuristic for its alignment
        self._layouts = [self._layout(kind, layout) for layout in (a, b, d)]
        self._algorithm, self.needs = self._chosen(workspace, alignment)
        self._one, self._zero = np.ones((), self._scale), np.zeros((), self._scale)

    def _describe(self, attribute: int, value: Any) -> None:
        self._set("cublasLtMatmulDescSetAttribute", self._description, attribute, value)

    def _set(self, function: str, target: c_void_p, attribute: int, value: Any) -> None:
        self._library.call(function, target, attribute, byref(value), sizeof(value))

    def _layout(self, kind: int, layout: Layout) -> c_void_p:
        made = self._library.create(
            "cublasLtMatrixLayoutCreate",
            self,
            kind,
            layout.rows,
            layout.columns,
            layout.leading,
            end="cublasLtMatrixLayoutDestroy",
        )
        if layout.batch > 1:
            self._set("cublasLtMatrixLayoutSetAttribute", made, BATCH_COUNT, c_int32(layout.batch))
            self._set("cublasLtMatrixLayoutSetAttribute", made, BATCH_STRIDE, c_int64(layout.stride))
        return made

    def _chosen(self, workspace: int, alignment: int) -> tuple[Algorithm, int]:
        preference = c_void_p()
        call = self._library.call
        call("cublasLtMatmulPreferenceCreate", byref(preference))
        try:
            prefer = "cublasLtMatmulPreferenceSetAttribute"
            self._set(prefer, preference, WORKSPACE_BYTES, c_uint64(workspace))
            self._set(prefer, preference, REDUCTION_SCHEMES, c_int32(DETERMINISTIC_REDUCTIONS))
            for attribute in range(ALIGNMENT_A, ALIGNMENT_A + 4):
                self._set(prefer, preference, attribute, c_int32(alignment))
            best, found = _Heuristic(), c_int()
            a, b, d = self._layouts
            arguments = (self._library.handle, self._description, a, b, d, d, preference)
            call("cublasLtMatmulAlgoGetHeuristic", *arguments, 1, byref(best), byref(found))
        finally:
            call("cublasLtMatmulPreferenceDestroy", preference)
        if not found.value:
            raise CublasLtError("cublasLtMatmulAlgoGetHeuristic", NOT_SUPPORTED)
        return best.algorithm, best.workspace

    def run(
        self, a: int, b: int, d: int, *, workspace: int, stream: int, added: int | None = None, bias: int | None = None
    ) -> None:
        """Enqueue D = A B, or D = A B + C, where C, at ``added``, is D itself or apart from it and lies as D does.

        All are addresses on the device; ``workspace`` has ``needs`` bytes.
        """
        if (bias is not None) != self._has_bias or (bias or 0) % BIAS_ALIGNMENT:
            raise ValueError(f"a bias at a multiple of {BIAS_ALIGNMENT} belongs to the epilogue BIAS; it is at {bias}")
        beta = self._zero if added is None else self._one
        layout_a, layout_b, layout_d = self._layouts
        arguments = (
            self._library.handle,
            self._description,
            self._one.ctypes.data,
            a,
            layout_a,
            b,
            layout_b,
            beta.ctypes.data,
            d if added is None else added,
            layout_d,
            d,
            layout_d,
            byref(self._algorithm),
            workspace,
            self.needs,
            stream,
        )
        if bias is None:
            self._library.call("cublasLtMatmul", *arguments)
            return
        with self._lock:
            self._describe(BIAS_POINTER, c_void_p(bias))
            self._library.call("cublasLtMatmul", *arguments)


def load() -> CublasLt:
    """The library of the installed CUDA wheels or toolkit; BackendUnavailableError, with the reason, without one."""
    try:
        from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib
    except ImportError as error:
        raise BackendUnavailableError(
            f"cuBLASLt is looked for by the package cuda-pathfinder, which does not load ({error}): pip install "
            "'autograd_core[cuda13]'"
        ) from error
    try:
        path = load_nvidia_dynamic_lib("cublasLt").abs_path
    except DynamicLibNotFoundError as error:
        raise BackendUnavailableError(f"cuBLASLt is not installed: {error}") from error
    try:
        return CublasLt(CDLL(path))
    except (CublasLtError, OSError) as error:
        raise BackendUnavailableError(f"cuBLASLt cannot be used: {error}") from error
