"""The CUDA device of these benchmarks: whether it can be used, what it is, and what is used on it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import autograd_core as ag
from autograd_core.backend import get_device

DEVICE = "cuda"
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


def unusable() -> str:
    """Why there is no CUDA device; empty if there is one."""
    (row,) = [row for row in ag.devices() if row.name == DEVICE]
    return "" if row.available else row.reason


def need_device(command: str) -> None:
    """SystemExit 2, with the reason, where there is none."""
    if missing := unusable():
        print(f"{command}: {missing}", file=sys.stderr)
        raise SystemExit(2)


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


def tried(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What it returns; or its error, so that what comes after it is measured all the same."""
    try:
        return work()
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"[:2000]}
