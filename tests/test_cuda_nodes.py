"""Training steps of the suite's rows on CUDA, over the fake CuPy: the nodes of their CUDA graphs, counted. What kernels
compute is not looked at here. Not yet run on hardware.
"""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import fake_cupy
import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cublaslt import FakeCublasLt
from fake_cupy import runtime

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cuda import product_kernels
from autograd_core.backends.cuda.cublaslt import CublasLt
from autograd_core.benchmarks.workloads import WORKLOADS

CALLS = 8  # after which a step is captured
SHORT = {"steps": 2, "batch": 8}  # in place of a row's own sizes: how long sequences are adds no nodes
EMBEDDING = {"pick_16": 1, "sort_runs": 1, "find_starts": 1, "sum_by_index_float": 1}
LSTM = {"lstm_forward": 1, "lstm_adjoint": 1, "fill": 2}  # blocks are counted from 0 on in each launch
ATTENTION = {"attention": 2, "attention_vjp": 2, "attention_vjp_inner": 2}
# By row: how many nodes there are at most, and of which kinds how many; no others are copies.
ROWS: dict[str, tuple[int, dict[str, int]]] = {
    "lstm_charlm_h256_t64_b32": (23, {**LSTM, **EMBEDDING}),
    "gru_h256_t64_b32": (12, {"gru_forward": 1, "gru_adjoint": 1, "fill": 2}),
    "addition_rnn_h128_b128": (32, {kind: 2 * n for kind, n in LSTM.items()} | {"loop_copy": 3}),
    "transformer_d128_l2_t64_b16": (52, ATTENTION),
}


def nodes(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], Any]:
    """The names of the nodes of a row's step, and its report; nothing is allocated for it, and nothing waited for."""
    captured: list[list[str]] = []
    end_capture = runtime.Stream.end_capture

    def noted(stream: runtime.Stream) -> runtime.Graph:
        graph = end_capture(stream)
        captured.append([node.name for node in graph._nodes])
        return graph

    def nothing(*_: Any) -> None:
        """In place of a kernel."""

    properties = runtime.getDeviceProperties
    monkeypatch.setattr(runtime, "getDeviceProperties", lambda i: {**properties(i), "multiProcessorCount": 132})
    monkeypatch.setattr(runtime.Stream, "end_capture", noted)
    monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
    monkeypatch.setenv("AUTOGRAD_CORE_CUDA_GRAPHS", "branches=1")
    library, row = SimpleNamespace(nn=nn, square=ag.square), WORKLOADS[name]()
    for size, value in SHORT.items():
        setattr(row, size, value)
    machine: fake_cupy.Machine
    with np.errstate(all="ignore"), fake_devices() as machine, ag.default_device("cuda"):
        machine.bodies.clear()
        machine.host_code = lambda kernel, settings: nothing
        model = row.model(library)
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        data = {key: ag.tensor(array) for key, array in row.problem()[0].items()}

        def step(arrays: dict[str, ag.Tensor]) -> ag.Tensor:
            optimizer.zero_grad()
            loss = row.loss(library, model, arrays)
            loss.backward()
            optimizer.step()
            return loss

        compiled = ag.compile(step)
        for _ in range(CALLS):
            machine.forget()
            compiled(data)
        assert dict(machine.launches) == {"graph": 1}
        assert (sum(machine.synchronizations.values()), machine.allocations) == (0, 0)
        return captured[-1], compiled.report()


def kind(node: str, known: dict[str, int]) -> str:
    """Entries of recurrent launches have numbers behind their names."""
    return next((k for k in known if node.startswith(f"{k}_") and node[len(k) + 1].isdigit()), node)


@pytest.mark.parametrize("name", ROWS)
def test_a_step_has_no_kernel_calls_and_few_nodes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    most, known = ROWS[name]
    names, report = nodes(name, monkeypatch)
    assert all(row.native for row in report.rows), report
    counts = Counter(kind(node, known) for node in names)
    expected = {"loop_copy": 0, "copy": 0, "setitem": 0, **known}
    assert {k: counts[k] for k in expected} == expected
    assert len(names) <= most, counts
