"""NumPy arrays with Numba kernels for the primitives where compiled loops pay; plain NumPy without Numba."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from autograd_core.backend import Availability, Device, Kernel
from autograd_core.backends.numpy import NumpyBackend
from autograd_core.ops._sampling import resample_p
from autograd_core.ops.activation import between_p, hardtanh_p, leak_p, leaky_relu_p, relu_p, where_positive_p
from autograd_core.ops.attention import attention_p, attention_vjp_p
from autograd_core.ops.convolution import convolution_bias_p, convolution_input_p, convolution_p, convolution_weight_p
from autograd_core.ops.ctc import ctc_alignment_p, ctc_alignment_slope_p
from autograd_core.ops.linear_algebra import linear_p, matmul_p
from autograd_core.ops.normalization import moments_p, normalize_p, normalize_vjp_p
from autograd_core.ops.optimizer_updates import adam_update_p, sgd_update_p
from autograd_core.ops.pooling import avg_pool_p, avg_spread_p, max_pool_p, pool_gather_p, pool_scatter_p
from autograd_core.ops.random import (
    random_bernoulli_p,
    random_integers_p,
    random_normal_p,
    random_permutation_p,
    random_uniform_p,
)
from autograd_core.ops.recurrent import gru_p, gru_vjp_p, lstm_p, lstm_vjp_p, rnn_p, rnn_vjp_p
from autograd_core.ops.selection import clip_p, inside_p, share_p, where_p
from autograd_core.ops.sorting import argsort_p
from autograd_core.primitive import Primitive

if TYPE_CHECKING:
    from autograd_core.compiler.ir import Graph
    from autograd_core.compiler.runner import Runner

# Each module's KERNELS, by name: importing one imports Numba or llvmlite, which waits until one of its primitives is
# first run.
HOMES: dict[Primitive, str] = {
    primitive: module
    for module, primitives in {
        "convolution_kernels": (convolution_p, convolution_bias_p, convolution_input_p, convolution_weight_p),
        "elementwise_kernels": (
            relu_p,
            where_positive_p,
            leaky_relu_p,
            leak_p,
            hardtanh_p,
            between_p,
            clip_p,
            inside_p,
            share_p,
            where_p,
        ),
        "matmul_kernels": (matmul_p, linear_p),
        "normalization_kernels": (moments_p, normalize_p, normalize_vjp_p),
        "optimizer_kernels": (adam_update_p, sgd_update_p),
        "pooling_kernels": (max_pool_p, pool_gather_p, pool_scatter_p, avg_pool_p, avg_spread_p),
        "resampling_kernels": (resample_p,),
        "sequence_kernels": (
            attention_p,
            attention_vjp_p,
            ctc_alignment_p,
            ctc_alignment_slope_p,
            rnn_p,
            rnn_vjp_p,
            lstm_p,
            lstm_vjp_p,
            gru_p,
            gru_vjp_p,
        ),
        "sorting_kernels": (argsort_p, random_permutation_p),
        "random": (random_uniform_p, random_normal_p, random_bernoulli_p, random_integers_p),
    }.items()
    for primitive in primitives
}


class CpuBackend(NumpyBackend):
    """The reference backend under the name that users write, with faster kernels where there are any."""

    name = "cpu"

    def __init__(self) -> None:
        self._without_compiler = "" if _installed("llvmlite") else "llvmlite is not installed (pip install numba)"
        self._without_kernels = "" if _installed("numba") else "Numba is not installed (pip install numba)"

    def availability(self) -> Availability:
        """Always available; without Numba, the reason says what is missing."""
        if self._without_kernels:
            return Availability(True, f"without compiled kernels, by NumPy alone: {self._without_kernels}")
        return Availability(True)

    def kernel(self, primitive: Primitive) -> Kernel | None:
        """The compiled kernel if there is one, else what the reference backend runs."""
        home = HOMES.get(primitive)
        if home is not None and not self._without_kernels:
            try:
                return import_module(f".{home}", __package__).KERNELS[primitive]
            except (ImportError, RuntimeError) as error:  # a Numba that does not fit NumPy, or has nowhere to cache
                self._without_kernels = f"Numba cannot be used here: {error}"
                warnings.warn(f"{self.name}: {self.availability().reason}", RuntimeWarning, stacklevel=2)
        return super().kernel(primitive)

    def compile(
        self, graph: Graph, device: Device, name: str, updates: Mapping[int, int], variables: Collection[int]
    ) -> Runner | None:
        """Machine code for a captured graph; None without llvmlite, which comes with Numba."""
        if not self._without_compiler:
            try:
                compiler = import_module(".native.compiler", __package__)
            except (ImportError, OSError) as error:
                self._without_compiler = f"llvmlite cannot be used here: {error}"
                reason = f"{self.name}: compiled functions run without machine code: {error}"
                warnings.warn(reason, RuntimeWarning, stacklevel=2)
            else:
                return compiler.compile_graph(graph, device, name, updates, variables)
        return None


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # it has been made unimportable
        return False
