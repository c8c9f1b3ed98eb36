"""What every backend must do, as a suite that anyone can run on theirs.

    from autograd_core.backends import conformance
    print(conformance.run("numpy"))               # or: python -m autograd_core.backends.conformance numpy

    @pytest.mark.parametrize("check", conformance.checks("numpy"), ids=str)
    def test_conformance(check):
        check()

"numpy", where every primitive runs by its own formula, is what the others are compared with: integers, booleans and
random numbers exactly, floating values to rounding. ``docs/backends.md`` says how to write a backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ag
from autograd_core.backend import Device, get_device, load_backend
from autograd_core.primitive import Elementwise
from autograd_core.rules import parameters

from . import arrays, protocol, values
from .cases import CASES, DRAWS, Case
from .coverage import primitives, recorded
from .requirements import Nonconformance

__all__ = ["Case", "Check", "Nonconformance", "Report", "checks", "primitives", "run"]


class Check(NamedTuple):
    """One requirement; calling it raises Nonconformance (or whatever the backend raised) if it is not met."""

    name: str
    body: Callable[[], None]

    def __call__(self) -> None:
        with np.errstate(all="ignore"):
            self.body()

    def __str__(self) -> str:
        return self.name


class Report(NamedTuple):
    """What ``run`` found. ``unreached``: primitives that no case ran; give more cases to cover them."""

    backend: str
    passed: list[str]
    failed: dict[str, Exception]
    unreached: list[str]
    reason: str

    @property
    def ok(self) -> bool:
        return not self.failed

    def __str__(self) -> str:
        lines = [f"backend {self.backend!r}: {len(self.passed)} checks passed, {len(self.failed)} failed"]
        if self.reason:
            lines.append(f"  not run further: it is unavailable here: {self.reason}")
        lines += [f"  {name}: {type(e).__name__}: {e}" for name, e in self.failed.items()]
        if self.unreached:
            lines.append(f"  not reached by any case: {', '.join(self.unreached)}")
        return "\n".join(lines)


def run(name: str, cases: Iterable[Case] = ()) -> Report:
    """Every check of ``checks(name, cases)``, in order.

    >>> from autograd_core.backends import conformance
    >>> conformance.run("numpy").ok
    True
    """
    reason = _why_unavailable(name)
    passed: list[str] = []
    failed: dict[str, Exception] = {}
    with recorded() as reached:
        for check in checks(name, cases):
            try:
                check()
            except Exception as error:
                failed[check.name] = error
            else:
                passed.append(check.name)
    unreached = [] if reason else sorted(p.name for p in primitives() if p not in reached)
    return Report(name, passed, failed, unreached, reason)


def checks(name: str, cases: Iterable[Case] = ()) -> list[Check]:
    """The requirements on backend ``name``, each a callable with a name; ``cases`` are run beside the built-in ones.

    Of a backend that is unavailable only this is required: that it says why.
    """
    backend = load_backend(name)
    found = [
        Check("protocol", partial(protocol.protocol, name)),
        Check("availability", partial(protocol.availability, name)),
    ]
    if _why_unavailable(name):
        return [*found, Check("refusal", partial(protocol.refusal, name))]
    devices = [get_device(f"{name}:{i}") for i in range(backend.device_count())]
    found.append(Check("devices", partial(protocol.devices, name)))
    for device in devices:
        add = partial(_add, found, device)
        for dtype in arrays.DTYPES:
            add(f"round trip of {dtype}", arrays.round_trip, np.dtype(dtype))
        add("conversion", arrays.conversion)
        add("synchronization", arrays.synchronization)
        add("transfers", arrays.transfers)
        add("mixed devices", arrays.mixed_devices)
        add("kernels", arrays.kernels)
        for p in primitives():
            if isinstance(p, Elementwise) and p.forward and not parameters(p.forward).keyword_only:
                add(f"formula of {p.name}", values.formula, p)
        for case in (*CASES, *cases):
            add(f"values of {case.name}", values.values, case)
            add(f"gradients of {case.name}", values.gradients, case)
        for draw, make in DRAWS.items():
            add(f"bits of {draw}", values.bits, make)
        for mistake, (error, attempt) in values.MISTAKES.items():
            add(f"error for {mistake}", values.error, error, attempt)
    return found


def _add(found: list[Check], device: Device, name: str, body: Callable[..., None], *args: Any) -> None:
    where = f" on {device}" if device.index else ""
    found.append(Check(name + where, partial(body, device, *args)))


def _why_unavailable(name: str) -> str:
    row = next(row for row in ag.devices() if row.name == name)
    return "" if row.available else row.reason
