"""Whether CUDA can be used here, and if not, what is missing, in words."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from autograd_core.backend import Availability

OLDEST_CUPY = 14
OLDEST_GPU = (7, 0)  # compute capability
INSTALL = "pip install 'autograd_core[cuda13]' (or [cuda12] for a CUDA 12 driver)"


def availability() -> Availability:
    """Looks for CuPy, the driver and a GPU, in that order, and names the first that is missing or too old."""
    try:
        found = find_spec("cupy")
    except ValueError:  # it has been made unimportable
        found = None
    if found is None:
        return Availability(False, f"CuPy is not installed: {INSTALL}")
    try:
        import cupy
    except Exception as error:  # a library that is missing, or a NumPy that does not fit: any kind of error
        return Availability(False, f"CuPy does not load: {error}")
    version = str(getattr(cupy, "__version__", "0"))
    if int(version.partition(".")[0]) < OLDEST_CUPY:
        return Availability(False, f"CuPy {version} is too old, {OLDEST_CUPY} or newer is needed: {INSTALL}")
    return _device(cupy)


def _device(cupy: Any) -> Availability:
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
        compute = [_capability(runtime, i) for i in range(count)]
    except runtime.CUDARuntimeError as error:
        return Availability(False, _without_device(runtime, str(error)))
    if not count:
        return Availability(False, "no NVIDIA GPU is in this machine")
    if min(compute) < OLDEST_GPU:
        given, least = (".".join(map(str, version)) for version in (min(compute), OLDEST_GPU))
        return Availability(
            False,
            f"a GPU of compute capability {given} is too old, {least} or newer is needed; leave it out with "
            "CUDA_VISIBLE_DEVICES",
        )
    return Availability(True)


def _capability(runtime: Any, index: int) -> tuple[int, int]:
    properties = runtime.getDeviceProperties(index)
    return properties["major"], properties["minor"]


def _without_device(runtime: Any, error: str) -> str:
    """Why the devices could not be counted. The driver says 0 for its version where there is none."""
    driver, needed = _version(runtime, "driverGetVersion"), _version(runtime, "runtimeGetVersion")
    if driver == 0:
        return f"no NVIDIA driver is installed ({error})"
    if "InsufficientDriver" in error:
        return (
            f"the NVIDIA driver is too old: it knows CUDA {_dotted(driver)}, this CuPy needs {_dotted(needed)}; update "
            f"the driver, or {INSTALL} ({error})"
        )
    return f"CuPy found no NVIDIA GPU: {error}"


def _version(runtime: Any, name: str) -> int:
    try:
        return int(getattr(runtime, name)())
    except Exception:  # whatever a library that is half there answers
        return 0


def _dotted(version: int) -> str:
    """13000 -> 13.0"""
    return f"{version // 1000}.{version % 1000 // 10}"
