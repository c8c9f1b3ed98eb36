"""Asks the real cuDNN, without a GPU, whether it has plans for our problems: it takes a device's properties instead.

python tests/cudnn_plans.py          # in an environment with nvidia-cudnn-frontend and nvidia-cudnn-cu13

Nothing is computed. Without a driver the libraries that cuDNN looks for by name are compiled as empty shells, by a C
compiler, which answer what it asks of an H100. Prints what is refused; its status is 1 if anything is.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from autograd_core.backends.cuda import cudnn as ours
from autograd_core.ops._windows import windows

H100 = {
    "maxGridSize": [2147483647, 65535, 65535],
    "maxBlockSize": [1024, 1024, 64],
    "regsPerBlock": 65536,
    "multiProcessorCount": 132,
    "smCountOrigin": 0,
    "warpSize": 32,
    "maxSharedMemoryPerBlock": 49152,
    "maxSharedMemoryPerBlockOptin": 232448,
    "reservedSharedMemoryPerBlock": 1024,
    "oversizedSharedMemoryPerBlock": 0,
    "maxRegistersPerSM": 65536,
    "maxCtasPerSM": 32,
    "maxThreadsPerBlock": 1024,
    "maxThreadsPerSM": 2048,
    "pciDeviceId": 0,
    "isTccDriver": 0,
    "supportCoopLaunch": 1,
    "totalGlobalMem": 85014609920,
    "smClockRateKHz": 1980000,
    "memClockRateKHz": 2619000,
    "memoryBusWidth": 5120,
    "l2CacheSize": 52428800,
    "cudaDeviceId": 0,
    "deviceVer": 900,
    "driverVer": 13000,
    "deviceName": "NVIDIA H100 80GB HBM3",
}
LAYERS = (  # size, kernel, stride, padding, dilation
    ((9, 8), (3, 3), (2, 1), ((1, 1), (1, 2)), (1, 1)),
    ((20,), (5,), (1,), ((2, 2),), (2,)),
    ((6, 5, 4), (3, 2, 1), (1, 2, 1), ((1, 1), (0, 0), (0, 0)), (1, 1, 1)),
)
CHANNELS = ((16, 32, 1), (6, 6, 6), (4, 8, 2), (3, 5, 1))  # in, out, groups
# What the libraries are asked for by name; 100 is CUDA's "no device", 15 cuBLAS' "not supported".
DRIVER = """CtxGetCurrent CtxGetLimit CtxPopCurrent CtxPushCurrent DeviceGet DeviceGetCount GetErrorName GetErrorString
KernelGetAttribute KernelGetFunction KernelSetAttribute LaunchCooperativeKernel LaunchKernel LaunchKernelEx
LibraryGetKernel LibraryLoadData LibraryLoadFromFile LibraryUnload LinkAddData LinkComplete LinkCreate LinkDestroy
ModuleGetFunction ModuleLoadData ModuleUnload OccupancyMaxPotentialClusterSize StreamGetCtx TensorMapEncodeIm2col
TensorMapEncodeTiled"""
PRODUCTS = """Create Destroy GetProperty GroupedMatrixLayoutCreate Matmul MatmulAlgoGetHeuristic MatmulDescCreate
MatmulDescDestroy MatmulDescGetAttribute MatmulDescSetAttribute MatmulPreferenceCreate MatmulPreferenceDestroy
MatmulPreferenceSetAttribute MatrixLayoutCreate MatrixLayoutDestroy MatrixLayoutGetAttribute MatrixLayoutSetAttribute
MatrixTransform MatrixTransformDescCreate MatrixTransformDescDestroy MatrixTransformDescGetAttribute
MatrixTransformDescSetAttribute"""
RUNTIME = """#include <string.h>
int cudaGetDevice(int *d) { *d = 0; return 0; }
int cudaGetDeviceCount(int *n) { *n = 1; return 0; }
int cudaDriverGetVersion(int *v) { *v = 13000; return 0; }
int cudaDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 9 : a == 76 ? 0 : a == 16 ? 132 : 1; return 0; }
int cudaGetDeviceProperties(char *p, int d) { memset(p, 0, 700); *(int *)(p + 360) = 9; return 0; }
const char *cudaGetErrorString(int e) { return "none"; }
"""


def shells(folder: Path, cuda: int) -> None:
    """Of the driver and the runtime, and of cuBLASLt where that is missing."""

    def compiled(name: str, code: str) -> None:
        source = folder / f"{name}.c"
        source.write_text(code)
        command = ["cc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{name}", str(source), "-o", str(folder / name)]
        subprocess.run(command, check=True)

    refusing = [f"int cu{name}(void) {{ return 100; }}" for name in DRIVER.split()]
    compiled("libcuda.so.1", "\n".join([*refusing, "int cuDriverGetVersion(int *v) { *v = 13000; return 0; }"]))
    compiled(f"libcudart.so.{cuda}", RUNTIME)
    refusing = [f"int cublasLt{name}(void) {{ return 15; }}" for name in PRODUCTS.split()]
    compiled(f"libcublasLt.so.{cuda}", "\n".join([*refusing, "unsigned long cublasLtGetVersion() { return 130500; }"]))


class FrontEnd:
    """The real one, for a device that is not there."""

    def __init__(self) -> None:
        self._real = ours.load()
        self._device = self._real.create_device_properties(json.dumps(H100))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create_handle(self) -> None:
        return None

    def destroy_handle(self, handle: None) -> None:
        pass

    def pygraph(self, **how: Any) -> Any:
        return self._real.pygraph(**{**how, "handle": None}, device_property=self._device)


def problems() -> Iterator[ours.Problem]:
    for dtype, layer, (into, out, groups) in product(ours.DTYPES, LAYERS, CHANNELS):
        found = windows("conv", *layer)

        def array(*shape: int, dtype: str = dtype) -> Any:
            return SimpleNamespace(shape=shape, dtype=SimpleNamespace(name=dtype))

        x, w = array(2, into, *found.size), array(out, into // groups, *found.kernel)
        v, b = array(2, out, *found.output), array(out)
        each = (("forward", (x, w)), ("forward", (x, w, b)), ("input", (v, w)), ("weight", (x, v)))
        for (kind, operands), mode in product(each, ("fp32", "tf32", "bf16")):
            problem = ours.problem_of(kind, operands, found, groups, bias=len(operands) == 3, mode=mode)
            assert problem is not None
            yield problem


def main() -> int:
    cudnn = ours.Cudnn(FrontEnd())
    plan, count, refused = partial(ours.ConvolutionPlan, cudnn), 0, 0
    for problem in problems():
        count += 1
        try:
            plan(problem)
        except Exception as error:
            refused += 1
            print(f"refused: {problem}: {type(error).__name__}: {error}")
    front_end = cudnn.front_end
    print(
        f"cuDNN {front_end.backend_version_string()}, front end {front_end.__version__}: "
        f"{count - refused} plans of {count}"
    )
    return 1 if refused or not count else 0


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def cuda_version() -> int:
    """Of the cuDNN that is installed."""
    for cuda in (13, 12):
        try:
            version(f"nvidia-cudnn-cu{cuda}")
        except PackageNotFoundError:
            continue
        return cuda
    raise SystemExit("cudnn_plans: neither nvidia-cudnn-cu13 nor nvidia-cudnn-cu12 is installed")


if __name__ == "__main__":
    if has_driver():
        raise SystemExit(main())
    with tempfile.TemporaryDirectory() as made:
        shells(Path(made), cuda_version())
        paths = [made, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(paths)}
        raise SystemExit(subprocess.run([sys.executable, __file__], env=environment, check=False).returncode)
