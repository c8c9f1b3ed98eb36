"""Loop kernels as CUDA C on the host, beside their slow evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
from cuda_host import ORDERS, Batch

from autograd_core.aval import HALF
from autograd_core.backends.cuda.native import Sizes, Source, loop_kernel
from autograd_core.compiler.evaluate import evaluate
from autograd_core.compiler.loops import LoopKernel

# Small blocks, few of them, and short rows that are cut: every shape on arrays of some hundred elements.
SMALL = Sizes(threads=64, row_threads=128, blocks=3, partial=3, kept=64, few=8, long=1500)
TINY = SMALL._replace(kept=8, long=100, partial=20)
_NAMES = count()


class Checks:
    """Kernels to be compared, compiled as one."""

    def __init__(self, sizes: Sizes = SMALL):
        self.sizes = sizes
        self.batch = Batch()
        self._expected: list[tuple[LoopKernel, list[np.ndarray], float, float]] = []

    def add(
        self,
        kernel: LoopKernel,
        arrays: Sequence[np.ndarray],
        *,
        rtol: float = 3e-6,
        atol: float = 3e-6,
        anywhere: Sequence[bool] = (False, True),
    ) -> list[Source]:
        """The variant for aligned arrays, and that for arrays ``anywhere``. Results must be those of the evaluation."""
        expected = [a.copy() for a in arrays]
        evaluate(kernel, expected)
        sources = []
        for end in anywhere:
            misaligned = range(len(arrays)) if end else ()
            source = loop_kernel(kernel, f"kernel{next(_NAMES)}", sizes=self.sizes, misaligned=misaligned)
            self.batch.add(source, arrays, end=end)
            self._expected.append((kernel, expected, rtol, atol))
            sources.append(source)
        return sources

    def run(self, orders: Sequence[int] = ORDERS) -> None:
        results = self.batch.run(orders)
        for (source, *_), runs, (kernel, *expected) in zip(self.batch.jobs, results, self._expected, strict=True):
            for arrays in runs:
                compare(arrays, *expected, f"{kernel}\n{source.text}")
                for a, b in zip(arrays, runs[0], strict=True):
                    assert a.tobytes() == b.tobytes(), f"the order of threads matters\n{source.text}"


def compare(found: Sequence[np.ndarray], expected: Sequence[np.ndarray], rtol: float, atol: float, told: str) -> None:
    for position, (a, b) in enumerate(zip(found, expected, strict=True)):
        message = f"operand {position} of {told}"
        if a.dtype.kind == "f" or a.dtype.char in HALF:
            wide = [x.astype(np.float64) for x in (a, b)]
            np.testing.assert_allclose(*wide, rtol=rtol, atol=atol, err_msg=message)
        else:
            np.testing.assert_array_equal(a, b, err_msg=message)


def check(
    kernel: LoopKernel, arrays: Sequence[np.ndarray], *, sizes: Sizes = SMALL, rtol: float = 3e-6, atol: float = 3e-6
) -> None:
    checks = Checks(sizes)
    checks.add(kernel, arrays, rtol=rtol, atol=atol)
    checks.run()
