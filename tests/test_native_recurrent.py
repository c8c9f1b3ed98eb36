"""Recurrent layers as native kernels give what the primitives and their adjoints give, on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from fences import fenced
from recurrent_kinds import KINDS, Kind

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.aval import Aval
from autograd_core.backends.cpu.native import engine, machine
from autograd_core.backends.cpu.native.located import Copies, Located, Lowered
from autograd_core.backends.cpu.native.sequences.kernels import cut_rows
from autograd_core.backends.cpu.native.sequences.lowering import LOWERINGS
from autograd_core.compiler.ir import Equation, Var
from autograd_core.ops import _recurrences, recurrent
from autograd_core.primitive import General

LEVELS = ("host", "avx2", "scalar")
TOLERANCE = {"float32": 5e-6, "float64": 1e-13}


each_kind = pytest.mark.parametrize("kind", [pytest.param(KINDS[name], id=name) for name in KINDS])
each_level = pytest.mark.parametrize("level", LEVELS)


class Sizes(NamedTuple):
    length: int
    batch: int
    features: int
    hidden: int


def operands(
    kind: Kind, sizes: Sizes, biases: tuple[str, ...], seed: int = 0, lengths: bool = False
) -> dict[str, np.ndarray]:
    """In float64, with names; numbers that float32 has."""
    rng = np.random.default_rng(seed)
    columns = kind.gates * sizes.hidden
    shapes = {
        "x": (sizes.length, sizes.batch, sizes.features),
        "weight_ih": (columns, sizes.features),
        "weight_hh": (columns, sizes.hidden),
        **dict.fromkeys(kind.states, (sizes.batch, sizes.hidden)),
        **dict.fromkeys(biases, (columns,)),
    }
    scale = {"weight_ih": sizes.features**-0.5, "weight_hh": sizes.hidden**-0.5}
    drawn = {name: scale.get(name, 1) * rng.standard_normal(shape) for name, shape in shapes.items()}
    found = {name: value.astype(np.float32).astype(np.float64) for name, value in drawn.items()}
    if lengths:
        found["lengths"] = rng.integers(0, sizes.length + 1, sizes.batch)
    return found


def located(array: np.ndarray) -> Located:
    return Located(array.shape, array.dtype, tuple(s // array.itemsize for s in array.strides))


build, compiled = engine.build, engine.compiled
texts: dict[Any, str] = {}


def text_of(specs: Any, target: machine.Machine) -> str:
    """Kernels with equal keys are written once: the keys tell apart all that these tests try."""
    (spec,) = specs
    if (spec.key, target) not in texts:
        texts[spec.key, target] = str(build(specs, target))
    return texts[spec.key, target]


@cache
def object_of(text: str, target: machine.Machine) -> bytes:
    return compiled(text, target)


class Workspaces:
    """NumPy for who calls kernels: zeros for bytes, the workspace, are NaN between fences, as arenas hold anything."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def zeros(self, count: int, dtype: type) -> np.ndarray:
        if dtype is not np.uint8:
            return np.zeros(count, dtype)
        return fenced(np.full(count // 8, np.nan)).view(np.uint8)


def lower(primitive: General, params: dict[str, Any], inputs: list[np.ndarray], outputs: list[np.ndarray]) -> Any:
    inner, outer = ([Var(Aval(a.shape, a.dtype)) for a in arrays] for arrays in (inputs, outputs))
    equation = Equation(primitive, inner, params, outer)
    return LOWERINGS[primitive](equation, [located(a) for a in inputs], [located(a) for a in outputs])


def as_view(array: np.ndarray, dtype: str, batch_first: bool, end: bool) -> np.ndarray:
    """A copy between fences, with the axes of steps and sequences in the other order in memory if ``batch_first``."""
    if not batch_first:
        return fenced(array.astype(dtype), end=end)
    return fenced(np.ascontiguousarray(array.swapaxes(0, 1)).astype(dtype), end=end).swapaxes(0, 1)


def check(
    primitive: General,
    params: dict[str, Any],
    inputs: list[np.ndarray],
    *,
    dtype: str,
    level: str,
    threads: tuple[int, ...],
    strided: bool = False,
) -> None:
    """The native kernel's results are those of the formula in float64. strided: whether the first operand is a view."""
    wanted = primitive.forward(np, *inputs, **params)
    for end, number in zip((True, False, True), threads):
        kinds = [a.dtype.name if a.dtype.kind == "i" else dtype for a in inputs]
        given = [as_view(a, d, strided and i == 0, end) for i, (a, d) in enumerate(zip(inputs, kinds, strict=True))]
        results = [fenced(np.full(w.shape, np.nan, dtype), end=end) for w in wanted]
        lowered = lower(primitive, params, given, results)
        assert isinstance(lowered, Lowered)
        arrays = [(results if is_output else given)[i] for is_output, i in lowered.operands]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(engine, "np", Workspaces())
            patched.setattr(engine, "build", text_of)
            patched.setattr(engine, "compiled", object_of)
            engine.call(lowered.spec, arrays, threads=number, machine=machine.limited(level))
        for result, want in zip(results, wanted, strict=True):
            np.testing.assert_allclose(result, want, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(want).max()))
        for before, after in zip(inputs, given, strict=True):
            np.testing.assert_array_equal(after, before.astype(after.dtype))


def cases(level: str, seed: int) -> Iterator[tuple[Sizes, dict[str, Any]]]:
    """A few sizes, both directions, both dtypes, with and without biases and lengths, views or not."""
    rng = np.random.default_rng(seed)
    lanes = machine.limited(level).lanes("float32")
    chosen = [
        Sizes(3, 5, 3, int(rng.integers(1, 41))),
        Sizes(int(rng.integers(1, 6)), int(rng.integers(1, 6)), int(rng.integers(1, 20)), 2 * lanes),
        Sizes(2, 31, int(rng.integers(1, 40)), int(rng.integers(lanes + 1, lanes + 25))),
    ]
    first = int(rng.integers(16))
    for i, sizes in enumerate(chosen[LEVELS.index(level) :]):
        bits = first + 3 * i
        settings = {"dtype": ("float32", "float64")[i % 2], "reverse": bool(bits & 1), "bias": bool(bits & 2)}
        yield sizes, settings | {"strided": bool(bits & 4), "lengths": i == 0 or bool(bits & 8)}


@each_level
@each_kind
def test_layers_of_random_sizes(kind, level):
    for number, (sizes, chosen) in enumerate(cases(level, seed=kind.gates + len(level))):
        values = operands(kind, sizes, kind.biases if chosen["bias"] else (), number, chosen["lengths"])
        params = {"has": tuple(values), "reverse": chosen["reverse"], **kind.params}
        how = {"dtype": chosen["dtype"], "level": level, "threads": (1, 2, 3), "strided": chosen["strided"]}
        check(kind.primitive, params, list(values.values()), **how)


def check_adjoint(kind: Kind, values: dict[str, np.ndarray], reverse: bool, seed: int, **how: Any) -> None:
    params = {"has": tuple(values), "reverse": reverse, **kind.params}
    results = kind.primitive.forward(np, *values.values(), **params)
    count = 1 + len(kind.states)
    rng = np.random.default_rng(seed)
    g = [rng.standard_normal(y.shape).astype(np.float32).astype(np.float64) for y in results[:count]]
    saved = [y.astype(np.float32).astype(np.float64) for y in (results[0], *results[count:])]
    check(kind.adjoint, params, [*g, *saved, *values.values()], **how)


@each_level
@each_kind
def test_adjoints_of_random_sizes(kind, level):
    for number, (sizes, chosen) in enumerate(cases(level, seed=10 + kind.gates + len(level))):
        values = operands(kind, sizes, kind.biases if chosen["bias"] else (), number, chosen["lengths"])
        how = {"dtype": chosen["dtype"], "level": level, "threads": (1, 2, 3), "strided": chosen["strided"]}
        check_adjoint(kind, values, chosen["reverse"], number, **how)


def projected(values: dict[str, np.ndarray], states: int, seed: int) -> dict[str, np.ndarray]:
    """The operands of an LSTM, with states that are projected to so many features."""
    rng = np.random.default_rng(seed)
    (columns, hidden), batch = values["weight_hh"].shape, len(values["h0"])
    shapes = {"weight_hh": (columns, states), "weight_hr": (states, hidden), "h0": (batch, states)}
    drawn = {name: rng.standard_normal(shape) * shape[1] ** -0.5 for name, shape in shapes.items()}
    return values | {name: value.astype(np.float32).astype(np.float64) for name, value in drawn.items()}


@each_level
def test_projected_states(level):
    kind = KINDS["lstm"]
    for number, (sizes, chosen) in enumerate(cases(level, seed=30 + len(level))):
        values = operands(kind, sizes, kind.biases if chosen["bias"] else (), number, chosen["lengths"])
        values = projected(values, max(1, sizes.hidden * (number + 1) // 3), number)
        how = {"dtype": chosen["dtype"], "level": level, "threads": (1, 2, 3), "strided": chosen["strided"]}
        check(kind.primitive, {"has": tuple(values), "reverse": chosen["reverse"]}, list(values.values()), **how)
        check_adjoint(kind, values, chosen["reverse"], number, **how)


@pytest.mark.parametrize(("batch", "hidden", "states"), [(1, 70, 40), (18, 264, 17), (33, 12, 90)])
def test_projected_states_of_few_and_of_wide_sequences(batch, hidden, states):
    """Threads share units of the cells, or of the states, or sequences, which the two products cut alike or not."""
    kind = KINDS["lstm"]
    values = projected(operands(kind, Sizes(4, batch, 3, hidden), kind.biases, lengths=batch == 18), states, 0)
    how = {"dtype": "float32", "level": "host", "threads": (1, 3, 5)}
    check(kind.primitive, {"has": tuple(values), "reverse": True}, list(values.values()), **how)
    check_adjoint(kind, values, True, 0, **how)


@pytest.mark.parametrize(("name", "hidden"), [("lstm", 264), ("gru", 140)])
def test_wide_layers(name, hidden):
    """Whose units are several registers, or several blocks, of the adjoint."""
    values = operands(KINDS[name], Sizes(2, 18, 3, hidden), KINDS[name].biases)
    params = {"has": tuple(values), "reverse": False}
    how = {"dtype": "float32", "level": "host", "threads": (1, 2, 5)}
    check(KINDS[name].primitive, params, list(values.values()), **how)
    check_adjoint(KINDS[name], values, False, 0, **how)


def test_one_bias_of_two():
    """GRU has a bias of x's part and another of the hidden part, which r scales."""
    for name in KINDS["gru"].biases:
        values = operands(KINDS["gru"], Sizes(2, 3, 4, 5), (name,))
        params = {"has": tuple(values), "reverse": False}
        check(recurrent.gru_p, params, list(values.values()), dtype="float32", level="host", threads=(1,))


@each_kind
def test_more_threads_than_sequences(kind):
    """Threads share the units of one sequence, and wait for one another's after every step."""
    values = operands(kind, Sizes(40, 1, 3, 70), kind.biases)
    params = {"has": tuple(values), "reverse": True, **kind.params}
    check(kind.primitive, params, list(values.values()), dtype="float64", level="host", threads=(3, 5))


@each_kind
def test_a_sequence_that_is_not_finite_leaves_the_others_alone(kind):
    values = operands(kind, Sizes(3, 4, 5, 7), kind.biases)
    params = {"has": tuple(values), "reverse": False, **kind.params}
    values["x"][1, 2, 0] = np.nan
    values["h0"][0, 0] = np.inf
    with np.errstate(invalid="ignore"):
        wanted = kind.primitive.forward(np, *values.values(), **params)
    given = [v.astype(np.float64) for v in values.values()]
    results = [np.empty(w.shape) for w in wanted]
    lowered = lower(kind.primitive, params, given, results)
    engine.call(lowered.spec, [(results if is_output else given)[i] for is_output, i in lowered.operands])
    assert np.isnan(wanted[0]).any()
    assert np.isfinite(wanted[0][:, [1, 3]]).all()
    for result, want in zip(results, wanted, strict=True):
        np.testing.assert_allclose(result, want, rtol=0, atol=1e-13)


# ------------------------------------------------------------------------------------ what is lowered


def arrays_of(values: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [v.astype(np.float32) for v in values.values()]


RESULTS = [np.empty(0, np.float32)] * 5


@pytest.mark.parametrize(("length", "batch", "features"), [(0, 2, 5), (3, 0, 5), (3, 2, 0)])
def test_empty_sequences_are_left_to_the_formulas(length, batch, features):
    shapes = ((length, batch, features), (16, features), (16, 4), (batch, 4), (batch, 4))
    given = [np.zeros(shape, np.float32) for shape in shapes]
    params = {"has": ("x", "weight_ih", "weight_hh", "h0", "c0"), "reverse": False}
    assert lower(recurrent.lstm_p, params, given, RESULTS) is None


def test_operands_with_gaps_are_copied_first():
    kind = KINDS["lstm"]
    values = operands(kind, Sizes(3, 2, 5, 4), ("bias",))
    given = arrays_of(values)
    names = tuple(values)
    x, weight = names.index("x"), names.index("weight_hh")
    given[weight] = np.ascontiguousarray(given[weight].T).T
    given[x] = np.zeros((3, 2, 10), np.float32)[:, :, ::2]
    found = lower(kind.primitive, {"has": names, "reverse": False}, given, RESULTS)
    assert isinstance(found, Copies)
    assert set(found.inputs) == {x, weight}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("vectors", [1, 2, 3])
def test_tiles_cover_the_rows(level, vectors):
    target = machine.limited(level)
    for batch in (*range(1, 40), 64, 100, 128, 257, 1000):
        base, tall, short = cut_rows(batch, vectors, target)
        assert tall * (base + 1) + short * base == batch
        assert base > 0
        assert (base + bool(tall)) * vectors + vectors < max(target.registers, 3)


# ------------------------------------------------------------------------------------ compiled steps


def trained(name: str, compiled: bool, monkeypatch, **options: Any) -> tuple[list[float], dict[str, np.ndarray]]:
    """Losses and parameters of a few steps; compiled ones may not run the formulas."""
    with ag.default_device("cpu"), ag.random.fork(0), monkeypatch.context() as patched:
        model = getattr(nn, name)(5, 7, num_layers=2, bidirectional=True, **options)
        optimizer = optim.SGD(model.parameters(), lr=0.5)

        def step(x: ag.Tensor) -> ag.Tensor:
            optimizer.zero_grad()
            y, last = model(x)
            last = last[0] if name == "LSTM" else last
            loss = (y * y).sum() + last.sum()
            loss = loss / y.size
            loss.backward()
            optimizer.step()
            return loss

        def forbidden(*operands: Any, **params: Any) -> None:
            raise AssertionError("a formula ran in a compiled step")

        if compiled:
            step = ag.compile(step)
        rng = np.random.default_rng(0)
        batches = [ag.tensor(rng.standard_normal((3, 6, 5)).astype(np.float32)) for _ in range(5)]
        losses = [step(x).item() for x in batches[:2]]  # the calls that find the graph, without and with gradients
        if compiled:
            for formula in ("forward", "adjoint"):
                patched.setattr(_recurrences, f"{name.lower()}_{formula}", forbidden)
        losses += [step(x).item() for x in batches[2:]]
        return losses, {key: value.numpy().copy() for key, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LSTM", {"batch_first": True}),
        ("LSTM", {"proj_size": 3}),
        ("GRU", {}),
        ("RNN", {"batch_first": True, "bias": False, "nonlinearity": "relu"}),
    ],
    ids=["lstm", "projected", "gru", "rnn"],
)
def test_a_training_step_is_the_same_compiled(name, options, monkeypatch):
    losses, state = trained(name, False, monkeypatch, **options)
    losses_compiled, state_compiled = trained(name, True, monkeypatch, **options)
    np.testing.assert_allclose(losses_compiled, losses, rtol=1e-5)
    for key, value in state.items():
        np.testing.assert_allclose(state_compiled[key], value, rtol=1e-5, atol=1e-5, err_msg=key)
