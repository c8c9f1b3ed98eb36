"""What runs CUDA C on the host notices what would go wrong on a GPU: missing barriers, parted threads, old memory."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_host import Batch, needs_compiler

from autograd_core.backends.cuda.native import Launch, Source


@pytest.fixture(autouse=True, scope="module")
def _compiler() -> None:
    needs_compiler()


def source(name: str, body: str, *, grid: int = 1, block: int = 64) -> Source:
    text = f'extern "C" __global__ void {name}(int *a0) {{\n{body}\n}}\n'
    return Source(text, (Launch(name, grid, block),), (4,))


def run(body: str, *, grid: int = 1, block: int = 64, count: int = 64, name: str = "kernel") -> list[np.ndarray]:
    """What the kernel leaves in each order of threads."""
    batch = Batch()
    batch.add(source(name, body, grid=grid, block=block), [np.zeros(count, np.int32)])
    return [arrays[0] for arrays in batch.run()[0]]


REVERSE = """__shared__ int shared[64];
    shared[threadIdx.x] = threadIdx.x;
    {barrier}
    a0[threadIdx.x] = shared[63 - threadIdx.x];"""


def test_a_barrier_is_one() -> None:
    for found in run(REVERSE.format(barrier="__syncthreads();")):
        assert found.tolist() == list(range(63, -1, -1))


def test_a_missing_barrier_shows_in_some_order() -> None:
    found = run(REVERSE.format(barrier=""))
    assert any(each.tolist() != list(range(63, -1, -1)) for each in found)


def test_a_warp_that_runs_ahead_shows_that_memory_is_still_read() -> None:
    body = """__shared__ int shared[2];
    int sum = 0;
    for (int i = 0; i < 3; i++) {
        if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = i;
        __syncthreads();
        sum += __shfl_xor_sync(0xffffffffu, shared[1 - threadIdx.x / 32], 1);
        {barrier}
    }
    a0[threadIdx.x] = sum;"""
    assert all((found == 3).all() for found in run(body.replace("{barrier}", "__syncthreads();")))
    assert not all((found == 3).all() for found in run(body.replace("{barrier}", "")))


@pytest.mark.parametrize(
    "body",
    [
        "if (threadIdx.x < 32) __syncthreads();",
        "if (threadIdx.x < 40) a0[0] = __shfl_xor_sync(0xffffffffu, 1, 1);",
        "if (threadIdx.x % 2) {\n__syncthreads();\n} else {\n__syncthreads();\n}",
    ],
    ids=["some end", "part of a warp", "two barriers"],
)
def test_threads_that_part_are_an_error(body: str) -> None:
    with pytest.raises(AssertionError, match="threads wait at different places"):
        run(body)


def test_a_shuffle_takes_all_lanes() -> None:
    with pytest.raises(AssertionError, match="a shuffle without all lanes"):
        run("a0[threadIdx.x] = __shfl_xor_sync(0xffffu, 1, 1);")


def test_a_block_is_of_whole_warps() -> None:
    with pytest.raises(AssertionError, match="a block of a wrong size"):
        run("a0[0] = 1;", block=40)


def test_shuffles_one_after_the_other() -> None:
    body = """int x = threadIdx.x;
    for (int other = 1; other < 32; other *= 2) x += __shfl_xor_sync(0xffffffffu, x, other);
    a0[threadIdx.x] = x;"""
    for found in run(body):
        assert found.tolist() == [sum(range(32))] * 32 + [sum(range(32, 64))] * 32


def test_shared_memory_holds_nonsense_when_a_block_starts() -> None:
    body = """__shared__ int shared[64];
    a0[64 * blockIdx.x + threadIdx.x] = shared[threadIdx.x];
    shared[threadIdx.x] = 0;"""
    for found in run(body, grid=3, count=192):
        assert (found == 0x5A5A5A5A).all()


def test_blocks_run_in_several_orders() -> None:
    body = "if (threadIdx.x == 0) a0[blockIdx.x] = a0[15]++;"
    orders = {tuple(found[:8].tolist()) for found in run(body, grid=8, count=16)}
    assert len(orders) == 3
    assert all(sorted(order) == list(range(8)) for order in orders)


def test_every_thread_of_the_largest_block_has_a_stack() -> None:
    for found in run(
        "int own[1000];\nown[threadIdx.x % 1000] = 1;\na0[threadIdx.x] = own[threadIdx.x % 1000];",
        block=1024,
        count=1024,
    ):
        assert (found == 1).all()
