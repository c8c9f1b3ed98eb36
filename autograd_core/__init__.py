"""Automatic differentiation in Python: one graph engine, on the CPU and on CUDA.

>>> import autograd_core as ag
>>> x = ag.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> loss = (x * x).sum()
>>> loss.backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from . import random
from .aval import as_dtype as _as_dtype
from .backend import Device, devices
from .context import (
    default_device,
    enable_grad,
    get_math_mode,
    is_grad_enabled,
    math_mode,
    no_grad,
    strict_dtypes,
)
from .dtypes import *
from .errors import (
    AnomalyError,
    ArgumentError,
    AutogradError,
    BackendUnavailableError,
    BatchingError,
    CheckpointError,
    CompileError,
    DataError,
    DeviceError,
    DTypeError,
    GradientCheckError,
    GradientError,
    IndexingError,
    LinAlgError,
    NotASequenceError,
    OutOfMemoryError,
    ShapeError,
    StateDictError,
)
from .interop.array_api import *
from .interop.dlpack import from_dlpack
from .interpreters import derived as _derived  # installs the interpreters
from .interpreters.reverse import backward
from .ops.arithmetic import *
from .ops.blending import *
from .ops.casting import *
from .ops.closeness import *
from .ops.comparison import *
from .ops.complex_numbers import *
from .ops.creation import *
from .ops.differences import *
from .ops.distances import cdist
from .ops.exponential import *
from .ops.extrema import *
from .ops.floating_parts import *
from .ops.indexing import *
from .ops.joining import *
from .ops.linear_algebra import *
from .ops.nan_reductions import *
from .ops.padding import *
from .ops.reductions import *
from .ops.remainders import *
from .ops.rounding import *
from .ops.scans import *
from .ops.searching import *
from .ops.selection import *
from .ops.sets import *
from .ops.shaping import *
from .ops.sorting import *
from .ops.trigonometric import *
from .tensor import Tensor, Variable, tensor
from .transforms import (
    checkpoint,
    custom_jvp,
    custom_vjp,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    per_sample_grad,
    value_and_grad,
    vjp,
    vmap,
)

if _TYPE_CHECKING:
    from . import cuda as cuda
    from . import fft as fft
    from . import linalg as linalg
    from . import special as special
    from .compiler.jit import compile as compile
    from .diagnostics.anomaly import detect_anomaly as detect_anomaly
    from .diagnostics.audit import audit as audit
    from .diagnostics.checking import check_grads as check_grads
    from .diagnostics.drawing import draw as draw
    from .diagnostics.explain import explain_grad as explain_grad
    from .diagnostics.lifetime import GraphWatch as GraphWatch
    from .diagnostics.origins import record_origins as record_origins
    from .interop.checkpoint import load_checkpoint as load_checkpoint
    from .interop.checkpoint import save_checkpoint as save_checkpoint
    from .interop.safetensors import load as load
    from .interop.safetensors import load_metadata as load_metadata
    from .interop.safetensors import save as save
    from .ops.bessel_functions import i0 as i0
    from .ops.bessel_functions import sinc as sinc
    from .ops.gamma_functions import digamma as digamma
    from .ops.gamma_functions import lgamma as lgamma
    from .ops.gamma_functions import polygamma as polygamma
    from .ops.normal_distribution import erfinv as erfinv

# What few programs use is loaded when it is first asked for: a third of the time that importing takes.
_ON_FIRST_USE: dict[str, str] = {
    **{path[1:]: path for path in (".cuda", ".fft", ".linalg", ".special")},
    "GraphWatch": ".diagnostics.lifetime",
    "audit": ".diagnostics.audit",
    "check_grads": ".diagnostics.checking",
    "compile": ".compiler.jit",
    "detect_anomaly": ".diagnostics.anomaly",
    "draw": ".diagnostics.drawing",
    "explain_grad": ".diagnostics.explain",
    "record_origins": ".diagnostics.origins",
    **dict.fromkeys(("load_checkpoint", "save_checkpoint"), ".interop.checkpoint"),
    **dict.fromkeys(("load", "load_metadata", "save"), ".interop.safetensors"),
    **dict.fromkeys(("i0", "sinc"), ".ops.bessel_functions"),
    **dict.fromkeys(("digamma", "lgamma", "polygamma"), ".ops.gamma_functions"),
    "erfinv": ".ops.normal_distribution",
}


def __getattr__(name: str) -> _Any:
    """What is loaded on first use; ``ag.bfloat16`` too, the one dtype that NumPy lacks."""
    if name == "bfloat16":
        return _as_dtype(name)
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import_module(_ON_FIRST_USE[name], __name__)
    value = module if _ON_FIRST_USE[name] == f".{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_FIRST_USE, "bfloat16"})
