"""No thread of a kernel of ours reads or writes what another one may be writing, or anything that is not there.

What watches kernels on the host (cuda_races.cpp) must find planted faults, and nothing in what is right.
``--every-case``: all kernels of the op table, more layers and cuts.
"""

from __future__ import annotations

from collections.abc import Sequence

import cuda_attention
import cuda_convolutions
import numpy as np
import pytest
from cuda_loops import SMALL, TINY
from cuda_programs import of_the_op_table
from cuda_race_cases import (
    Job,
    attentions,
    convolutions,
    draw,
    files_of,
    loops,
    ones,
    pooling,
    recurrence,
    sums_by_index,
    updates,
    watched,
)
from cuda_races import Finding, Run, Traffic, needs_watch
from loop_examples import batch_statistics, layer_norm_gradient, softmax

from autograd_core.backends.cuda.native import Sizes
from autograd_core.backends.cuda.native.modes import MODES
from autograd_core.backends.cuda.native.recurrent import Cut, Recurrence
from autograd_core.backends.cuda.native.source import with_functions
from autograd_core.compiler.loops import Access, Accumulate, Load, LoopKernel, Map, Store
from autograd_core.ops.random import random_bernoulli_p, random_bits_p, random_integers_p, random_normal_p

F4 = np.dtype("f4")
HALVES = ("float16", "bfloat16")


@pytest.fixture(autouse=True, scope="module")
def _compiler() -> None:
    needs_watch()


def check(jobs: Sequence[Job], *, order: int = 0) -> None:
    """That nothing is found in any of them."""
    for job, report in watched([job for job in jobs if job.run.launches], order=order):
        assert not report.findings, f"{job.title}\n{report}"


# ------------------------------------------------------------------------------------------------ planted faults


def job(
    name: str, body: str, *, grid: int = 1, count: int = 64, unit: str = "", shared: int = 0, **options: bool
) -> Job:
    """A kernel of 64 threads a block that reads ``a``, may write ``b``, and may count blocks in ``n``."""
    text = f'extern "C" __global__ void {name}(const float *a, float *b, unsigned *n) {{\n{body}\n}}\n'
    arrays = np.arange(count, dtype=F4), np.zeros(count, F4), np.zeros(1, np.uint32)
    run = Run(((name, grid, 64, shared),), ((0, 1, 2),), arrays, (True, True, True), ("a", "b", "n"))
    return Job(name, text, run, files_of(unit), **options)


def seen(*jobs: Job) -> dict[str, list[Finding]]:
    return {job.title: report.findings for job, report in watched(jobs)}


REVERSED = """__shared__ float s[64];
    s[threadIdx.x] = a[threadIdx.x];
    {barrier}
    b[threadIdx.x] = s[threadIdx.x ^ {other}];"""
TWICE = """__shared__ float s[64];
    for (int i = 0; i < 2; i++) {
        s[threadIdx.x] = a[threadIdx.x];
        __syncthreads();
        b[threadIdx.x] = s[63 - threadIdx.x];
        {barrier}
    }"""


def reversed_by(name: str, barrier: str, other: int) -> Job:
    return job(name, REVERSED.format(barrier=barrier, other=other))


def test_barriers_that_are_missing() -> None:
    found = seen(
        reversed_by("barrier", "__syncthreads();", 63),
        reversed_by("none", "", 63),
        reversed_by("warp", "__syncwarp();", 31),
        reversed_by("shuffle", "__shfl_xor_sync(0xffffffffu, 1, 1);", 31),  # orders no memory
        reversed_by("two_warps", "__syncwarp();", 32),
        job("again", TWICE.replace("{barrier}", "__syncthreads();")),
        job("ahead", TWICE.replace("{barrier}", "")),
    )
    races = {name for name, findings in found.items() if any(f.kind == "race" for f in findings)}
    assert races == {"none", "shuffle", "two_warps", "ahead"}
    assert all(not findings for name, findings in found.items() if name not in races)
    late = next(f for f in found["ahead"] if f.second.writes)
    assert late.first is not None
    assert not late.first.writes
    assert late.first.block == late.second.block == 0
    assert late.first.thread + late.second.thread == 63
    assert late.first.lines[0].text == "b[threadIdx.x] = s[63 - threadIdx.x];"
    assert late.second.lines[0].text == "s[threadIdx.x] = a[threadIdx.x];"
    assert late.place == f"byte {4 * late.second.thread} of s, which has 256"


def test_threads_and_blocks_that_write_one_place() -> None:
    found = seen(
        job("own", "b[64 * blockIdx.x + threadIdx.x] = a[0];", grid=2, count=128),
        job("one", "b[0] = a[threadIdx.x];"),
        job("neighbours", "if (threadIdx.x == 0) b[(blockIdx.x + 1) % 4] = b[blockIdx.x] + a[0];", grid=4),
        job("read_before", "b[threadIdx.x] = b[0];"),
    )
    assert {name: {f.kind for f in findings} for name, findings in found.items()} == {
        "own": set(),
        "one": {"race"},
        "neighbours": {"race"},
        "read_before": {"race"},
    }
    blocks = {(f.first.block, f.second.block) for f in found["neighbours"] if f.first is not None}
    assert blocks <= {(0, 1), (1, 2), (2, 3), (0, 3)}


def test_what_is_not_there_and_what_nobody_has_written() -> None:
    declared = (
        "__shared__ float s[{size}];\n    s[threadIdx.x] = 0;\n    __syncthreads();\n    b[threadIdx.x] = s[{at}];"
    )
    found = seen(
        job("inside", "b[threadIdx.x] = a[63 - threadIdx.x];"),
        job("read_beyond", "b[threadIdx.x] = a[threadIdx.x + 1];"),
        job("written_before", "b[(int)threadIdx.x - 1] = 0;"),
        job("far", "b[threadIdx.x - 1] = 0;"),
        job("shared_beyond", declared.format(size=64, at="threadIdx.x + 1")),
        job("old_memory", declared.format(size=65, at="threadIdx.x + 1")),
        job("dynamic_beyond", "host_shared()[threadIdx.x + 1] = 0;", shared=256),
    )
    told = {name: [(f.kind, f.place) for f in findings] for name, findings in found.items()}
    assert told == {
        "inside": [],
        "read_beyond": [("out of bounds", "a[64] of 64")],
        "written_before": [("out of bounds", "b[-1] of 64")],
        "far": [("out of bounds", "far from all arrays")],
        "shared_beyond": [("out of bounds", "byte 256 of s, which has 256")],
        "old_memory": [("never written", "byte 256 of s, which has 260")],
        "dynamic_beyond": [("out of bounds", "byte 256 of dynamic shared memory")],
    }
    assert found["read_beyond"][0].second.thread == 63


COPIED = """float *s = host_shared();
    begin_copy<1>(s + threadIdx.x, a + threadIdx.x, true);
    end_copies();
    begin_copy<1>(s + 64 + threadIdx.x, a + threadIdx.x, {there});
    end_copies();
    {between}
    b[threadIdx.x] = s[{at}];
    wait_for_copies<0>();"""


def copied(name: str, between: str, at: str, there: str = "true") -> Job:
    unit = with_functions("", ("half", "tensor_cores", "factors"))
    return job(name, COPIED.format(between=between, at=at, there=there), unit=unit, shared=512)


def test_copies_that_are_not_waited_for() -> None:
    other, wait_all, wait = "63 - threadIdx.x", "wait_for_copies<0>();", "wait_for_copies<1>();"
    found = seen(
        copied("own", wait_all, "threadIdx.x"),
        copied("others", wait + "__syncthreads();", other),
        copied("zeros", wait_all + "__syncthreads();", f"64 + {other}", "false"),
        copied("not_at_all", "__syncthreads();", other),
        copied("the_first_alone", wait + "__syncthreads();", f"64 + {other}"),
        copied("zeros_on_the_way", wait + "__syncthreads();", f"64 + {other}", "false"),
        copied("without_barrier", wait_all, other),
        copied("barrier_before", "__syncthreads();" + wait_all, other),
        copied("written_meanwhile", "s[threadIdx.x] = 0;" + wait_all, "threadIdx.x"),
    )
    kinds = {name: {f.kind for f in findings} for name, findings in found.items()}
    assert not kinds["own"] | kinds["others"] | kinds["zeros"]
    on_its_way = {"a copy is on its way"}
    for name in ("not_at_all", "the_first_alone", "zeros_on_the_way", "written_meanwhile"):
        assert on_its_way <= kinds[name], name
    assert kinds["without_barrier"]  # others have not begun, or not waited
    assert kinds["barrier_before"]


TOLD = """b[64 * blockIdx.x + threadIdx.x] = 1;
    const Group group = {n, gridDim_};
    {arrive}
    {wait}
    float sum = b[64 * ((blockIdx.x + 1) % gridDim_) + threadIdx.x];
    __syncthreads();
    if (sum < 0) b[0] = a[0];"""
ARRIVE = "__syncthreads();\n    if (threadIdx.x == 0) { __threadfence(); atomicAdd(n, 1u); }"


def told(name: str, arrive: str = "group.arrive();", wait: str = "group.wait(1);") -> Job:
    """Blocks that write, say so, and read what their neighbours have written."""
    unit = with_functions("", ("half", "tensor_cores", "persistent"))
    body = TOLD.replace("{arrive}", arrive).replace("{wait}", wait).replace("gridDim_", "3")
    return job(name, body, grid=3, count=192, unit=unit, together=True)


def test_blocks_that_do_not_wait_for_each_other() -> None:
    found = seen(
        told("told"),
        told("spelled_out", ARRIVE),
        told("no_fence", ARRIVE.replace("__threadfence();", "")),
        told(
            "fence_too_late", ARRIVE.replace("__threadfence(); atomicAdd(n, 1u);", "atomicAdd(n, 1u); __threadfence();")
        ),
        told("not_all_threads", ARRIVE.replace("__syncthreads();", "")),
        told("not_waited", wait=""),
        told("waited_for_one", wait="if (threadIdx.x == 0) while (group.arrived() < 1) {}\n    __syncthreads();"),
        told("not_together", wait="if (threadIdx.x == 0) while (group.arrived() < 3) {}"),
        told(
            "fence_after",
            wait="if (threadIdx.x == 0) { while (group.arrived() < 3) {} __threadfence(); }\n__syncthreads();",
        ),
    )
    races = {name for name, findings in found.items() if any(f.kind == "race" for f in findings)}
    right = {"told", "spelled_out", "fence_after"}
    assert races == set(found) - right
    assert not any(found[name] for name in right)


# ------------------------------------------------------------------------------------------------ what memory sees


def traffic(body: str, count: int = 64) -> list[Traffic]:
    ((_, report),) = watched([job("kernel", body, count=count)], traffic=True)
    assert not report.findings, str(report)
    return report.traffic


def test_sectors_and_turns_are_counted() -> None:
    body = """__shared__ float narrow[64 * 32], wide[64 * 33], pairs[128];
    __shared__ float4 fours[64], apart[64 * 8];
    b[threadIdx.x] = a[32 * threadIdx.x];
    b[64 + threadIdx.x] = a[5];
    *(float4 *)(b + 128 + 4 * threadIdx.x) = *(const float4 *)(a + 4 * threadIdx.x);
    narrow[32 * threadIdx.x] = 0;
    wide[33 * threadIdx.x] = 0;
    pairs[2 * threadIdx.x] = 0;
    const float4 four = *(const float4 *)a;
    fours[threadIdx.x] = four;
    apart[8 * threadIdx.x] = four;"""
    found = {(t.lines[0].number - 1, t.shared, t.ratio, t.width) for t in traffic(body, count=2048)}
    assert found == {
        *((line, False, 1, 4) for line in (3, 4)),
        (3, False, 8, 4),
        (5, False, 1, 16),
        (6, True, 32, 4),
        (7, True, 1, 4),
        (8, True, 2, 4),
        (9, False, 1, 16),
        (10, True, 1, 16),
        (11, True, 8, 16),
    }


# ------------------------------------------------------------------------------------------------ kernels of ours


def at(operand: int, *strides: int, offset: int = 0) -> Access:
    return Access(operand, strides, offset)


def transposed(rows: int, columns: int) -> LoopKernel:
    body = (Load(at(0, 1, rows), F4), Store(at(1, columns, 1), 0))
    return LoopKernel((rows,), (columns,), body, (F4, F4), (1,))


def sums(rows: int, columns: int) -> LoopKernel:
    """Of columns, and of everything."""
    body = (
        Load(at(0, columns, 1), F4),
        Accumulate("sum", 0, at(1, 0, 1), False),
        Accumulate("max", 0, at(2, 0, 0), True),
    )
    return LoopKernel((rows,), (columns,), body, (F4,) * 3, (1, 2))


def test_loop_kernels() -> None:
    kernels = [softmax(37, 77), softmax(5, 1000), softmax(2, 1700), batch_statistics(4, 5, 37), transposed(70, 40)]
    kernels += [sums(50, 8), sums(3000, 21)]
    jobs = [loops(f"{k}", k, ones(k), SMALL, anywhere=bool(n % 2)) for n, k in enumerate(kernels)]
    check(jobs)


def test_rows_are_read_whole_and_sums_of_columns_meet_different_banks() -> None:
    """A layer norm's gradient, of a warp a row and of a block a row."""
    for columns in (512, 768):
        kernel = layer_norm_gradient(40, columns)
        ((_, report),) = watched([loops("gradient", kernel, ones(kernel), Sizes())], traffic=True)
        assert not report.findings, str(report)
        assert max(t.ratio for t in report.traffic) <= 1, "\n".join(map(str, report.traffic))


def spread(rows: int, columns: int) -> LoopKernel:
    """Each number to the four of its window of 2 x 2, as pooling's gradients are."""
    body = (Load(at(0, columns, 0, 0, 1), F4), Store(at(1, 4 * columns, 2 * columns, 1, 2), 0))
    return LoopKernel((rows, 2, 2), (columns,), body, (F4, F4), (1,))


def test_points_are_counted_along_the_grain() -> None:
    """Of windows that lie side by side the last axis comes last; of every second number each lane takes one."""
    pooled = (
        Load(at(0, 256, 2), F4),
        Load(at(0, 256, 2, offset=128), F4),
        Map("max", (0, 1), F4),
        Store(at(1, 64, 1), 2),
    )
    for kernel, most in (
        (spread(8, 16), 1),
        (LoopKernel((8,), (64,), pooled, (F4, F4), (1,)), 2),
    ):
        ((_, report),) = watched([loops("windows", kernel, ones(kernel), Sizes())], traffic=True)
        assert not report.findings, str(report)
        assert max(t.ratio for t in report.traffic) == most, "\n".join(map(str, report.traffic))


def test_updates_of_many_arrays_and_random_draws() -> None:
    body = (Load(at(0, 1), F4), Load(at(1, 0), F4), Map("exp", (1,), F4), Map("mul", (0, 2), F4), Store(at(0, 1), 3))
    kernel = LoopKernel((), (1,), body, (F4, F4), (0,))
    jobs = [updates(kernel, (1, 0, 7, 256, 3, 257, 1000), SMALL, anywhere=anywhere) for anywhere in (False, True)]
    key = [np.array([3, 5], np.uint64)]
    for size in (5, 9, 1023):
        jobs += [draw(random_normal_p, key, SMALL, shape=(size,), dtype=np.dtype(t)) for t in ("f4", "f8")]
        jobs += [draw(random_bits_p, key, SMALL, shape=(size,))]
        jobs += [draw(random_bernoulli_p, [*key, np.full((), 0.3, F4)], SMALL, shape=(size,))]
        jobs += [draw(random_integers_p, key, SMALL, shape=(size,), low=-5, high=high) for high in (7, 2**40)]
    check(jobs)


def test_kernels_of_the_op_table(pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--every-case"):
        pytest.skip("minutes; with --every-case")
    table = of_the_op_table(every=True)
    for part in range(0, len(table), 60):
        sizes = (SMALL, TINY, Sizes())[part // 60 % 3]
        some = table[part : part + 60]
        check([loops(f"{k}", k, a, sizes, anywhere=bool(n % 2)) for n, (k, a) in enumerate(some)])


def test_sums_by_index() -> None:
    check([sums_by_index(23, "float64"), sums_by_index(1100, "float32")])


WINDOWS = (1, 6, 5, 1, 3, 3, 1, 2, 2, 0, 1, 1, 1, 1, 1, 1, 3, 3)  # 6 by 5, of 3 by 3, every second one, padded by 1


def test_pooling() -> None:
    check(
        [
            pooling(k, d, WINDOWS)
            for k, d in (("max_pool", "float32"), ("window_sums", "float64"), ("window_shares", "float32"))
        ]
    )


def test_convolutions(pytestconfig: pytest.Config) -> None:
    layers = cuda_convolutions.SMALL_LAYERS
    some = [("forward", *layers[0]), ("input", *layers[1]), ("weight", *layers[2]), ("weight", *layers[6])]
    jobs = [convolutions(kind, layer, cut) for kind, layer, cut in some]
    jobs += [convolutions(kind, layer, cut, dtype="bfloat16") for kind, layer, cut in (some[0], some[2])]
    check(jobs)
    if not pytestconfig.getoption("--every-case"):
        return
    more = [*layers, *cuda_convolutions.MORE_LAYERS]
    for options in (*({"mode": m} for m in MODES), *({"dtype": d} for d in HALVES)):
        own = [*more, *cuda_convolutions.HALF_LAYERS] if "dtype" in options else more
        for kind in cuda_convolutions.KINDS:
            check([convolutions(kind, *layer, **options) for layer in own])


def test_attention(pytestconfig: pytest.Config) -> None:
    every = pytestconfig.getoption("--every-case")
    layer = cuda_attention.Layer((2,), 18, 35, 16, 32, mask=(2, 18, 35), numbers=True, keep=True, causal=True)
    check(attentions(layer, cuda_attention.SMALL))
    for mode in MODES if every else ():
        check(attentions(layer._replace(apart=True), cuda_attention.SMALL, mode=mode))
        check(attentions(layer._replace(queries=70, keys=75, mask=(1, 75)), None, mode=mode))


SMALLEST = Cut(16, 8, 2)


def test_recurrent_layers(pytestconfig: pytest.Config) -> None:
    jobs = [recurrence(Recurrence("lstm", "forward", 3, 11, 32), SMALLEST, bare=False)]
    jobs += [recurrence(Recurrence("gru", "adjoint", 3, 11, 32, dtype="float16"), SMALLEST, shared=False)]
    check(jobs)
    if not pytestconfig.getoption("--every-case"):
        return
    for kind in ("lstm", "gru", "rnn"):
        for way in ("forward", "adjoint"):
            for options in (*({"mode": m} for m in MODES), *({"dtype": d} for d in HALVES)):
                batch_first = options.get("mode") == "tf32"
                problem = Recurrence(kind, way, 3, 11, 64, reverse=True, batch_first=batch_first, **options)
                check(
                    [recurrence(problem, SMALLEST, bare=s, shared=w) for s in (False, True) for w in (False, True)],
                    order=5,
                )


def test_parts_of_a_recurrent_step_meet_different_banks() -> None:
    """Every step of a layer waits for them: written without conflicts, and read by two at most."""
    problem = Recurrence("gru", "forward", 2, 16, 64, mode="tf32")
    jobs = [recurrence(problem, Cut(units, rows, 2)) for units, rows in ((8, 8), (16, 16), (32, 32))]
    for _, report in watched(jobs, traffic=True):
        turns = [t.worst for t in report.traffic if t.shared]
        assert not report.findings, str(report)
        assert (min(turns), max(turns)) <= (1, 2), "\n".join(map(str, report.traffic))


# What keeps kernels right, left out or moved by one: what is found then.
EDITS = {
    "rows": ("__syncthreads();  // the memory may still be read", "", "race"),
    "columns": (
        "__syncthreads();\n    memory[threadIdx.x] = x;\n    __syncthreads();",
        "memory[threadIdx.x] = x;",
        "race",
    ),
    "copies": ("wait_for_copies<S::Stages - 2>();", "wait_for_copies<S::Stages - 1>();", "a copy is on its way"),
    "chunks": (
        "wait_for_copies<S::Stages - 2>();\n        __syncthreads();",
        "wait_for_copies<S::Stages - 2>();",
        "race",
    ),
    "fence": ("__threadfence();\n            atomicAdd", "atomicAdd", "race"),
    "arrivals": ("arrived() < times * blocks", "arrived() < times", "race"),
    "windows": ("if (element >= elements) return;", "if (element > elements) return;", "out of bounds"),
}


def edited(name: str) -> Job:
    layer = cuda_convolutions.SMALL_LAYERS[0]
    whole = {
        "rows": lambda: loops("softmax", softmax(5, 1000), ones(softmax(5, 1000)), SMALL),
        "columns": lambda: loops("sums", sums(3000, 21), ones(sums(3000, 21)), SMALL),
        "copies": lambda: attentions(cuda_attention.Layer((1,), 20, 70), cuda_attention.SMALL)[0],
        "chunks": lambda: convolutions("forward", *layer),
        "fence": lambda: recurrence(Recurrence("rnn", "forward", 3, 11, 32), SMALLEST),
        "arrivals": lambda: recurrence(Recurrence("lstm", "adjoint", 3, 11, 32), SMALLEST),
        "windows": lambda: pooling("max_pool", "float32", WINDOWS),
    }[name]()
    old, new, _ = EDITS[name]
    return whole.edited(old, new)


@pytest.mark.parametrize("name", EDITS)
def test_kernels_whose_order_is_spoilt(name: str, pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--every-case"):
        pytest.skip("half a minute; with --every-case")
    ((_, report),) = watched([edited(name)])
    assert EDITS[name][2] in {f.kind for f in report.findings}, str(report)
