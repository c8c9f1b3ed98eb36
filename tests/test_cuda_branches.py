"""Steps of compiled functions on branches: what depends on what, captures that fork and join, no order that is lost.

Every graph that the fake CuPy is given is checked: two pieces that touch the same bytes, one of them writing, must come
one after the other; and each launch runs the pieces in another order that the graph allows. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import cuda_digests
import fake_cupy
import numpy as np
import pytest
from compile_programs import Recipe, recipes
from cuda_tools import fake_devices
from fake_cublaslt import FakeCublasLt
from fake_cupy.captures import Unordered
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_compile_random import Plan, gradients, plans

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cuda import branches, graphs, product_kernels, trials
from autograd_core.backends.cuda.branches import Access, Independence, chain, dependencies, issued, scheduled
from autograd_core.backends.cuda.cublaslt import CublasLt
from autograd_core.backends.cuda.runner import _Binding
from autograd_core.benchmarks.contenders.ours import stated
from autograd_core.benchmarks.workloads import WORKLOADS

CALLS = 9  # of which the last five are replays of two bindings, by turns of three variants


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_cupy.Machine]:
    with digesting() as machine:
        monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
        yield machine


class digesting:
    """A fake device whose generated kernels write digests of what they read."""

    def __enter__(self) -> fake_cupy.Machine:
        self._devices = fake_devices()
        machine = self._devices.__enter__()
        machine.host_code = cuda_digests.body
        return machine

    def __exit__(self, *exc: Any) -> None:
        self._devices.__exit__(*exc)


@pytest.fixture
def shapes_of_graphs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of every graph that is captured: its pieces, and how many of them come one after the other at least."""
    found = []
    end = fake_cupy.runtime.Stream.end_capture

    def noted(stream: Any) -> Any:
        graph = end(stream)
        found.append((sum(node.name != "fork" for node in graph._nodes), graph._length))
        return graph

    monkeypatch.setattr(fake_cupy.runtime.Stream, "end_capture", noted)
    return found


# ------------------------------------------------------------------------------------------ what depends on what


def reads(*spans: tuple[int, int, int]) -> list[Access]:
    return [Access(*span, writes=False) for span in spans]


def writes(*spans: tuple[int, int, int]) -> list[Access]:
    return [Access(*span, writes=True) for span in spans]


@pytest.mark.parametrize(
    ("first", "second", "in_order"),
    [
        (writes((0, 0, 8)), reads((0, 4, 12)), True),
        (reads((0, 4, 12)), writes((0, 0, 8)), True),
        (writes((0, 0, 8)), writes((0, 7, 8)), True),
        (reads((0, 0, 8)), reads((0, 0, 8)), False),
        (writes((0, 0, 8)), writes((0, 8, 16)), False),
        (writes((0, 0, 8)), reads((1, 0, 8)), False),
    ],
    ids=["read after write", "write after read", "write after write", "reads", "other bytes", "another array"],
)
def test_the_same_bytes_are_touched_in_order(first: list[Access], second: list[Access], in_order: bool) -> None:
    assert dependencies([first, second], [(), ()]) == [frozenset(), frozenset([0] if in_order else [])]


def test_what_was_written_over_is_left_out() -> None:
    steps = [writes((0, 0, 8)), reads((0, 0, 4)), writes((0, 0, 8)), reads((0, 0, 8)), writes((0, 4, 6))]
    assert dependencies(steps, [()] * 5) == [frozenset(), {0}, {0, 1}, {2}, {2, 3}]


def test_what_there_is_but_once_goes_from_one_to_the_next() -> None:
    found = dependencies([[]] * 4, [("pool",), (), ("pool", "all blocks"), ("all blocks",)])
    assert found == [frozenset(), frozenset(), {0}, {2}]


def test_arrays_that_share_bytes_are_told_by_their_addresses(machine: fake_cupy.Machine) -> None:
    import cupy

    whole, other = cupy.empty(64, "uint8"), cupy.empty(64, "uint8")
    arrays = [whole[:16], None, other, whole[8:24], whole[20:], cupy.empty(0)]
    found = branches._blocks(arrays)
    assert found.keys() == {0, 2, 3, 4}
    assert found[0] == found[3] == found[4] != found[2]


# ------------------------------------------------------------------------------------------ branches, and waits


@st.composite
def independences(draw: Any) -> Independence:
    count = draw(st.integers(1, 24))
    after = [frozenset(draw(st.sets(st.integers(0, n - 1), max_size=3))) if n else frozenset() for n in range(count)]
    seconds = [draw(st.sampled_from([1e-6, 3e-6, 2e-5])) for _ in range(count)]
    return Independence(after, seconds, 0.0, draw(st.sets(st.integers(0, count - 1), max_size=4)))


def orders(found: Sequence[branches.Issue], waits: Collection[tuple[int, int]]) -> dict[int, set[int]]:
    """What each step comes after: the step before it on its branch, what it waits for, and what these come after."""
    before: dict[int, set[int]] = {}
    last: dict[int, int] = {}
    for issue in found:
        direct = [m for m, n in waits if n == issue.step] + ([last[issue.branch]] if issue.branch in last else [])
        before[issue.step] = set(direct).union(*(before[m] for m in direct))
        last[issue.branch] = issue.step
    return before


@settings(max_examples=60)
@given(independences(), st.integers(2, 4), st.data())
def test_every_dependency_is_kept_with_the_fewest_waits(of: Independence, count: int, data: Any) -> None:
    schedule = of.on(count)
    steps = range(data.draw(st.integers(0, len(of.after) - 1)), len(of.after))
    found, ends = issued(schedule, of.after, steps)
    assert sorted(issue.step for issue in found) == list(steps)
    assert all(issue.branch == 0 for issue in found if issue.step in of.kept)
    needed = {(m, n) for n in steps for m in of.after[n] if m in steps}
    waits = {(m, issue.step) for issue in found for m in issue.waits}
    before = orders(found, waits)
    assert all(m in before[n] for m, n in needed)
    for wait in waits:
        without = orders(found, waits - {wait})
        assert any(m not in without[n] for m, n in needed), f"{wait} follows from others"
    on_main = [issue.step for issue in found if issue.branch == 0]
    joined = set(ends).union(on_main[-1:], *(before[n] for n in (*ends, *on_main[-1:])))
    assert joined == set(steps)
    if steps == range(len(of.after)):
        whole = branches.ordered(schedule, of.after)
        assert all(set(np.flatnonzero(whole[:, n])) == before[n] for n in steps)
    begun = {issue.branch for issue in found if issue.waits or issue.begins}
    assert begun >= {issue.branch for issue in found} - {0}


def test_long_steps_go_side_by_side() -> None:
    """A fork of two long steps and a join; each stays with who gives it what it needs, where that is no loss."""
    found = scheduled([(), (0,), (0,), (1, 2)], [1e-5] * 4, 2)
    assert found.branch == (0, 0, 1, 1)
    assert found.seconds == pytest.approx(3e-5 + branches.ACROSS)
    assert scheduled([(), (0,), (1,)], [1e-5] * 3, 4).branches == 1
    issues, ends = issued(found, [(), (0,), (0,), (1, 2)], range(4))
    assert [issue.waits for issue in issues] == [(), (), (0,), (1,)]
    assert ends == (3,)
    assert chain(3, 1.0) == ((0, 1, 2), (0, 0, 0), 1.0)


# ------------------------------------------------------------------------------------------ programs


def ran(step: Callable[..., Any], arguments: Callable[[], Sequence[Any]], calls: int = CALLS) -> list[list[Any]]:
    """The numbers that each call returns."""
    compiled = ag.compile(step)
    return [[y.numpy() for y in ag_list(compiled(*arguments()))] for _ in range(calls)]


def ag_list(y: Any) -> list[Any]:
    return [z for x in y for z in ag_list(x)] if isinstance(y, list | tuple) else [] if y is None else [y]


def same_in_every_variant(run: Callable[[], list[list[Any]]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit by bit, with kernels whose results are digests: enqueued step by step, and as graphs of a chain, on two
    branches and on four by turns.
    """
    monkeypatch.setattr(branches, "WORTH", 2.0)  # whatever may be in no order is
    with monkeypatch.context() as patched:
        patched.setattr(_Binding, "fits", lambda *_: False)
        expected = run()
    for call, (mine, theirs) in enumerate(zip(run(), expected, strict=True)):
        for k, (y, z) in enumerate(zip(mine, theirs, strict=True)):
            np.testing.assert_array_equal(y, z, err_msg=f"call {call}, result {k}")


SLOW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SLOW
@given(recipe=recipes(gradient=True, longest=9))
def test_random_programs(recipe: Recipe) -> None:
    with pytest.MonkeyPatch.context() as patched, digesting():
        patched.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))

        def run() -> list[list[Any]]:
            with ag.default_device("cuda"), ag.random.fork(5):
                xs = [ag.tensor(x) for x in recipe.inputs]
                return ran(lambda *ys: [*recipe(*ys), *ag_list(gradients(recipe, recipe)(*ys))], lambda: xs)

        with np.errstate(all="ignore"):
            same_in_every_variant(run, patched)


@SLOW
@given(plan=plans())
def test_random_steps_that_update_variables(plan: Plan) -> None:
    """In place, where nobody else holds them."""
    with pytest.MonkeyPatch.context() as patched, digesting():
        patched.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))

        def run() -> list[list[Any]]:
            with ag.default_device("cuda"), ag.random.fork(5):
                variables = {i: nn.Parameter(ag.tensor(plan.recipe.inputs[i])) for i in plan.variables}
                xs = [ag.tensor(x) for i, x in enumerate(plan.recipe.inputs) if i not in plan.variables]
                found = ran(plan.step(variables), lambda: xs)
                left = [y for w in variables.values() for y in (w.detach(), w.grad)]
                return [*found, [y.numpy() for y in ag_list(left)]]

        with np.errstate(all="ignore"):
            same_in_every_variant(run, patched)


class Fork(nn.Module):
    """Three towers over the same inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.towers = nn.ModuleList(nn.Sequential(nn.Linear(6, n), nn.Tanh(), nn.Linear(n, 3)) for n in (4, 5, 7))

    def forward(self, x: Any) -> Any:
        return sum(tower(x) for tower in self.towers)


def training(optimizer: Callable[..., Any]) -> list[list[Any]]:
    ag.random.seed(0)
    model = Fork().to("cuda")
    steps = optimizer(model.parameters())

    def step(x: Any) -> Any:
        steps.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        steps.step()
        return loss

    xs = iter(np.random.default_rng(0).standard_normal((CALLS, 8, 6)).astype(np.float32))
    losses = ran(step, lambda: [ag.asarray(next(xs), device="cuda")])
    return [*losses, [p.numpy() for p in model.parameters()]]


@pytest.mark.parametrize("kind", ["Adam", "SGD", "master weights"])
def test_training_steps(
    machine: fake_cupy.Machine,
    shapes_of_graphs: list[tuple[int, int]],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds: dict[str, Callable[..., Any]] = {
        "Adam": lambda parameters: optim.Adam(parameters, lr=0.01),
        "SGD": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9),
        "master weights": lambda parameters: optim.MasterWeights(optim.AdamW(parameters, lr=0.01)),
    }
    with ag.default_device("cuda"):
        same_in_every_variant(lambda: training(kinds[kind]), monkeypatch)
    assert any(length < pieces for pieces, length in shapes_of_graphs)


@pytest.mark.parametrize(
    "name",
    ["mlp_784_256_128_10_b128", "conv_bn_relu_64x32x32_b32", "transformer_d128_l2_t64_b16", "gru_h256_t64_b32"],
)
def test_rows_of_the_suite(
    machine: fake_cupy.Machine,
    shapes_of_graphs: list[tuple[int, int]],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run() -> list[list[Any]]:
        step, values, _ = stated(WORKLOADS[name](True), device="cuda", compiled=True)
        return [[np.asarray(values(step()))] for _ in range(CALLS)]

    with np.errstate(all="ignore"):
        same_in_every_variant(run, monkeypatch)
    assert any(length < pieces for pieces, length in shapes_of_graphs)


def test_steps_that_refuse_stay_between_graphs(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32) + 3 * np.eye(3, dtype=np.float32)
    a, b = (ag.asarray(x, device="cuda") for x in (matrix, matrix[:, :2].copy()))

    def solved(a: Any, b: Any) -> Any:
        before = [ag.tanh(a @ a.mT) @ a, ag.exp(b @ b.mT), ag.sin(b).sum(axis=0)]
        x = ag.linalg.solve(a, b)
        return [*before, x @ x.mT, (x * x).sum(axis=1), ag.cos(a @ x).mean(axis=0)]

    same_in_every_variant(lambda: ran(solved, lambda: (a, b)), monkeypatch)


def test_outputs_that_are_forgotten_are_not_captured(
    machine: fake_cupy.Machine, shapes_of_graphs: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who differentiates from outside has residuals in new memory in each call."""
    monkeypatch.setenv(trials.VARIABLE, "branches=2")
    ag.random.seed(0)
    model = Fork().to("cuda")
    forward, x = ag.compile(model), ag.asarray(np.ones((8, 6), np.float32), device="cuda")
    for _ in range(CALLS):
        (forward(x) ** 2).sum().backward()
    assert "op by op, since results are in new memory in each call" in str(forward.report())
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


# ------------------------------------------------------------------------------------------ planted faults


def wide(x: Any) -> Any:
    """Products that depend on one another and others that do not, values that die early, and sums of all."""
    y = ag.tanh(x @ x.mT)
    return (y @ x).sum(axis=0) + ag.sin(x @ (x.mT @ x)).sum(axis=0), (y @ y).mean(axis=0), ag.exp(y).sum(axis=1)


def replayed(branch_count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trials.VARIABLE, f"branches={branch_count}")
    x = ag.asarray(np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32), device="cuda")
    ran(wide, lambda: [x])


def test_a_dependency_that_is_missing_is_seen(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    replayed(4, monkeypatch)
    found = branches.dependencies

    def without_those_of_the_last(touched: Any, needed: Any) -> Any:
        return [*found(touched, needed)[:-1], frozenset()]

    monkeypatch.setattr(branches, "dependencies", without_those_of_the_last)
    monkeypatch.setattr(branches, "ACROSS", 0.0)
    with pytest.raises(Unordered, match="come in no order"):
        replayed(4, monkeypatch)


def test_places_in_the_arena_cost_no_independence(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is placed along branches can be captured on them as if every value had memory of its own."""
    wanted, found = [], []
    with monkeypatch.context() as patched:
        patched.setattr(branches, "ordered", noting(branches.ordered, wanted))
        patched.setattr(graphs, "issued", noting(graphs.issued, found))
        training_on(2, monkeypatch)
    two = wanted[0]
    assert two.branches == 2
    assert found[-1].branches == 2
    assert found[-1].seconds == pytest.approx(two.seconds)


def noting(function: Callable[..., Any], first: list[Any]) -> Callable[..., Any]:
    """The same, and its first arguments."""

    def noted(*args: Any) -> Any:
        first.append(args[0])
        return function(*args)

    return noted


def test_a_place_in_the_arena_that_is_used_again_too_early_is_seen(
    machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Places are used again in the order of the steps; then only what is read after it was written counts."""
    monkeypatch.setattr(branches, "ordered", lambda schedule, after: np.ones((len(after), len(after)), bool))
    training_on(4, monkeypatch)
    found = branches.dependencies

    def of_values_alone(touched: Any, needed: Any) -> Any:
        kept = []
        for n, after in enumerate(found(touched, needed)):
            mine = [a for a in touched[n] if not a.writes]
            kept.append(frozenset(m for m in after if any(meet(a, b) for a in mine for b in touched[m] if b.writes)))
        return kept

    monkeypatch.setattr(branches, "dependencies", of_values_alone)
    with pytest.raises(Unordered, match="come in no order"):
        training_on(4, monkeypatch)


def meet(a: Access, b: Access) -> bool:
    return a.block == b.block and a.begin < b.end and b.begin < a.end


def training_on(branch_count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trials.VARIABLE, f"branches={branch_count}")
    with ag.default_device("cuda"):
        training(lambda parameters: optim.Adam(parameters, lr=0.01))


def test_a_wait_that_is_missing_is_seen(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = graphs.issued

    def without_waits(*args: Any) -> Any:
        issues, ends = found(*args)
        return [i._replace(waits=(), begins=i.branch > 0) for i in issues], ends

    monkeypatch.setattr(graphs, "issued", without_waits)
    with pytest.raises(Unordered, match="come in no order"):
        training_on(2, monkeypatch)


def test_a_branch_that_is_not_joined_is_an_error(
    machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    """CUDA's own, so the step stays a chain."""
    found = graphs.issued
    monkeypatch.setattr(graphs, "issued", lambda *args: (found(*args)[0], ()))
    with caplog.at_level("INFO", "autograd_core.compile"):
        training_on(2, monkeypatch)
    assert any("not captured as 2 branches: cudaErrorStreamCaptureUnjoined" in r.message for r in caplog.records)
