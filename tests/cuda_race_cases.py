"""Kernels of every family, with arrays, to be watched as they run (cuda_races.py)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import cuda_attention
import cuda_convolutions
import numpy as np
from cuda_races import Number, Report, Run, Watched

from autograd_core.aval import Aval
from autograd_core.backends.cuda import native
from autograd_core.backends.cuda import pooling_kernels as pools
from autograd_core.backends.cuda import sums_by_index as sums
from autograd_core.backends.cuda.native import Source, attention, loop_kernel, random_draw, recurrent
from autograd_core.backends.cuda.native.convolution_launches import render as convolved
from autograd_core.backends.cuda.native.recurrent import Cut, Recurrence
from autograd_core.backends.cuda.native.segments import segments, table
from autograd_core.backends.cuda.native.source import Sizes, functions
from autograd_core.compiler.ir import Equation, Var
from autograd_core.compiler.loops import Load, LoopKernel, Store
from autograd_core.primitive import Primitive

NATIVE = Path(native.__file__).parent
R = np.random.default_rng(7)
MAY_BE_NULL = ("bias", "lengths", "previous", "h0", "c0", "gh", "gc")  # of a recurrent layer's arguments
_NAMES = count()


class Job(NamedTuple):
    """title: for messages. text: rendered, after files of functions that it calls."""

    title: str
    text: str
    run: Run
    files: tuple[tuple[str, str], ...]
    together: bool = False

    def edited(self, old: str, new: str) -> Job:
        """With something else in one of the files."""
        files = tuple((name, text.replace(old, new)) for name, text in self.files)
        assert sum(a != b for a, b in zip(files, self.files, strict=True)) == 1, f"in one file there should be: {old}"
        return self._replace(title=f"{self.title}, {new!r} for {old!r}", files=files)


def watched(jobs: Sequence[Job], *, order: int = 0, traffic: bool = False) -> list[tuple[Job, Report]]:
    """What is seen of each; jobs of one form are compiled as one."""
    found: list[tuple[Job, Report]] = []
    for form in dict.fromkeys((job.files, job.together) for job in jobs):
        same = [job for job in jobs if (job.files, job.together) == form]
        text = "\n".join(dict.fromkeys(job.text for job in same))
        entries = {launch[0] for job in same for launch in job.run.launches}
        library = Watched([*form[0], ("kernel", text)], entries, together=form[1])
        found += [(job, library.run(job.run, order=order, traffic=traffic)[1]) for job in same]
    return found


def files_of(unit: str) -> tuple[tuple[str, str], ...]:
    """Those that a unit begins with."""
    found = [
        (unit.find(text), path.name, text) for path in NATIVE.glob("*.cuh") if (text := functions(path.stem)) in unit
    ]
    return tuple((name, text) for _, name, text in sorted(found))


def job_of(title: str, source: Source, arrays: Sequence[np.ndarray], known: Sequence[bool], **options: Any) -> Job:
    """A rendered text's launches; its workspace holds nothing that may be read."""
    given, names = list(arrays), [f"a{i}" for i in range(len(arrays))]
    known = list(known)
    if source.workspace:
        given.append(np.zeros(source.workspace, np.uint8))
        known.append(False)
        names.append("workspace")
    arguments = tuple(range(len(given)))
    launches = tuple(tuple(launch) for launch in source.launches)
    run = Run(launches, (arguments,) * len(launches), tuple(given), tuple(known), tuple(names), **options)
    return Job(title, source.text, run, files_of(source.unit))


# ------------------------------------------------------------------------------------------------ loop kernels


def loops(title: str, kernel: LoopKernel, arrays: Sequence[np.ndarray], sizes: Sizes, *, anywhere: bool = False) -> Job:
    """anywhere: for arrays that lie on no boundary of a pack."""
    misaligned = range(len(arrays)) if anywhere else ()
    source = loop_kernel(kernel, f"kernel{next(_NAMES)}", sizes=sizes, misaligned=misaligned)
    read = {s.access.operand for s in kernel.body if isinstance(s, Load)}
    known = [i in read or i not in kernel.outputs for i in range(len(arrays))]
    return job_of(title, source, arrays, known, offset=8 if anywhere else 0)


def ones(kernel: LoopKernel) -> list[np.ndarray]:
    """Arrays that a kernel can run on."""
    reach = [1] * len(kernel.operands)
    for s in kernel.body:
        access = getattr(s, "access", None)
        if access is not None:
            sizes = (*kernel.outer, *kernel.inner)
            last = access.offset + sum((n - 1) * max(0, t) for n, t in zip(sizes, access.strides, strict=True))
            reach[access.operand] = max(reach[access.operand], last + 1)
    return [np.ones(n, dtype) for n, dtype in zip(reach, kernel.operands, strict=True)]


def updates(kernel: LoopKernel, lengths: Sequence[int], sizes: Sizes, *, anywhere: bool = False) -> Job:
    """One launch over many arrays, as an optimizer's update of all parameters."""
    source = segments(kernel, lengths, f"kernel{next(_NAMES)}", sizes=sizes)
    steps = {s.access.operand: s.access.strides[0] for s in kernel.body if isinstance(s, Load | Store)}
    arrays = tuple(np.ones(n if steps[i] else 1, dtype) for n in lengths for i, dtype in enumerate(kernel.operands))
    run = Run(
        tuple(tuple(launch) for launch in source.launches),
        ((len(arrays),),) * len(source.launches),
        arrays,
        (True,) * len(arrays),
        tuple(f"a{i % len(steps)} of segment {i // len(steps)}" for i in range(len(arrays))),
        8 if anywhere else 0,
        lambda addresses: table(kernel, lengths, addresses, sizes=sizes),
    )
    return Job(f"segments {lengths}", source.text, run, files_of(source.unit))


def draw(primitive: Primitive, inputs: Sequence[np.ndarray], sizes: Sizes, **params: Any) -> Job:
    """Random numbers."""
    avals = [Aval(a.shape, a.dtype) for a in inputs]
    result = primitive.output_aval(*avals, **params)
    equation = Equation(primitive, [Var(a) for a in avals], params, [Var(result)])
    source = random_draw(equation, f"draw{next(_NAMES)}", sizes=sizes)
    assert source is not None
    arrays = [*inputs, np.zeros(result.shape, result.dtype)]
    return job_of(f"{primitive.name} {params}", source, arrays, [True] * len(inputs) + [False])


# ------------------------------------------------------------------------------------------------ by tensor cores


def convolutions(kind: str, layer: Any, cut: Any = None, **options: Any) -> Job:
    c = cuda_convolutions.case(kind, layer, cut, **options)
    source = convolved(c.problem, f"conv{next(_NAMES)}", cut)
    arrays = [*c.operands, np.zeros(c.expected.shape, c.problem.dtype)]
    return job_of(f"{kind} {layer.name} {options}", source, arrays, [True] * len(c.operands) + [False])


def attentions(layer: Any, cut: Any = None, **options: Any) -> list[Job]:
    """Values and gradients."""
    found = []
    for c in cuda_attention.cases(layer, cut, **options):
        source = attention.render(c.problem, f"attention{next(_NAMES)}", c.cut)
        targets = c.targets()
        arrays, known = [*c.operands, *targets], [True] * len(c.operands) + [False] * len(targets)
        found.append(job_of(f"attention {layer.name} {cut} {options}", source, arrays, known))
    return found


# ------------------------------------------------------------------------------------------------ recurrent layers


def recurrence(problem: Recurrence, cut: Cut, *, bare: bool = True, shared: bool = True) -> Job:
    """bare: whether what may be null is. shared: whether what may be written over is."""
    rendered = recurrent.render(problem, cut)
    t, b, h, k = problem.steps, problem.batch, problem.hidden, problem.gates
    shapes = {"weight": (k * h, h), "bias": (k * h,), "lengths": (b,)}
    shapes |= dict.fromkeys(("h0", "c0", "gh", "gc", "dh0", "dc0"), (b, h))
    shapes |= dict.fromkeys(("states", "cells", "inner", "previous", "gy"), (t, b, h))
    shapes |= dict.fromkeys(("input", "gates", "slopes", "d_input", "d_hidden"), (t, b, k * h))
    arrays, known = [], []
    for name in rendered.arguments:
        if name == "lengths":
            arrays.append(np.arange(b, dtype=np.int32) % (t + 1))
        else:
            arrays.append((R.standard_normal(shapes[name]) * h**-0.5).astype(problem.dtype))
        known.append(name not in recurrent.written(problem.kind, problem.way))
    arrays.append(np.zeros(rendered.arrivals // 4, np.uint32))
    names = (*rendered.arguments, "arrivals")
    arguments = [None if bare and n in MAY_BE_NULL else i for i, n in enumerate(names)]
    if shared:
        to, of = (names.index(name) for name in recurrent.SHARED[problem.kind, problem.way])
        arguments[to] = of
    launch = (rendered.entry, rendered.grid, rendered.block, rendered.shared)
    run = Run((launch,), (tuple(arguments),), tuple(arrays), (*known, True), names)
    return Job(f"{problem} {cut} {bare} {shared}", rendered.text, run, files_of(rendered.unit), together=True)


# ------------------------------------------------------------------------------------------------ by index, and windows


def sums_by_index(n: int, dtype: str) -> Job:
    """As sums_by_index.py launches them."""
    outer, inner, length, run, threads = 2, 3, 7, 1024, 256
    kind = {"float32": "float", "float64": "double"}[dtype]
    indices = R.integers(-1, length + 1, n)
    arrays = [R.standard_normal((outer, n, inner)).astype(dtype), indices, *np.zeros((2, n), np.uint64)]
    arrays += [np.zeros(length + 1, np.int64), np.zeros((outer, length, inner), dtype)]
    values, index, keys, other, starts, result = range(6)
    size = outer * length * inner

    def launch(name: str, count: int, *arguments: int) -> tuple[tuple[str, int, int, int], tuple[int, ...]]:
        return (name, -(-count // threads), threads, 0), arguments

    def number(value: int) -> int:
        return Number(value)

    found = [launch("sort_runs", -(-n // run) * threads, index, keys, number(n), number(length))]
    while run < n:
        found.append(launch("merge_runs", n, keys, other, number(n), number(run)))
        keys, other, run = other, keys, 2 * run
    found.append(launch("find_starts", length + 1, keys, starts, number(n), number(length)))
    sizes = [number(v) for v in (n, length, inner, size)]
    found.append(launch(f"sum_by_index_{kind}", size, values, keys, starts, result, *sizes))
    launches, arguments = zip(*found, strict=True)
    known = (True, True, False, False, False, False)
    names = ("values", "indices", "keys", "other", "starts", "sums")
    return Job(
        f"sums by index {n} {dtype}", "", Run(launches, arguments, tuple(arrays), known, names), files_of(sums.CODE)
    )


def pooling(kernel: str, dtype: str, numbers: Sequence[int], planes: int = 3) -> Job:
    """numbers: of the axes, three of each: sizes, kernel, stride, padding, dilation, output."""
    kind = {"float32": "float", "float64": "double"}[dtype]
    size, output = numbers[:3], numbers[15:]
    whole, windows = (np.zeros((planes, *shape), dtype) for shape in (size, output))
    arrays = [windows, whole] if kernel == "window_shares" else [whole, windows]
    if kernel == "max_pool":
        arrays.append(np.zeros(windows.shape, np.int32))
    elements = arrays[1].size
    arguments = (*range(len(arrays)), Number(elements), *map(Number, numbers))
    run = Run(
        ((f"{kernel}_{kind}", -(-elements // 256), 256, 0),),
        (arguments,),
        tuple(arrays),
        (True, *[False] * (len(arrays) - 1)),
        ("input", "output", "places")[: len(arrays)],
    )
    return Job(f"{kernel} {dtype}", "", run, files_of(pools.CODE))
