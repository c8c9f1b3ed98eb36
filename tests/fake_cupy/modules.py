"""The fake as modules: ``with installed():`` makes ``import cupy`` give it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from . import arrays, functions, runtime, ufuncs
from .captures import CUDARuntimeError
from .facts import NAMESPACES, VERSION
from .hardware import Machine, OutOfMemoryError, machine

CONSTANTS = {"inf": np.inf, "nan": np.nan, "pi": np.pi, "e": np.e, "newaxis": None, "euler_gamma": np.euler_gamma}


class Namespace(ModuleType):
    """A module that has what CuPy's has, and nothing else."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        entry = NAMESPACES[self.__name__].get(name)
        if entry is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} (CuPy {VERSION})")
        value = self._made(name, entry)
        setattr(self, name, value)
        return value

    def _made(self, name: str, entry: Any) -> Any:
        if isinstance(entry, dict) and "ufunc" in entry:
            return ufuncs.UFUNCS[name]
        if isinstance(entry, dict):
            return partial(_called, self.__name__, name)
        if entry.startswith("numpy."):
            return getattr(np, entry.removeprefix("numpy."))
        if name in CONSTANTS:
            return CONSTANTS[name]
        raise NotImplementedError(f"the fake has no {self.__name__}.{name}")


def _called(where: str, name: str, /, *args: Any, **kwargs: Any) -> Any:
    return functions.call(where, name, args, kwargs)


@contextmanager
def errstate(*, linalg: str | None = None, **others: Any) -> Iterator[None]:
    """Whether linear algebra looks, on the host, at what went wrong: "ignore" or "raise"."""
    if linalg not in (None, "ignore", "raise"):
        raise NotImplementedError(linalg)
    before = machine.linalg_errors
    machine.linalg_errors = before if linalg is None else linalg
    try:
        yield
    finally:
        machine.linalg_errors = before


def _module(name: str, **members: Any) -> Namespace:
    made = Namespace(name)
    made.__spec__ = ModuleSpec(name, None)
    made.__path__ = []
    for key, value in members.items():
        if key not in NAMESPACES[name] and not key.startswith("__"):
            raise AttributeError(f"CuPy {VERSION} has no {name}.{key}")
        setattr(made, key, value)
    return made


def build() -> dict[str, ModuleType]:
    """New modules by name, as ``sys.modules`` holds them."""
    pools = {"get_default_memory_pool": lambda: runtime.DEFAULT_POOL}
    runtime_names = ("getDeviceCount", "getDevice", "setDevice", "memGetInfo", "deviceSynchronize")
    runtime_names += ("driverGetVersion", "runtimeGetVersion", "getDeviceProperties")
    made = {
        "cupy.cuda.runtime": _module(
            "cupy.cuda.runtime",
            CUDARuntimeError=CUDARuntimeError,
            streamCaptureModeGlobal=0,
            streamCaptureModeThreadLocal=1,
            streamCaptureModeRelaxed=2,
            **{name: getattr(runtime, name) for name in runtime_names},
        ),
        "cupy.cuda.driver": _module(
            "cupy.cuda.driver",
            occupancyMaxActiveBlocksPerMultiprocessor=runtime.occupancyMaxActiveBlocksPerMultiprocessor,
        ),
        "cupy.linalg": _module("cupy.linalg", LinAlgError=np.linalg.LinAlgError),
        "cupy.fft": _module("cupy.fft"),
        "cupyx": _module("cupyx", errstate=errstate, empty_pinned=runtime.empty_pinned),
        "cupy.lib.stride_tricks": _module("cupy.lib.stride_tricks"),
    }
    memory = ModuleType("cupy.cuda.memory")
    memory.OutOfMemoryError = OutOfMemoryError  # type: ignore[attr-defined]
    made["cupy.cuda.memory"] = memory
    made["cupy.cuda"] = _module(
        "cupy.cuda",
        runtime=made["cupy.cuda.runtime"],
        driver=made["cupy.cuda.driver"],
        memory=memory,
        get_current_stream=runtime.get_current_stream,
        get_device_id=runtime.getDevice,
        get_elapsed_time=runtime.get_elapsed_time,
        alloc=runtime.alloc,
        using_allocator=runtime.using_allocator,
        **{
            name: getattr(runtime, name)
            for name in ("Device", "Stream", "Event", "Graph", "MemoryHook", "MemoryPool", "MemoryPointer", "Module")
        },
    )
    lib = ModuleType("cupy.lib")
    lib.stride_tricks = made["cupy.lib.stride_tricks"]  # type: ignore[attr-defined]
    made["cupy.lib"] = lib
    made["cupy"] = _module(
        "cupy",
        __version__=VERSION,
        ndarray=arrays.ndarray,
        ufunc=ufuncs.ufunc,
        dtype=np.dtype,
        cuda=made["cupy.cuda"],
        linalg=made["cupy.linalg"],
        fft=made["cupy.fft"],
        lib=lib,
        RawKernel=runtime.RawKernel,
        RawModule=runtime.RawModule,
        **pools,
    )
    return made


@contextmanager
def installed() -> Iterator[Machine]:
    """``import cupy`` gives the fake inside; the machine starts anew, and is afterwards what it was before."""
    was = {**vars(machine), "bodies": dict(machine.bodies)}, dict(vars(machine.local))
    machine.reset()
    made = build()
    before = {name: sys.modules.get(name) for name in {*made, *(n for n in sys.modules if n.split(".")[0] == "cupy")}}
    for name in before:
        sys.modules.pop(name, None)
    sys.modules.update(made)
    try:
        yield machine
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
        vars(machine).update(was[0])
        vars(machine.local).update(was[1])
