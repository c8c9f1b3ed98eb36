"""Recurrent layers and their adjoints on the GPU: one launch for the steps, where the recurrent weights fit on chip.

Halves are read as they are, and rounded from step to step. Elsewhere (float64, projections, sizes that make no whole
tiles, matrices larger than all registers) the formulas run, one product a step. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from autograd_core import context
from autograd_core.ops.recurrent import gru_p, gru_vjp_p, lstm_p, lstm_vjp_p, rnn_p, rnn_vjp_p
from autograd_core.primitive import Primitive

from .native import recurrent
from .native.modes import MODES
from .native.recurrent import TYPES, Persistent, Recurrence, written
from .native.source import OPTIONS

PRIMITIVES = {
    ("lstm", "forward"): lstm_p,
    ("lstm", "adjoint"): lstm_vjp_p,
    ("gru", "forward"): gru_p,
    ("gru", "adjoint"): gru_vjp_p,
    ("rnn", "forward"): rnn_p,
    ("rnn", "adjoint"): rnn_vjp_p,
}
# What precedes the layer's own operands in those of an adjoint.
BEFORE = {
    "lstm": ("gy", "gh", "gc", "states", "gates", "cells"),
    "gru": ("gy", "gh", "states", "gates", "inner"),
    "rnn": ("gy", "gh", "states"),
}


def names_of(kind: str, way: str, has: tuple[str, ...]) -> tuple[str, ...]:
    return has if way == "forward" else (*BEFORE[kind], *has)


def problem_of(
    kind: str, way: str, p: Mapping[str, Any], reverse: bool, nonlinearity: str = "tanh"
) -> Recurrence | None:
    """What there is to compute of these arrays, or avals, by name; None where only the formulas know how."""
    length, batch, _ = p["x"].shape
    dtype = p["x"].dtype.name
    if dtype not in TYPES or "weight_hr" in p or not length or not batch:
        return None
    return Recurrence(kind, way, length, batch, p["h0"].shape[-1], reverse, nonlinearity == "relu", dtype=dtype)


class Launches:
    """Launches by problem, for one device; each is compiled once."""

    def __init__(self, cupy: Any, index: int):
        self._cupy = cupy
        properties = cupy.cuda.runtime.getDeviceProperties(index)
        self._room = properties["multiProcessorCount"], properties["sharedMemPerBlockOptin"]

        @lru_cache(256)
        def found(problem: Recurrence) -> tuple[Persistent, Any] | None:
            cut = recurrent.best_cut(problem, *self._room)
            return None if cut is None else self._loaded(recurrent.render(problem, cut))

        self.found = found

    def _loaded(self, launch: Persistent) -> tuple[Persistent, Any]:
        module = self._cupy.RawModule(code=launch.unit, options=OPTIONS, enable_cooperative_groups=True)
        function = module.get_function(launch.entry)
        function.max_dynamic_shared_size_bytes = launch.shared
        # CuPy launches a part of a grid that does not fit on the GPU at once, with a warning: it would wait for ever
        fit = self._cupy.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor
        most = self._room[0] * fit(function.kernel.ptr, launch.block, launch.shared)
        if launch.grid > most:
            raise RuntimeError(f"{launch.entry}: {launch.grid} blocks wait for one another, {most} fit on the GPU")
        return launch, function

    def fits(self, problem: Recurrence) -> bool:
        """Whether there is a launch, in each math mode."""
        return all(recurrent.best_cut(problem.in_mode(mode), *self._room) is not None for mode in MODES)

    def launch(self, problem: Recurrence) -> Persistent:
        """That which fits."""
        found = self.found(problem)
        assert found is not None
        return found[0]

    def workspace(self, problem: Recurrence) -> int:
        """Bytes that a launch counts blocks in, in whatever mode."""
        found = (recurrent.best_cut(problem.in_mode(mode), *self._room) for mode in MODES)
        return max(recurrent.arrivals(problem, cut) for cut in found if cut is not None)

    def run(self, problem: Recurrence, arrays: Mapping[str, Any], workspace: Any = None) -> None:
        """Enqueue the launch that was found, on arrays by its names for them; those that there are not are null.

        workspace: where blocks are counted, if it is not to be allocated.
        """
        found = self.found(problem)
        assert found is not None
        launch, function = found
        given = (arrays.get(name) for name in launch.arguments)
        arrivals = self._cupy.empty(launch.arrivals, "uint8") if workspace is None else workspace
        arrivals.fill(0)  # within a captured graph too
        arguments = (*(0 if x is None else x for x in given), arrivals)
        function((launch.grid,), (launch.block,), arguments, shared_mem=launch.shared)


class Recurrent:
    """The kernel of one primitive: the launch where there is one, else the formula with ``xp``.

    launches: of a device, by its index.
    """

    def __init__(self, cupy: Any, xp: Any, launches: Callable[[int], Launches], kind: str, way: str):
        self._cupy, self._xp, self.launches = cupy, xp, launches
        self._kind, self._way = kind, way
        self._formula = PRIMITIVES[kind, way].forward

    def __call__(self, *operands: Any, has: tuple[str, ...], **options: Any) -> tuple[Any, ...]:
        p = self._named(operands, has)
        problem = self._problem(p, **options)
        launches = self.launches(operands[0].data.device_id)
        if problem is None or launches.found(problem) is None:
            return self._formula(self._xp, *operands, has=has, **options)
        arrays = self._arrays(p)
        if self._way == "forward":
            arrays |= self._projected(p, problem.hidden)
        else:
            arrays |= self._results(arrays)
        launches.run(problem, arrays)
        return tuple(self._returned(arrays, 0 if problem.reverse else problem.steps - 1))

    def reads_halves(self, *operands: Any, has: tuple[str, ...], **options: Any) -> bool:
        """Whether there is a launch for these operands of half precision; the formula computes in float32."""
        problem = self._problem(self._named(operands, has), **options)
        return problem is not None and self.launches(operands[0].device.index).found(problem) is not None

    def _named(self, operands: Any, has: tuple[str, ...]) -> dict[str, Any]:
        return dict(zip(names_of(self._kind, self._way, has), operands, strict=True))

    def _problem(self, p: dict[str, Any], reverse: bool, nonlinearity: str = "tanh") -> Recurrence | None:
        """None where only the formulas know how."""
        found = problem_of(self._kind, self._way, p, reverse, nonlinearity)
        return None if found is None else found.in_mode(context.current().math)

    def _arrays(self, p: dict[str, Any]) -> dict[str, Any]:
        """Operands as a launch takes them, by its names for them."""
        arrays = {name: self._cupy.ascontiguousarray(x) for name, x in p.items() if name not in ("x", "weight_ih")}
        arrays["weight"] = arrays["weight_hh"]
        if "bias_hh" in arrays:
            arrays["bias"] = arrays["bias_hh"]
        if "lengths" in arrays:
            arrays["lengths"] = arrays["lengths"].astype("int32")
        return arrays

    def _projected(self, p: dict[str, Any], hidden: int) -> dict[str, Any]:
        """The input's part of the gates, in whose place the launch leaves the gates, and room for the rest."""
        length, batch, features = p["x"].shape
        gates = self._xp.matmul(p["x"].reshape(length * batch, features), p["weight_ih"].T)
        if "bias_ih" in p:
            gates += p["bias_ih"]
        gates = gates.reshape(length, batch, -1)
        if self._kind == "rnn":
            return {"input": gates, "states": gates}
        states, saved = (self._cupy.empty((length, batch, hidden), gates.dtype) for _ in range(2))
        return {"input": gates, "gates": gates, "states": states, BEFORE[self._kind][-1]: saved}

    def _results(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """Room for what an adjoint leaves."""
        gates = arrays["states" if self._kind == "rnn" else "gates"]
        like = {"dh0": arrays["h0"], "dc0": arrays.get("c0")}
        return {name: self._cupy.empty_like(like.get(name, gates)) for name in written(self._kind, "adjoint")}

    def _returned(self, arrays: dict[str, Any], last: int) -> Iterator[Any]:
        """The primitive's results."""
        if self._way == "adjoint":
            yield from (arrays[name] for name in written(self._kind, "adjoint"))
            return
        yield arrays["states"]
        yield arrays["states"][last].copy()
        if self._kind == "lstm":
            yield arrays["cells"][last].copy()
        if self._kind != "rnn":
            yield arrays["gates"]
            yield arrays[BEFORE[self._kind][-1]]


def kernels(cupy: Any, xp: Any) -> dict[Primitive, Callable[..., Any]]:
    """xp: what formulas are run with."""

    @lru_cache(None)
    def launches(index: int) -> Launches:
        return Launches(cupy, index)

    return {primitive: Recurrent(cupy, xp, launches, *which) for which, primitive in PRIMITIVES.items()}
