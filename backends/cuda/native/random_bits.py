"""Random draws as CUDA C: a thread makes a block of Philox words, and of it two or four neighbouring elements."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from autograd_core.compiler.ir import Equation
from autograd_core.ops.random import (
    random_bernoulli_p,
    random_bits_p,
    random_integers_p,
    random_normal_p,
    random_uniform_p,
)

from .c_types import c_type, literal
from .source import WAIT, Launch, Sizes, Source
from .writer import Writer

DEFAULT = Sizes()
SHORT = 2**16  # integers of so large a range are made of 32 bits


class _Draw(NamedTuple):
    """lines: what makes ``y.at[...]``, ``width`` elements, of ``words``; the first of them is number ``at``."""

    width: int
    lines: tuple[str, ...]


def random_draw(equation: Equation, name: str, *, sizes: Sizes = DEFAULT) -> Source | None:
    """The kernel of an equation that draws random numbers, with the bits of its formula; None for others.

    Operands are the equation's inputs, contiguous, and its output.
    """
    draw = _draw(equation)
    if draw is None:
        return None
    output = equation.outputs[0]
    dtype, size = np.dtype(output.dtype), prod(output.shape)
    index = "int" if size < 2**30 else "long long"
    kind = c_type(dtype)
    inputs = [f"const {c_type(np.dtype(v.dtype))} *__restrict__ a{i}" for i, v in enumerate(equation.inputs)]
    out = f"a{len(inputs)}"
    blocks = ceil(size / draw.width)
    pack = min(draw.width, 16 // dtype.itemsize)
    w = Writer()
    header = f'extern "C" __global__ void __launch_bounds__({sizes.threads}) {name}'
    with w.block(f"{header}({', '.join([*inputs, f'{kind} *__restrict__ {out}'])})"):
        w.line(WAIT)
        turn = f"i = ({index})blockIdx.x * {sizes.threads} + threadIdx.x; i < {blocks}"
        with w.block(f"for ({index} {turn}; i += ({index})gridDim.x * {sizes.threads})"):
            w.line(f"const {index} at = {draw.width} * i;")
            w.line("const Words words = philox(a0, i);")
            w.line(f"Pack<{kind}, {pack}> y[{draw.width // pack}];")
            for line in draw.lines:
                w.line(line)
            with w.loop("k", draw.width // pack, unroll=draw.width // pack):
                step = f" + {pack} * k" if draw.width > pack else ""
                with w.block(f"if (at{step} < {size})" if step and size % draw.width else ""):
                    rest = f", int({size} - (at{step}))" if size % draw.width else ""
                    w.line(f"store<{pack}>({out} + at{step}, y[k]{rest});")
    grid = min(sizes.blocks, ceil(blocks / sizes.threads))
    alignment = (*(np.dtype(v.dtype).itemsize for v in equation.inputs), pack * dtype.itemsize)
    return Source(w.text, (Launch(name, grid, sizes.threads),) if size else (), alignment)


def _draw(equation: Equation) -> _Draw | None:
    primitive = equation.primitive
    if primitive is random_bits_p:
        return _each(4, lambda i: f"words.at[{i}]")
    if primitive is random_uniform_p:
        single = equation.outputs[0].dtype == np.float32
        return (
            _each(4, lambda i: f"uniform(words.at[{i}])") if single else _each(2, lambda i: f"uniform(words.pair({i}))")
        )
    if primitive is random_normal_p:
        return _normal(single=equation.outputs[0].dtype == np.float32)
    if primitive is random_bernoulli_p:
        return _bernoulli(equation)
    if primitive is random_integers_p:
        return _integers(equation.params["low"], equation.params["high"])
    return None


def _each(width: int, value: Callable[[int], str], pack: int | None = None) -> _Draw:
    """``value`` of each place; ``pack``: elements that are stored together, if not all."""
    pack = pack or width
    return _Draw(width, tuple(f"y[{i // pack}].at[{i % pack}] = {value(i)};" for i in range(width)))


def _normal(*, single: bool) -> _Draw:
    if not single:
        return _Draw(2, ("y[0] = normal_pair<double>((long long)words.pair(0), (long long)words.pair(1));",))
    lines = []
    for i in (0, 2):
        lines.append(f"const Pack<float, 2> z{i} = normal_pair<float>(int(words.at[{i}]), int(words.at[{i + 1}]));")
        lines += [f"y[0].at[{i + j}] = z{i}.at[{j}];" for j in (0, 1)]
    return _Draw(4, tuple(lines))


def _bernoulli(equation: Equation) -> _Draw | None:
    p = equation.inputs[1]
    if p.dtype not in (np.float32, np.float64):
        return None
    if not p.shape:
        return _each(4, lambda i: f"below(words.at[{i}], a1[0])")
    size = prod(p.shape)
    return _each(4, lambda i: f"at + {i} < {size} && below(words.at[{i}], a1[at + {i}])")


def _integers(low: int, high: int) -> _Draw:
    count, start = high - low, literal(low & (2**64 - 1), np.dtype(np.uint64))
    if count <= SHORT:
        return _each(4, lambda i: f"(long long)({start} + ((unsigned long long)words.at[{i}] * {count}u >> 32))", 2)

    def value(i: int) -> str:
        whole = f"words.pair({i})" if count == 2**64 else f"__umul64hi(words.pair({i}), {count}ull)"
        return f"(long long)({start} + {whole})"

    return _each(2, value)
