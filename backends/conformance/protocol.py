"""Checks of the protocol: members, words, devices."""

from __future__ import annotations

import copy

import autograd_core as ag
from autograd_core.backend import Availability, get_device, load_backend
from autograd_core.errors import BackendUnavailableError, DeviceError

from .requirements import raised, require


def protocol(name: str) -> None:
    backend = load_backend(name)
    require(backend.name == name, f"is registered as {name!r} but calls itself {backend.name!r}")
    require(name.isidentifier(), f"the name {name!r} must be an identifier: device names are name:index")
    for method in ("availability", "device_count", "asarray", "to_numpy", "synchronize", "kernel"):
        require(callable(getattr(backend, method, None)), f"{method} must be a method")
    types = backend.array_types
    require(type(types) is tuple and all(isinstance(t, type) for t in types), "array_types must be a tuple of types")
    require(load_backend(name) is backend, "is constructed once")


def availability(name: str) -> None:
    answer = load_backend(name).availability()
    require(isinstance(answer, Availability), f"availability() must return an Availability, got {answer!r}")
    require(isinstance(answer.reason, str), f"the reason must be words, got {answer.reason!r}")
    require(answer.available or len(answer.reason.split()) > 2, "says that it is unavailable, but not why in words")
    rows = [row for row in ag.devices() if row.name.partition(":")[0] == name]
    require(rows and rows[0].available == answer.available, "ag.devices() must say what availability() says")


def refusal(name: str) -> None:
    reason = load_backend(name).availability().reason
    error = raised(BackendUnavailableError, lambda: ag.zeros(2, device=name))
    require(reason in str(error), f"the error {str(error)!r} must give the reason {reason!r}")


def devices(name: str) -> None:
    backend = load_backend(name)
    count = backend.device_count()
    require(type(count) is int and count >= 1, f"device_count() must be a positive int, got {count!r}")
    require(len(backend.array_types) >= 1, "array_types must name the type of its arrays")
    for i in range(count):
        device = get_device(f"{name}:{i}")
        require(device is get_device(str(device)), f"{device} must be one object")
        require(copy.deepcopy(device) is device, f"a copy of {device} must be itself")
        require(ag.zeros(2, device=device).device is device, f"a tensor made on {device} must say so")
    error = raised(DeviceError, lambda: ag.zeros(2, device=f"{name}:{count}"))
    require(f"{name}:{count}" in str(error), "an index out of range must be named")
