"""Automatic differentiation in Python: one graph engine, on the CPU and on CUDA.

>>> import autograd_core as ag
>>> x = ag.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> loss = (x * x).sum()
>>> loss.backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from typing import Any as _Any

from . import fft, linalg, random, special
from .aval import as_dtype as _as_dtype
from .backend import Device, devices
from .context import default_device, enable_grad, is_grad_enabled, no_grad, strict_dtypes
from .diagnostics.anomaly import detect_anomaly
from .diagnostics.audit import audit
from .diagnostics.checking import check_grads
from .diagnostics.drawing import draw
from .diagnostics.explain import explain_grad
from .diagnostics.lifetime import GraphWatch
from .diagnostics.origins import record_origins
from .dtypes import *
from .errors import (
    AnomalyError,
    ArgumentError,
    AutogradError,
    BackendUnavailableError,
    BatchingError,
    CheckpointError,
    DataError,
    DeviceError,
    DTypeError,
    GradientCheckError,
    GradientError,
    IndexingError,
    LinAlgError,
    NotASequenceError,
    ShapeError,
    StateDictError,
)
from .interop.array_api import *
from .interop.checkpoint import load_checkpoint, save_checkpoint
from .interop.dlpack import from_dlpack
from .interop.safetensors import load, load_metadata, save
from .interpreters import derived as _derived  # installs the interpreters
from .interpreters.reverse import backward
from .ops.arithmetic import *
from .ops.bessel_functions import i0, sinc
from .ops.blending import *
from .ops.casting import *
from .ops.closeness import *
from .ops.comparison import *
from .ops.complex_numbers import *
from .ops.creation import *
from .ops.differences import *
from .ops.distances import cdist
from .ops.exponential import *
from .ops.floating_parts import *
from .ops.gamma_functions import digamma, lgamma, polygamma
from .ops.indexing import *
from .ops.joining import *
from .ops.linear_algebra import *
from .ops.nan_reductions import *
from .ops.normal_distribution import erfinv
from .ops.padding import *
from .ops.reductions import *
from .ops.remainders import *
from .ops.rounding import *
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


def __getattr__(name: str) -> _Any:
    """``ag.bfloat16``: the one dtype that NumPy lacks, made known to it on first use."""
    if name == "bfloat16":
        return _as_dtype(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
