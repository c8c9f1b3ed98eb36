"""cuDNN's convolutions, planned by its maintained front end, the Python package ``nvidia-cudnn-frontend``.

A problem is declared as arrays of ours lie: batch, channels, axes, row by row. A plan computes one with addresses and a
workspace that it is given, on a stream that it is given, so that it can be captured in a CUDA graph. Engines whose sums
have no fixed order are left out, and those that round more than the math mode allows. NVIDIA, cuDNN front end
documentation, "Convolutions". Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from math import prod
from threading import Lock
from typing import Any, NamedTuple
from weakref import finalize

from autograd_core.compiler.space import row_major
from autograd_core.errors import BackendUnavailableError
from autograd_core.ops._windows import Windows

OLDEST_FRONT_END = (1, 14)
OLDEST_LIBRARY = (9, 8)
INSTALL = "pip install 'autograd_core[cudnn13]' (or [cudnn12] beside [cuda12])"
# Names of the front end's enumerations. Sums of half precision are made in float32.
DTYPES = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "HALF", "bfloat16": "BFLOAT16"}
COMPUTE = {**dict.fromkeys(DTYPES, "FLOAT"), "float64": "DOUBLE"}
# Sums in any order, factors of fewer bits than they have, sums of fewer; transforms that multiply what is rounded.
NEVER = (
    "NONDETERMINISTIC",
    "DOWN_CONVERT_INPUTS",
    "REDUCED_PRECISION_REDUCTION",
    "FFT",
    "WINOGRAD_TILE_6x6",
    "WINOGRAD_TILE_13x13",
)
NOT_IN_HALF = ("WINOGRAD", "WINOGRAD_TILE_4x4")  # whose transforms would be rounded to it
NOT_EXACT = ("TENSOR_CORE",)  # of float32: they multiply in TF32
WORKSPACE = 64 << 20  # bytes that an engine may use beside a copy of every array, in another order for instance
LOADED_FIRST = ("cudart", "nvrtc", "cublasLt", "cudnn")  # what the front end and cuDNN look for by name
FIRST, SECOND, RESULT, BIAS = range(1, 5)  # what the arrays of a problem are called


class Problem(NamedTuple):
    """A convolution or a gradient of one. kind: "forward", "input" or "weight"; exact: float32 without TF32.

    image, weight, output: the shapes of all three, one of which is the result's. before, after: padding.
    """

    kind: str
    dtype: str
    exact: bool
    image: tuple[int, ...]
    weight: tuple[int, ...]
    output: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    dilation: tuple[int, ...]
    bias: bool = False

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of both operands and the result."""
        return {
            "forward": (self.image, self.weight, self.output),
            "input": (self.output, self.weight, self.image),
            "weight": (self.image, self.output, self.weight),
        }[self.kind]

    @property
    def nbytes(self) -> int:
        """Of both operands and the result."""
        size = {"float64": 8, "float32": 4}.get(self.dtype, 2)
        return size * sum(map(prod, self.shapes))

    @property
    def products(self) -> int:
        """Multiplications, those with padding too."""
        return prod(self.output) * prod(self.weight[1:])


def problem_of(
    kind: str, operands: Sequence[Any], windows: Windows, groups: int, *, bias: bool, mode: str
) -> Problem | None:
    """What is to be computed of these arrays, or avals; None for what cuDNN has no words for.

    mode: of products of float32. In "bf16" they are made in TF32, which is closer and of which cuDNN has more.
    """
    dtype = operands[0].dtype.name
    if dtype not in DTYPES or any(x.dtype.name != dtype or not prod(x.shape) for x in operands):
        return None
    before, after = ([pair[side] for pair in windows.padding] for side in (0, 1))
    reach = [d * (k - 1) + 1 for k, d in zip(windows.kernel, windows.dilation, strict=True)]
    counts = [(n - r) // s + 1 for n, r, s in zip(windows.padded, reach, windows.stride, strict=True)]
    if min(*before, *after) < 0 or tuple(counts) != tuple(windows.output):
        return None
    first, second = operands[0].shape, operands[1].shape
    channels = {
        "forward": lambda: (first[1], second[0]),
        "input": lambda: (second[1] * groups, first[1]),
        "weight": lambda: (first[1], second[1]),
    }[kind]()

    def axes(values: Sequence[int], neutral: int = 1) -> tuple[int, ...]:
        return (*[neutral] * (2 - len(values)), *values)  # cuDNN's convolutions have two axes or three

    return Problem(
        kind,
        dtype,
        dtype == "float32" and mode == "fp32",
        (first[0], channels[0], *axes(windows.size)),
        (channels[1], channels[0] // groups, *axes(windows.kernel)),
        (first[0], channels[1], *axes(windows.output)),
        axes(windows.stride),
        axes(before, 0),
        axes(after, 0),
        axes(windows.dilation),
        bias,
    )


class Cudnn:
    """The library with a handle for the device that is current. Calls are made with that device current."""

    def __init__(self, front_end: Any):
        self.front_end = front_end
        try:
            self.handle = front_end.create_handle()
        except RuntimeError as error:
            raise BackendUnavailableError(f"cuDNN cannot be used on this GPU: {error}") from error
        self.lock = Lock()  # a handle is bound to one stream at a time
        self._stream = 0
        finalize(self, front_end.destroy_handle, self.handle).atexit = False  # the driver may be gone by then

    def on(self, stream: int) -> int:
        """The handle, bound to a stream; held by ``lock``."""
        if stream != self._stream:
            self.front_end.set_stream(handle=self.handle, stream=stream)
            self._stream = stream
        return self.handle


class ConvolutionPlan:
    """How cuDNN computes a problem: the engine that its heuristic prefers. workspace: the bytes that it needs.

    The front end's error, of whatever class, if there is no engine for it.
    """

    def __init__(self, cudnn: Cudnn, problem: Problem):
        self._cudnn = cudnn
        front_end = cudnn.front_end
        kinds = front_end.data_type
        dtype, compute = getattr(kinds, DTYPES[problem.dtype]), getattr(kinds, COMPUTE[problem.dtype])
        graph = front_end.pygraph(
            io_data_type=dtype, intermediate_data_type=compute, compute_data_type=compute, handle=cudnn.handle
        )

        def array(shape: tuple[int, ...], uid: int) -> Any:
            return graph.tensor(dim=list(shape), stride=list(row_major(shape)), data_type=dtype, uid=uid)

        *shapes, result = problem.shapes
        first, second = (array(shape, uid) for shape, uid in zip(shapes, (FIRST, SECOND), strict=True))
        how = {
            "pre_padding": list(problem.before),
            "post_padding": list(problem.after),
            "stride": list(problem.stride),
            "dilation": list(problem.dilation),
        }
        if problem.kind == "forward":
            y = graph.conv_fprop(image=first, weight=second, **how)
            if problem.bias:
                y = graph.bias(input=y, bias=array((1, result[1], *[1] * (len(result) - 2)), BIAS))
        elif problem.kind == "input":
            y = graph.conv_dgrad(loss=first, filter=second, **how)
        else:
            y = graph.conv_wgrad(image=first, loss=second, **how)
        y.set_output(True).set_data_type(dtype).set_dim(list(result)).set_stride(list(row_major(result))).set_uid(
            RESULT
        )
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([front_end.heur_mode.A, front_end.heur_mode.FALLBACK])
        graph.deselect_numeric_notes([getattr(front_end.numerical_note, name) for name in _refused(problem)])
        graph.deselect_workspace_greater_than(problem.nbytes + WORKSPACE)
        graph.check_support()
        graph.build_plans()
        self._graph = graph
        self.workspace: int = graph.get_workspace_size()

    def run(self, operands: Sequence[int], result: int, *, workspace: int, stream: int) -> None:
        """Enqueue it. All are addresses on the device, of arrays that begin at multiples of 16 bytes."""
        addresses = dict(zip((FIRST, SECOND, BIAS), operands, strict=False))
        addresses[RESULT] = result
        with self._cudnn.lock:
            self._graph.execute(addresses, workspace, handle=self._cudnn.on(stream))


def _refused(problem: Problem) -> tuple[str, ...]:
    """The numerical notes of engines that may not compute it."""
    half = NOT_IN_HALF if problem.dtype in ("float16", "bfloat16") else ()
    return (*NEVER, *half, *(NOT_EXACT if problem.exact else ()))


def is_installed() -> bool:
    """Whether there is a front end, of whatever age, with or without the library."""
    try:
        return find_spec("cudnn") is not None
    except ValueError:  # it has been made unimportable
        return False


def load() -> Any:
    """The front end with the library loaded; BackendUnavailableError, with what to install, if either is missing or
    too old."""
    if not is_installed():
        raise BackendUnavailableError(
            f"cuDNN's front end, the package nvidia-cudnn-frontend, is not installed: {INSTALL}"
        )
    _load_what_it_needs()
    try:
        front_end = import_module("cudnn")
    except Exception as error:  # a library of another CUDA, half of a package: any kind of error
        raise BackendUnavailableError(f"cuDNN's front end does not load: {error}; {INSTALL}") from error
    version = str(getattr(front_end, "__version__", "0"))
    if _numbers(version) < OLDEST_FRONT_END:
        raise BackendUnavailableError(
            f"nvidia-cudnn-frontend {version} is too old, {_dotted(OLDEST_FRONT_END)} or newer is needed: {INSTALL}"
        )
    try:
        found = front_end.backend_version()
    except RuntimeError as error:
        raise BackendUnavailableError(
            f"cuDNN's front end finds no cuDNN library ({error}): {INSTALL}, or a PyTorch that brings it"
        ) from error
    library = (found // 10000, found % 10000 // 100) if found >= 90000 else (found // 1000, found % 1000 // 100)
    if library < OLDEST_LIBRARY:
        raise BackendUnavailableError(
            f"cuDNN {_dotted(library)} is too old, {_dotted(OLDEST_LIBRARY)} or newer is needed: {INSTALL}"
        )
    return front_end


def _load_what_it_needs() -> None:
    """Libraries of the installed wheels. What is missing here is looked for elsewhere by those who need it."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib
    except ImportError:
        return
    for name in LOADED_FIRST:
        with suppress(Exception):  # not found, or not known to this version
            load_nvidia_dynamic_lib(name)


def _numbers(version: str) -> tuple[int, ...]:
    """1.23.0 -> (1, 23)"""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
