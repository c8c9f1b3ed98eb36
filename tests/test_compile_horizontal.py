"""Elementwise work at the end of a step: what may be written in place, and independent kernels of one form as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from compile_tools import graph_of
from optim_tools import IDS, VARIANTS

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.aval import Aval
from autograd_core.compiler.fuse import LoopUnit, schedule
from autograd_core.compiler.horizontal import SegmentedUnit, flattened, joined_across
from autograd_core.compiler.ir import Var
from autograd_core.compiler.loops import Access, Constant, Index, Load, LoopKernel, Map, Reduce, Store

compiler = pytest.importorskip("autograd_core.backends.cpu.native.compiler", reason="llvmlite generates the kernels")
program = pytest.importorskip("autograd_core.backends.cpu.native.program")
team = pytest.importorskip("autograd_core.backends.cpu.native.team")

CALLS = 6  # two are captured, the others run machine code, at last in place
F4 = np.dtype(np.float32)
Made = tuple[Sequence[Any], Callable[[], Any]]


@pytest.fixture(params=[1, 2], ids="{0} threads".format)
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """As many threads, which also share what is little."""
    before = team.TEAM.size
    monkeypatch.setattr(program, "ALONE_BELOW", 0.0)
    monkeypatch.setattr(program, "SERIAL_BELOW", 0.0)
    team.set_threads(request.param)
    yield request.param
    team.set_threads(before)


def buffers(*values: float, size: int = 37) -> list[nn.Buffer]:
    return [nn.Buffer(ag.full((size,), float(value))) for value in values]


def names(step: Any) -> list[str]:
    return [part.name for part in step.latest.runner.parts()]


def joined(step: Any) -> list[str]:
    return [name for name in names(step) if name.startswith("segments_")]


def same_as_eager(make: Callable[[], Made]) -> Any:
    """Each call of a step compared with the eager one's, to the bit; the compiled function."""
    expected, eager = make()
    found, function = make()
    step = ag.compile(function)
    for _ in range(CALLS):
        eager()
        step()
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            np.testing.assert_array_equal(a.data, b.data, err_msg=f"tensor {i}")
    return step


# ------------------------------------------------------------------------------------------ in place


def test_what_is_read_after_the_place_of_its_successor_is_written_is_not_overwritten() -> None:
    def make() -> Made:
        a, b, c = buffers(1, 2, 3)

        def step() -> None:
            a_new, c_new, b_new = b * 2 + 1, a * b, b + 1
            a.assign_(a_new)
            c.assign_(c_new)
            b.assign_(b_new)

        return [a, b, c], step

    same_as_eager(make)


def test_two_variables_that_take_each_others_values() -> None:
    def make() -> Made:
        a, b = buffers(1, 2)

        def step() -> None:
            a_new, b_new = b + 1, a * 2
            a.assign_(a_new)
            b.assign_(b_new)

        return [a, b], step

    same_as_eager(make)


def test_a_segment_does_not_overwrite_what_another_reads(threads: int) -> None:
    """a and b are updated alike, b by the value that a has before."""

    def make() -> Made:
        a, b, c = (nn.Buffer(ag.arange(5000, dtype="float32") + k) for k in range(3))

        def step() -> None:
            a_new, b_new = a * 0.5 + c, b * 0.5 + a
            a.assign_(a_new)
            b.assign_(b_new)

        return [a, b, c], step

    same_as_eager(make)


def test_segments_are_written_in_place(threads: int) -> None:
    def make() -> Made:
        kept = [nn.Buffer(ag.arange(n, dtype="float32")) for n in (5, 700, 64)]

        def step() -> None:
            for x in kept:
                x.assign_(x * 0.5 + 1)

        return kept, step

    step = same_as_eager(make)
    assert joined(step) == names(step)
    assert len(step.latest.runner.in_place) == 3


def test_who_reads_an_old_value_runs_before_it_is_overwritten() -> None:
    """A running mean of the weight before its update: of another form, and later in the program."""

    def make() -> Made:
        weights, means = (tuple(nn.Buffer(ag.arange(n, dtype="float32")) for n in (5, 700)) for _ in range(2))

        def step() -> None:
            new = [w * 0.5 + 1 for w in weights]
            for m, w in zip(means, weights, strict=True):
                m.assign_(m * 0.25 + w * 0.75)
            for w, value in zip(weights, new, strict=True):
                w.assign_(value)

        return [*weights, *means], step

    same_as_eager(make)


def test_an_update_is_in_place_though_nobody_keeps_the_gradient() -> None:
    """It could be the end of the product that makes the gradient, and would then need memory of its own."""
    with ag.random.fork(0):
        weights = [nn.Parameter(ag.random.normal((3, 40))), nn.Parameter(ag.random.normal((2, 3)))]
    before = [np.array(w.data) for w in weights]
    x = ag.ones((300, 40))  # of so many terms sums are in products' registers long enough

    @ag.compile
    def step(x: Any) -> None:
        def loss(first: Any, second: Any) -> Any:
            return nn.functional.linear(ag.tanh(nn.functional.linear(x, first)), second).square().mean()

        gradients = ag.grad(loss, (0, 1))(*(w.detach() for w in weights))
        for w, g in zip(weights, gradients, strict=True):
            w.assign_(w.detach() - g * 0.5)

    for _ in range(CALLS):
        step(x)
    assert len(step.latest.runner.in_place) == 2
    assert len(joined(step)) == 1
    assert all((w.data != old).any() for w, old in zip(weights, before, strict=True))


def test_a_state_that_its_product_does_not_read_is_the_end_of_the_product() -> None:
    def make() -> Made:
        kept = nn.Buffer(ag.zeros((40, 30)))
        x, w = (ag.arange(n * 20, dtype="float32").reshape((n, 20)) * 0.01 for n in (40, 30))

        def step() -> Any:
            before = kept.sum()
            kept.assign_(nn.functional.relu(nn.functional.linear(x, w)))
            return before

        return [kept], step

    found, function = make()
    step = ag.compile(function)
    for _ in range(CALLS):
        step()
    assert names(step) == ["loop_sum", "product_40x30x20_max"]
    assert len(step.latest.runner.in_place) == 1
    expected, function = make()
    function()
    np.testing.assert_allclose(found[0].data, expected[0].data, rtol=1e-6)


# ------------------------------------------------------------------------------------------ whole steps


def test_means_follow_the_weights_that_they_are_means_of(threads: int) -> None:
    def make() -> Made:
        with ag.random.fork(0):
            model = nn.Sequential(nn.Linear(5, 33), nn.Tanh(), nn.Linear(33, 3))
        means = [nn.Buffer(ag.zeros(p.shape)) for p in model.parameters()]
        optimizer = optim.SGD(model.parameters(), lr=0.125)

        def step() -> None:
            optimizer.zero_grad()
            model(ag.ones((2, 5))).square().sum().backward()
            optimizer.step()
            for mean, p in zip(means, model.parameters(), strict=True):
                mean.assign_(mean * 0.5 + p.detach() * 0.5)

        return [*model.parameters(), *means], step

    found, function = make()
    step = ag.compile(function)
    before = [np.array(x.data) for x in found[4:]]
    for _ in range(CALLS):
        step()
        before = [m * F4.type(0.5) + p.data * F4.type(0.5) for m, p in zip(before, found[:4], strict=True)]
        for mean, expected in zip(found[4:], before, strict=True):
            np.testing.assert_array_equal(mean.data, expected)
    (together,) = [p for p in step.latest.runner.parts() if p.name in joined(step)]
    assert len(together.values) == 8  # weights and means: both are made of what was read once


SHAPES = [(3, 40), (5,), (), (1,), (0, 2), (200,)]
LONG = [120, 5, 200]  # those with two elements or more


def trained(name: str, options: dict[str, Any], clip: bool = False) -> tuple[list[np.ndarray], Any]:
    """Parameters of all lengths and both dtypes, and the optimizer's state, after some compiled steps.

    Each gradient comes from a product, in which no update can take part.
    """
    rng = np.random.default_rng(0)
    drawn = [np.asarray(rng.standard_normal(shape), dtype) for dtype in ("float32", "float64") for shape in SHAPES]
    parameters = [nn.Parameter(x) for x in drawn]
    weights = [ag.tensor(x.reshape(-1, 1)) for x in drawn]
    optimizer = getattr(optim, name)(parameters, **options)

    def step() -> Any:
        optimizer.zero_grad()
        products = [(p.reshape((1, -1)) @ w).square().sum() for p, w in zip(parameters, weights, strict=True)]
        loss = sum(x.astype("float64") for x in products)
        loss.backward()
        if clip:
            optim.clip_grad_norm_(parameters, 0.1)
        optimizer.step()
        return loss

    compiled = ag.compile(step)
    for _ in range(CALLS):
        compiled()
    state = [x for x in ag.tree.flatten(optimizer.state_dict())[0] if hasattr(x, "shape")]
    gradients = [p.grad for p in parameters]
    return [np.array(getattr(x, "data", x)) for x in (*parameters, *gradients, *state)], compiled


def updates(step: Any) -> list[Any]:
    """The kernels over segments that update parameters."""
    parts = [p for p in step.latest.runner.parts() if p.name.startswith("segments_")]
    return [p for p in parts if any(e.primitive.name.endswith("_update") for e in p.equations)]


FUSED = {
    name: [(v, i) for v, i in zip(VARIANTS, IDS, strict=True) if v[0] == name] for name in ("SGD", "Adam", "AdamW")
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Of each optimizer the last two variants, which have most options, or every one."""
    if "variant" in metafunc.fixturenames:
        first = 0 if metafunc.config.getoption("--every-case") else -2
        chosen = [variant for own in FUSED.values() for variant in own[first:]]
        metafunc.parametrize("variant", [v for v, _ in chosen], ids=[i for _, i in chosen])


def test_optimizers_have_the_bits_of_separate_kernels(
    variant: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(*variant, False, monkeypatch)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_clipped_gradients_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(name, {}, True, monkeypatch)


def compare(name: str, options: dict[str, Any], clip: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found, step = trained(name, options, clip)
    assert [[v.dtype for v in p.values[:1]] for p in updates(step)] == [["float32"], ["float64"]]
    monkeypatch.setattr(compiler, "joined_across", lambda units, views, replaced: tuple(units))
    expected, step = trained(name, options, clip)
    assert not joined(step)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(a, b, err_msg=f"array {i}")


def test_one_kernel_for_each_dtype(threads: int) -> None:
    found, step = trained("SGD", {"lr": 0.125, "momentum": 0.5})
    assert [len(p.equations) for p in updates(step)] == [len(LONG), len(LONG)]
    assert [{str(v.dtype) for v in p.values} for p in updates(step)] == [{"float32"}, {"float64"}]
    expected, _ = trained("SGD", {"lr": 0.125, "momentum": 0.5})
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_is_one_kernel_in_report_and_listing() -> None:
    _, step = trained("Adam", {"lr": 0.1})
    kernels = [p.name for p in updates(step)]
    rows = [row for row in step.report() if row.name in kernels and "adam_update" in row.operations]
    assert [row.dtype for row in rows] == ["float32", "float64"]
    # of an element: parameter, both means and the gradient read, three of them written; of a parameter: rate and count
    assert [row.bytes for row in rows] == [sum(LONG) * 7 * size + len(LONG) * (8 + 4) for size in (4, 8)]
    assert all(row.flops > 10 * sum(LONG) for row in rows)
    assert all(any("test_compile_horizontal.py" in line for line in row.lines) for row in rows)
    text = step.source(kernels[0])
    assert "computes adam_update" in text
    assert f'define void @"{kernels[0]}"' in text
    assert "sqrt" in step.source(kernels[0], assembly=True)


# ------------------------------------------------------------------------------------------ what is joined


def units_of(f: Callable[..., Any], *arrays: np.ndarray) -> list[Any]:
    graph = graph_of(f, *arrays)
    fused = schedule(graph, is_native=lambda e: e.primitive.name in ("matmul", "sort"))
    return list(joined_across(fused.units, fused.views, {}))


def in_order(units: Sequence[Any]) -> None:
    """That what is read was made before."""
    missing = {v for u in units for v in u.outputs}
    for u in units:
        assert missing.isdisjoint(u.inputs)
        missing -= set(u.outputs)


def ones(*lengths: int) -> list[np.ndarray]:
    return [np.ones(n, np.float32) for n in lengths]


def test_results_that_nobody_waits_for_are_joined() -> None:
    (unit,) = units_of(lambda *xs: [x * 2 + 1 for x in xs], *ones(3, 4, 5))
    assert isinstance(unit, SegmentedUnit)
    assert [s.length for s in unit.segments] == [3, 4, 5]
    assert len(unit.origins) == 6


def test_what_others_wait_for_stays_where_it_is() -> None:
    square = np.ones((4, 4), np.float32), np.ones((5, 5), np.float32)
    units = units_of(lambda x, y: [ag.tanh(x) @ x, ag.tanh(y) @ y], *square)
    assert not any(isinstance(u, SegmentedUnit) for u in units)
    assert [isinstance(u, LoopUnit) for u in units] == [True, False, True, False]


def test_kernels_that_wait_for_one_another_are_not_joined() -> None:
    def chains(*xs: Any) -> list[Any]:
        first = [ag.sort(x) for x in xs]
        second = [x * 2 + 1 for x in first]
        third = [ag.sort(x) for x in second]
        return [*second, *third, *(x * 2 + 1 for x in third)]

    units = units_of(chains, *ones(30, 40))
    several = [u for u in units if isinstance(u, SegmentedUnit)]
    assert [[s.length for s in u.segments] for u in several] == [[30, 40]]  # sort waits for the first two
    in_order(units)


def test_other_constants_are_another_form() -> None:
    units = units_of(lambda x, y, z: [x * 1, y * 2.0, z * 2.0], *ones(3, 4, 5))
    assert sorted(len(u.segments) for u in units if isinstance(u, SegmentedUnit)) == [2]
    units = units_of(lambda x, y: [ag.where(x > 0, 0.0, x), ag.where(y > 0, -0.0, y)], *ones(3, 4))
    assert not any(isinstance(u, SegmentedUnit) for u in units)


def loop(op: str, source: Var, target: Var) -> LoopUnit:
    body = Load(Access(0, (1,)), F4), Map(op, (0,), F4), Store(Access(1, (1,)), 1)
    return LoopUnit(LoopKernel(source.shape, (), body, (F4, F4), (1,)), (source, target))


def test_a_circle_of_two_forms_is_not_closed() -> None:
    """exp before sin in one chain, sin before exp in the other: either can be one kernel, not both."""
    x, a, b = (Var(Aval((300,), F4)) for _ in range(3))
    y, c, d = (Var(Aval((400,), F4)) for _ in range(3))
    units = [loop("exp", x, a), loop("sin", y, c), loop("sin", a, b), loop("exp", c, d)]
    found = joined_across(units, {}, {})
    assert sum(isinstance(u, SegmentedUnit) for u in found) == 1
    in_order(found)


def test_a_unit_waits_for_all_that_its_group_needs() -> None:
    """The first of a form comes after what the second needs, and before what needs the first."""
    x, a, e, y, c, d = (Var(Aval((300,), F4)) for _ in range(6))
    units = [loop("exp", x, a), loop("tanh", a, e), loop("sin", y, c), loop("exp", c, d)]
    first, several, last = joined_across(units, {}, {})
    assert isinstance(several, SegmentedUnit)
    assert [first.outputs, several.outputs, last.outputs] == [(c,), (a, d), (e,)]


def test_old_values_are_read_before_they_are_replaced() -> None:
    """The update of w, of the form of that of v, stays behind who reads w."""
    v, w, v_new, w_new, u, t = (Var(Aval((300,), F4)) for _ in range(6))
    units = [loop("exp", v, v_new), loop("tanh", w, u), loop("exp", w, w_new), loop("tanh", v_new, t)]
    found = joined_across(units, {}, {v_new: v, w_new: w})
    assert [x.outputs for x in found] == [(u,), (v_new, w_new), (t,)]
    units = [loop("exp", v, v_new), loop("exp", v, w_new)]  # v may not change before it was read for w_new
    assert len(joined_across(units[::-1], {}, {v_new: v})) == 2


@pytest.mark.parametrize("seed", range(60))
def test_any_order_that_comes_out_is_one_in_which_units_can_run(seed: int) -> None:
    """Graphs drawn at random, in which some values take the place of others: each unit is there once, finds what it
    reads, and nobody who read a value before its successor was written reads it after."""
    rng = np.random.default_rng(seed)
    values = inputs = [Var(Aval((int(n),), F4)) for n in rng.integers(2, 6, 4)]
    units, replaced = [], {}
    for _ in range(int(rng.integers(2, 25))):
        source, target = values[int(rng.integers(len(values)))], Var(Aval((3,), F4))
        unit = loop(str(rng.choice(["exp", "sin"])), source, target)
        if rng.random() < 0.2:  # of no form
            unit = unit._replace(kernel=unit.kernel._replace(body=(*unit.kernel.body, Index(0))))
        units.append(unit)
        values = [*values, target]
        old = inputs[int(rng.integers(len(inputs)))]
        if rng.random() < 0.3 and old not in replaced.values():
            replaced[target] = old
    found = joined_across(units, {}, replaced)
    in_order(found)
    assert sorted(id(v) for u in found for v in u.outputs) == sorted(id(u.outputs[0]) for u in units)
    place = {v: i for i, u in enumerate(found) for v in u.outputs}
    before = {v: i for i, u in enumerate(units) for v in u.outputs}
    for new, old in replaced.items():
        for reader in (u.outputs[0] for u in units if u.operands[0] is old):
            assert reader is new or before[reader] > before[new] or place[reader] < place[new]


# ------------------------------------------------------------------------------------------ forms


def kernel(*body: Any, outer: tuple[int, ...] = (2,), inner: tuple[int, ...] = (3,)) -> LoopKernel:
    return LoopKernel(outer, inner, body, (F4, F4), (1,))


def test_whole_arrays_are_flat() -> None:
    found = flattened(kernel(Load(Access(0, (3, 1), 12), F4), Store(Access(1, (3, 1), 6), 0)))
    assert found is not None
    form, length, offsets = found
    assert (length, offsets) == (6, (12, 6))
    assert form.body == (Load(Access(0, (1,)), F4), Store(Access(1, (1,)), 0))


@pytest.mark.parametrize(
    "body",
    [
        (Load(Access(0, (1, 2)), F4), Store(Access(1, (3, 1)), 0)),  # transposed
        (Load(Access(0, (4, 1)), F4), Store(Access(1, (3, 1)), 0)),  # gaps
        (Load(Access(0, (0, 1)), F4), Store(Access(1, (3, 1)), 0)),  # repeated
        (Load(Access(0, (3, 1)), F4), Store(Access(1, (0, 0)), 0)),  # one result
        (Load(Access(0, (3, 1)), F4), Load(Access(0, (3, 1), 1), F4), Store(Access(1, (3, 1)), 0)),  # in two ways
        (Load(Access(0, (3, 1)), F4), Reduce("sum", 0, F4), Store(Access(1, (3, 1)), 1)),
        (Index(0), Store(Access(1, (3, 1)), 0)),
    ],
)
def test_what_is_not_flat(body: Sequence[Any]) -> None:
    assert flattened(kernel(*body)) is None


def test_one_element_is_not_told_from_a_number() -> None:
    body = Load(Access(0, ()), F4), Constant(1.0, F4), Store(Access(1, ()), 0)
    assert flattened(kernel(*body, outer=(), inner=())) is None
