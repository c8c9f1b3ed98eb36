"""What kernels execute, by kind of instruction: ``python tests/ptx_mix.py [part of a name]``.

One block of each is run, of its shape in the suite or one of that size, by the machine that knows PTX. Numbers are of
PTX: the assembler folds some additions into addresses, and leaves out most moves. They are per instruction of tensor
cores, else per load or store of global memory.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cuda_attention
import numpy as np
import ptx_runs
from cuda_convolutions import Layer, case
from loop_examples import softmax
from ptx_machine import Machine
from ptx_memory import Global
from test_cuda_source_compile import gelu, layer_norm_gradient, total

from autograd_core.backends.cuda.native import Source, attention, loop_kernel, recurrent
from autograd_core.backends.cuda.native.convolution_launches import render

KINDS = ("global", "shared", "copies", "mma", "convert", "float", "int", "long", "choose", "branch", "divide", "other")
LAYERS = {
    "3x3": Layer(8, (64, 64), (32, 32), padding=1),
    "images": Layer(8, (3, 64), (32, 32), padding=1),
    "strided": Layer(8, (64, 128), (32, 32), 3, 2, 1),
    "pointwise": Layer(8, (256, 512), (14, 14), 1),
    "depthwise": Layer(8, (64, 64), (32, 32), padding=1, groups=64),
}


def kind(opcode: str) -> str:
    """One of KINDS."""
    base, *rest = opcode.split(".")
    if base in ("ld", "st", "atom", "red"):
        space = next((r for r in rest if r in ("global", "shared", "param", "local")), "")
        return {"global": "global", "shared": "shared"}.get(space, "other")
    if base == "cp":
        return "copies"
    if base in ("mma", "cvt", "bra"):
        return {"mma": "mma", "cvt": "convert", "bra": "branch"}[base]
    if base in ("setp", "selp"):
        return "choose"
    if base in ("div", "rem") and rest[-1][0] in "us":
        return "divide"
    if base in ("mov", "cvta", "bar", "membar", "ret", "shfl", "griddepcontrol", "call"):
        return "other"
    last = rest[-1] if rest else ""
    if last[:1] == "f" or base in ("ex2", "rcp", "fma"):
        return "float"
    return "long" if last in ("s64", "u64", "b64") or "wide" in rest else "int"


class Mix(NamedTuple):
    """name: of a kernel. by_opcode: executed by the warps of its first block."""

    name: str
    by_opcode: Counter[str]

    @property
    def by_kind(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for opcode, count in self.by_opcode.items():
            found[kind(opcode)] += count
        return found

    def row(self) -> str:
        found = self.by_kind
        unit = "mma" if found["mma"] else "global"
        each = "".join(f"{found[k] / found[unit]:9.2f}" for k in KINDS)
        return f"{self.name:34}{found[unit]:8} {unit:7}{sum(found.values()) / found[unit]:8.2f}{each}"


def of_source(name: str, source: Source, sizes: list[tuple[int, str]]) -> Iterator[Mix]:
    """sizes: of the operands, elements and dtype; they hold zeros."""
    compiled, memory = ptx_runs.module(source.unit), Global()
    places = [memory.add(np.zeros(n, dtype)) for n, dtype in sizes]
    given = [*places, memory.add(np.zeros(source.workspace, np.uint8))] if source.workspace else places
    for launch in source.launches:
        options = {"grid": launch.grid, "block": launch.block, "shared": launch.shared, "only": 1}
        ran = Machine(compiled, launch.entry, memory, given, **options)
        suffix = launch.entry.removeprefix("kernel").strip("_")
        yield Mix(f"{name} {suffix}".strip(), ran.count)


def of_convolution(layer: str, way: str, mode: str) -> Iterator[Mix]:
    options = {"dtype": mode} if "float" in mode else {"mode": mode}
    c = case(way, LAYERS[layer], **options)
    sizes = [(a.size, a.dtype.name) for a in (*c.operands, c.expected.astype(c.problem.dtype))]
    yield from of_source(f"{layer} {way} {mode}", render(c.problem, "kernel", c.cut), sizes)


def of_attention(way: str, mode: str, size: int) -> Iterator[Mix]:
    heads, length = (1, 2), 128
    problem = cuda_attention.sizes_alone(way, heads, length, size, causal=True, mode=mode)
    source = attention.render(problem, "kernel")
    whole = heads[0] * heads[1] * length * size
    sums = heads[0] * heads[1] * length
    given = [sums if name == "sums" else whole for name in problem.names]
    results = [whole, sums] if way == "forward" else [whole] * 3
    yield from of_source(f"attention {size} {way} {mode}", source, [(n, "f4") for n in (*given, *results)])


def of_recurrence(which: str, way: str, mode: str) -> Iterator[Mix]:
    """One block, which finds that all others have arrived."""
    problem = recurrent.Recurrence(which, way, 3, 16, 512, mode=mode)
    cut = recurrent.best_cut(problem, 132, 227 << 10)
    assert cut is not None
    rendered = recurrent.render(problem, cut)
    compiled, memory = ptx_runs.module(rendered.unit), Global()
    size = 4 * 512 * 512  # of the matrix, the largest of all
    places = [memory.add(np.zeros(size, np.float32)) for _ in rendered.arguments]
    arrived = memory.add(np.full(rendered.arrivals, 0x7F, np.uint8))
    options = {"grid": rendered.grid, "block": rendered.block, "shared": rendered.shared, "only": 1}
    ran = Machine(compiled, rendered.entry, memory, [*places, arrived], **options)
    yield Mix(f"{which} 512 {way} {mode}", ran.count)


def kernels() -> dict[str, Callable[[], Iterator[Mix]]]:
    """What gives the mixes, by a name."""
    found: dict[str, Callable[[], Iterator[Mix]]] = {
        "gelu": lambda: of_source("gelu", loop_kernel(gelu(1 << 20), "kernel"), [(1 << 20, "f4")] * 3),
        "softmax": lambda: of_source("softmax", loop_kernel(softmax(64, 1000), "kernel"), [(64000, "f4")] * 2),
        "layer norm": lambda: of_source(
            "layer norm gradient",
            loop_kernel(layer_norm_gradient(1024, 512), "kernel"),
            [(n, "f4") for n in (1 << 19, 1 << 19, 512, 1 << 19, 512, 512)],
        ),
        "total": lambda: of_source("total", loop_kernel(total(1 << 20), "kernel"), [(1 << 20, "f4"), (1, "f4")]),
    }
    for layer in LAYERS:
        for way in ("forward", "input", "weight"):
            for mode in ("fp32", "tf32", "bf16", "bfloat16"):
                found[f"{layer} {way} {mode}"] = lambda a=layer, b=way, c=mode: of_convolution(a, b, c)
    for way in ("forward", "adjoint"):
        for mode in ("fp32", "tf32", "bf16"):
            found[f"attention {way} {mode}"] = lambda a=way, b=mode: of_attention(a, b, 64)
            for which in ("lstm", "gru"):
                found[f"{which} {way} {mode}"] = lambda a=which, b=way, c=mode: of_recurrence(a, b, c)
    return found


def main() -> None:
    part = " ".join(sys.argv[1:])
    print(f"{'kernel':34}{'count':>8} {'per':7}{'all':>8}" + "".join(f"{k:>9}" for k in KINDS))
    for name, mixes in kernels().items():
        if part in name:
            for mix in mixes():
                print(mix.row(), flush=True)


if __name__ == "__main__":
    main()
