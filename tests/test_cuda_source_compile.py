"""Generated CUDA C compiles offline to machine code of every architecture, and the compiler makes of it what was meant.

Registers, spills and the width of loads are read off what NVRTC says; nothing here has run on a GPU.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from cuda_offline import ARCHITECTURES, Kernel, compiled, needs_nvrtc
from cuda_programs import Job, kernels_of, of_the_op_table
from loop_examples import layer_norm_gradient, softmax

from autograd_core.aval import Aval, as_dtype
from autograd_core.backends.cuda.native import Sizes, Source, loop_kernel, random_draw
from autograd_core.backends.cuda.native.source import with_functions
from autograd_core.compiler.ir import Equation, Var
from autograd_core.compiler.loops import Access, Accumulate, Constant, Load, LoopKernel, Map, Store
from autograd_core.nn import functional as F
from autograd_core.ops.random import random_bernoulli_p, random_integers_p, random_normal_p, random_uniform_p
from autograd_core.primitive import Primitive

F4, F8 = np.dtype("f4"), np.dtype("f8")
REGISTERS = 65536  # of a multiprocessor
SPILLED = 32  # bytes that calls of long functions on doubles may cost
PARTS = 8


@pytest.fixture(autouse=True, scope="module")
def _compiler() -> None:
    needs_nvrtc()


def at(operand: int, *strides: int) -> Access:
    return Access(operand, strides)


def gelu(n: int) -> LoopKernel:
    body = (
        Load(at(0, 1), F4),
        Constant(2**-0.5, F4),
        Map("mul", (0, 1), F4),
        Map("erf", (2,), F4),
        Constant(1, F4),
        Map("add", (3, 4), F4),
        Map("mul", (0, 5), F4),
        Load(at(1, 1), F4),
        Map("add", (6, 7), F4),
        Store(at(2, 1), 8),
    )
    return LoopKernel((), (n,), body, (F4,) * 3, (2,))


def transposed(rows: int, columns: int) -> LoopKernel:
    body = (Load(at(0, 1, rows), F4), Store(at(1, columns, 1), 0))
    return LoopKernel((rows,), (columns,), body, (F4, F4), (1,))


def column_sums(rows: int, columns: int) -> LoopKernel:
    body = (Load(at(0, columns, 1), F4), Accumulate("sum", 0, at(1, 0, 1), False))
    return LoopKernel((rows,), (columns,), body, (F4, F4), (1,))


def total(n: int) -> LoopKernel:
    return LoopKernel((), (n,), (Load(at(0, 1), F4), Accumulate("sum", 0, at(1, 0), True)), (F4, F4), (1,))


def draw(primitive: Primitive, **params: object) -> Source:
    inputs = [Aval((2,), np.dtype(np.uint64))] + [Aval((), F4)] * (primitive is random_bernoulli_p)
    equation = Equation(primitive, [Var(a) for a in inputs], params, [Var(primitive.output_aval(*inputs, **params))])
    found = random_draw(equation, primitive.name)
    assert found is not None
    return found


def kernels(source: Source, architecture: str) -> dict[str, Kernel]:
    """Those of the source, none of which spills or asks for more than a multiprocessor has."""
    found = compiled(source.unit, architecture)
    assert set(found) == {launch.entry for launch in source.launches}
    for launch in source.launches:
        kernel = found[launch.entry]
        assert kernel.spilled == 0
        assert -(-kernel.registers // 8) * 8 * launch.block <= REGISTERS
        assert kernel.shared <= 48 << 10
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_elementwise_work_is_moved_four_numbers_at_a_time(architecture: str) -> None:
    (kernel,) = kernels(loop_kernel(gelu(1 << 20), "gelu"), architecture).values()
    assert (kernel.moves("ld", 4), kernel.moves("st", 4)) == (2, 1)
    assert kernel.moves("ld", 1) == kernel.moves("st", 1) == 0
    assert kernel.registers <= 40
    apart = loop_kernel(gelu(1 << 20), "gelu", misaligned={1})
    (kernel,) = kernels(apart, architecture).values()
    assert (kernel.moves("ld", 4), kernel.moves("ld", 1), kernel.moves("st", 4)) == (1, 4, 1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_halves_are_moved_eight_numbers_at_a_time(name: str, architecture: str) -> None:
    dtype = as_dtype(name)
    body = (Load(at(0, 1), dtype), Load(at(1, 1), dtype), Map("mul", (0, 1), dtype), Map("tanh", (2,), dtype))
    kernel = LoopKernel((), (1 << 20,), (*body, Store(at(2, 1), 3)), (dtype,) * 3, (2,))
    (found,) = kernels(loop_kernel(kernel, "halves"), architecture).values()
    assert found.moves("ld", 4) == 2 * found.moves("st", 4) > 0  # four times 32 bits
    assert found.moves("ld", 1) == found.moves("st", 1) == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("columns", [100, 512, 2000, 4096])
def test_softmax_reads_a_row_once_and_keeps_it_in_registers(columns: int, architecture: str) -> None:
    (kernel,) = kernels(loop_kernel(softmax(4096, columns), "softmax"), architecture).values()
    rounds = 1 if columns == 100 else 4
    assert (kernel.moves("ld", 4), kernel.moves("st", 4)) == (rounds, rounds)
    assert kernel.moves("ld", 1) == kernel.moves("st", 1) == 0
    assert kernel.registers <= 64
    assert kernel.stack == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_layer_norms_gradient_is_one_pass_over_its_rows(architecture: str) -> None:
    found = kernels(loop_kernel(layer_norm_gradient(8192, 512), "gradient"), architecture)
    assert set(found) == {"gradient", "gradient_finish"}
    kernel = found["gradient"]
    assert kernel.moves("ld", 4) == 3 * 4  # the cotangent, the values and the weight, four packs of each a thread
    assert kernel.moves("st", 4) == 4
    assert kernel.stack == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("columns", [16384, 32768, 65536])
def test_what_registers_cannot_hold_is_read_again_and_not_spilled(columns: int, architecture: str) -> None:
    (softly,) = compiled(loop_kernel(softmax(4096, columns), "softmax").unit, architecture).values()
    assert softly.spilled == 0
    assert softly.moves("ld", 4) == {16384: 4, 32768: 8, 65536: 3 * 2}[columns]  # of loops, twice the body
    gradient = compiled(loop_kernel(layer_norm_gradient(4096, columns), "gradient").unit, architecture)["gradient"]
    assert gradient.spilled <= SPILLED


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_loss_of_classes_and_its_gradient_are_one_pass_over_the_scores(architecture: str) -> None:
    """Lowered from the public function: the scores of a row are read once, and their gradient is written once."""

    def program(scores: Any, labels: Any) -> list[Any]:
        loss = F.cross_entropy(scores.requires_grad_(), labels)
        loss.backward()
        return [loss.detach(), scores.grad]

    rng = np.random.default_rng(0)
    jobs = kernels_of(program, [rng.standard_normal((64, 1000)).astype(F4), rng.integers(0, 1000, 64)])
    (rows,) = [kernel for kernel, _ in jobs if kernel.inner == (1000,)]
    found = kernels(loop_kernel(rows, "loss"), architecture)
    assert set(found) == {"loss", "loss_finish"}
    assert (found["loss"].moves("ld", 4), found["loss"].moves("st", 4)) == (4, 4)  # of each thread: 64 of them a row
    assert found["loss"].moves("ld", 1) == 2  # the label, and what the loss counts for


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tiles_columns_totals_and_split_rows(architecture: str) -> None:
    found = kernels(loop_kernel(transposed(1000, 1000), "turn"), architecture)["turn"]
    assert found.shared == 32 * 33 * 4
    columns = kernels(loop_kernel(column_sums(8192, 512), "columns"), architecture)
    assert set(columns) == {"columns_0", "columns_1"}
    sums = kernels(loop_kernel(total(1 << 24), "total"), architecture)
    assert sums["total"].moves("ld", 4) >= 1
    assert set(kernels(loop_kernel(softmax(4, 1 << 20), "long"), architecture)) == {"long_0", "long_1", "long_2"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_draws_are_stored_in_packs_and_never_contracted(architecture: str) -> None:
    shape = (1 << 20,)
    sources = [draw(random_uniform_p, shape=shape, dtype=d) for d in (F4, F8)]
    sources += [draw(random_normal_p, shape=shape, dtype=d) for d in (F4, F8)]
    sources += [draw(random_integers_p, shape=shape, low=0, high=10)]
    for source in sources:
        (kernel,) = kernels(source, architecture).values()
        size = source.alignment[-1] // (4 if "float *" in source.text else 8)
        assert kernel.moves("st", size) >= 1
        assert kernel.moves("st", 1) == 0
        assert "normal" in source.text or "fma." not in kernel.ptx  # exact quotients and roots are made with them
    (kernel,) = kernels(draw(random_bernoulli_p, shape=shape), architecture).values()
    assert kernel.moves("st", 1) + kernel.moves("st", 4) == 1  # four bytes


def test_64_bit_positions_compile() -> None:
    far = 2**33
    body = (Load(at(0, far, 1), F4), Map("neg", (0,), F4), Store(at(1, far, 1), 1))
    kernels(loop_kernel(LoopKernel((8,), (far // 2,), body, (F4, F4), (1,)), "far"), "sm_90")


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> list[Job]:
    """Every other one of the kernels that are run on the host, unless every case is asked for."""
    every = pytestconfig.getoption("--every-case")
    return of_the_op_table(every=every)[:: 1 if every else 2]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_op_table(table: list[Job], part: int) -> None:
    """Values and gradients: kernels are many, so each is compiled for one architecture, and those differ by part."""
    texts, blocks = [], {}
    for number, (kernel, _) in enumerate(table[part::PARTS]):
        source = loop_kernel(kernel, f"kernel{number}")
        if prod(kernel.outer + kernel.inner):
            texts.append(source.text)
            blocks.update((launch.entry, launch.block) for launch in source.launches)
    found = compiled(with_functions("\n".join(texts)), ARCHITECTURES[part % len(ARCHITECTURES)])
    assert set(blocks) <= set(found)
    for name, kernel in found.items():
        assert kernel.spilled <= SPILLED, name
        assert kernel.registers * blocks[name] <= REGISTERS, name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_size_of_block_compiles(architecture: str) -> None:
    for threads in (32, 128, 1024):
        kernels(loop_kernel(softmax(100, 3000), "softmax", sizes=Sizes(threads, threads)), architecture)
