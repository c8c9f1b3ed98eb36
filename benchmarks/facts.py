"""A GPU, its driver, and the versions of what is used on it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from autograd_core.backend import get_device

PACKAGES = (
    "cupy-cuda13x",
    "cupy-cuda12x",
    "numba-cuda",
    "torch",
    "jax",
    "nvidia-cublas",
    "nvidia-cublas-cu12",
    "nvidia-cuda-nvrtc",
    "nvidia-cudnn-cu13",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-frontend",
)


def facts(device: str) -> dict[str, Any]:
    """Of a CUDA device that can be used."""
    target = get_device(device)
    runtime = import_module("cupy").cuda.runtime
    properties = runtime.getDeviceProperties(target.index)
    return {
        "name": properties["name"].decode(),
        "compute capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory": properties["totalGlobalMem"],
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "packages": installed(PACKAGES),
    }


def installed(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of those that are there."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
