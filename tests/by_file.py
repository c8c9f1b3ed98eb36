"""How files of tests are handed out to pytest-xdist's workers with ``--dist loadfile``: the slow ones first.

By itself it hands out the files with most tests first. Few tests that take long would come last, with one worker at
work and the others done.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

# What takes more than five seconds, the slowest first, more or less; the order of the rest is of no account.
# Only the time that all of them take depends on it: a file that is not here, or no longer slow, is tested all the same.
SLOW = (
    "test_ops",
    "test_compile_operations",
    "test_backends",
    "test_examples",
    "test_cuda_races",
    "test_cuda_branches",
    "test_cuda_steady",
    "test_cuda_steps",
    "test_benchmarks_gpu",
    "test_compile_optimizers",
    "test_cuda_operations",
    "test_cuda_ptx",
    "test_cuda_epilogues",
    "test_cuda_trials",
    "test_compile_modules",
    "test_cuda_source_programs",
    "test_native_recurrent",
    "test_cuda_source_compile",
    "test_native_gemm",
    "test_compile_modules_outside",
    "test_cuda_compile",
    "test_native_convolution",
    "test_benchmarks_rows",
    "test_compile_horizontal",
    "test_cuda_compile_operations",
    "test_compile_steady",
    "test_architecture",
    "test_compile_residuals",
    "test_native_loops_reductions",
    "test_cuda_source_reductions",
    "test_compile_threads",
    "test_native_pooling",
    "test_cuda_convolution_kernels",
    "test_ptx_machine",
    "test_cuda_users",
    "test_cuda_recurrent_kernels",
    "test_native_layouts",
    "test_packaging",
    "test_ops_broadcasting",
    "test_compile_host_calls",
    "test_native_attention",
    "test_compile_random",
)
# These go to one worker: the page of operations is compared with verdicts that the operations' tests leave.
TOGETHER = {"test_ops_page": "test_ops"}


class Numbered(list[str]):
    """Names of tests, whose places are known: looking for each of 36,000 among the others takes ten seconds."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self.places = {name: place for place, name in enumerate(names)}

    def index(self, name: str, *within: int) -> int:
        return super().index(name, *within) if within else self.places[name]


class ByFile(LoadFileScheduling):
    """All tests of a file go to one worker, and files in the order that is said above."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        for one, other in TOGETHER.items():
            file = file.replace(f"{one}.py", f"{other}.py")
        return file

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        super().add_node_collection(node, collection)
        if node in self.registered_collections:
            self.registered_collections[node] = Numbered(collection)

    def _assign_work_unit(self, node: WorkerController) -> None:
        slow = (file for name in SLOW for file in self.workqueue if file.endswith(f"/{name}.py"))
        first = next(slow, None)
        if first is not None:
            self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)
