"""Random tensors: reproducible by seed and call, the same on every device, isolated by scopes, strict in arguments."""

from __future__ import annotations

import asyncio
import copy
import subprocess
import sys
from collections.abc import Callable
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_table.random import CASES

import autograd_core as ag
from autograd_core.errors import ArgumentError, DeviceError, DTypeError, ShapeError, StateDictError
from autograd_core.ops import philox

random = ag.random
Generator = ag.random.Generator
SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)

# one call of each function, by generator and device
DRAWS: dict[str, Callable[..., ag.Tensor]] = {
    "uniform": lambda **where: random.uniform((3, 4), **where),
    "uniform64": lambda **where: random.uniform((3, 4), -1, 5, dtype=ag.float64, **where),
    "normal": lambda **where: random.normal((3, 4), **where),
    "normal64": lambda **where: random.normal((3, 4), 1, 2, dtype=ag.float64, **where),
    "bernoulli": lambda **where: random.bernoulli(0.4, (30,), **where),
    "integers": lambda **where: random.integers(-5, 1000, (7,), **where),
    "wide integers": lambda **where: random.integers(-5, 2**40, (7,), **where),
    "permutation": lambda **where: random.permutation(20, **where),
}
draws = pytest.mark.parametrize("draw", list(DRAWS.values()), ids=list(DRAWS))


def same(a: ag.Tensor, b: ag.Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()


@pytest.fixture(autouse=True)
def _own_stream():
    with random.fork(0):
        yield


# Values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("device", ["numpy", "cpu"])
def test_a_draw_is_its_reference(case, device: str) -> None:
    operands = case.make(np.random.default_rng(1))
    with ag.default_device(device):
        y = case.fn(*map(ag.tensor, operands))
    assert str(y.device) == device
    expected = np.asarray(case.reference(*operands))
    assert y.dtype == expected.dtype
    assert y.numpy().tobytes() == expected.tobytes()


@draws
def test_every_device_draws_the_same_bits(draw) -> None:
    on_numpy, on_cpu = (draw(generator=Generator(9), device=device) for device in ("numpy", "cpu"))
    assert (str(on_numpy.device), str(on_cpu.device)) == ("numpy", "cpu")
    assert same(on_numpy, on_cpu)


@given(shape=SHAPES, seed=st.integers(0, 2**64 - 1), call=st.integers(0, 2**64 - 1))
def test_bits_do_not_depend_on_the_device_whatever_shape_and_key(shape, seed: int, call: int) -> None:
    for draw in (random.uniform, random.normal, lambda shape, **where: random.bernoulli(0.3, shape, **where)):
        found = []
        for device in ("numpy", "cpu"):
            generator = Generator(0)
            generator.load_state_dict({"seed": seed, "call": call})
            found.append(draw(shape, device=device, generator=generator))
        assert found[0].shape == shape
        assert same(*found)


@given(shape=SHAPES)
def test_the_shape_reshapes_one_row_of_numbers(shape) -> None:
    flat = random.normal((int(np.prod(shape)),), generator=Generator(4))
    assert same(random.normal(shape, generator=Generator(4)).reshape(-1), flat)


def test_the_default_shape_is_one_number() -> None:
    assert random.uniform().shape == random.normal().shape == random.integers(0, 3).shape == ()
    assert random.bernoulli(0.5).shape == ()
    assert isinstance(random.normal(), ag.Tensor)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("low", "high"), [(1.0, 2.0), (-3.0, -1.0), (1e6, 1e6 + 1), (0.0, 1e-40), (0.1, 0.3)])
def test_uniform_stays_below_high(dtype: str, low: float, high: float) -> None:
    kind = np.dtype(dtype).type
    y = random.uniform((100_000,), low, high, dtype=dtype).numpy()
    assert y.dtype == dtype
    assert y.min() >= kind(low)
    assert y.max() < kind(high)


def test_uniform_stays_below_high_where_the_sum_rounds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest u is 1 - 2**-24, and 1 + (2 - 1) u rounds to 2."""
    monkeypatch.setattr(philox, "to_uniform_float32", lambda xp, word: xp.full(word.shape, 1 - 2**-24, xp.float32))
    y = random.uniform((3,), 1.0, 2.0, device="numpy").numpy()
    assert (y == np.nextafter(np.float32(2), np.float32(0))).all()


def test_moments_are_what_was_asked_for() -> None:
    n = 200_000
    u, z = random.uniform((n,), -2.0, 4.0).numpy(), random.normal((n,), 3.0, 0.5).numpy()
    assert abs(u.mean(dtype=np.float64) - 1) < 4.5 * 3**0.5 / n**0.5
    assert abs(z.mean(dtype=np.float64) - 3) < 4.5 * 0.5 / n**0.5
    assert abs(z.std(dtype=np.float64) - 0.5) < 4.5 * 0.5 / (2 * n) ** 0.5


def test_a_standard_deviation_of_zero_gives_the_mean() -> None:
    assert random.normal((4,), 2.5, 0).tolist() == [2.5] * 4


def test_bernoulli_takes_a_probability_an_element() -> None:
    p = ag.tensor([[0.0], [1.0], [0.5]])
    y = random.bernoulli(p, (3, 1000))
    assert y.dtype == ag.bool
    never, always, half = y.numpy()
    assert not never.any()
    assert always.all()
    assert 400 < half.sum() < 600
    assert random.bernoulli(p).shape == (3, 1)
    assert same(random.bernoulli(np.full(5, 0.3), generator=Generator(1)), random.bernoulli(
        0.3, (5,), generator=Generator(1)))  # fmt: skip


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", "int64"])
def test_integers_come_in_any_integer_dtype(dtype: str) -> None:
    y = random.integers(3, 100, (50,), dtype=dtype, generator=Generator(2))
    assert y.dtype == dtype
    assert y.tolist() == random.integers(3, 100, (50,), generator=Generator(2)).tolist()


def test_integers_reach_the_whole_range() -> None:
    assert set(random.integers(-1, 3, (200,)).tolist()) == {-1, 0, 1, 2}
    assert len(set(random.integers(-(2**63), 2**63, (50,)).tolist())) == 50


@pytest.mark.parametrize("n", [0, 1, 2, 100])
def test_a_permutation_holds_every_number_once(n: int) -> None:
    y = random.permutation(n)
    assert y.dtype == ag.int64
    assert sorted(y.tolist()) == list(range(n))


# Derivatives -----------------------------------------------------------------------------------------------------


def test_a_draw_is_a_constant_and_what_is_made_of_it_is_not() -> None:
    def f(mean, log_std):
        with random.fork(3):
            return (mean + ag.exp(log_std) * random.normal((4,), dtype="float64")).sum()

    z = random.normal((4,), dtype="float64", generator=Generator(3)).numpy()
    mean, log_std = ag.tensor(np.array(0.5)), ag.tensor(np.array(-0.2))
    by_mean, by_std = ag.grad(f, argnums=(0, 1))(mean, log_std)
    assert by_mean.item() == pytest.approx(4)
    assert by_std.item() == pytest.approx(np.exp(-0.2) * z.sum())
    assert not random.normal((2,)).requires_grad
    assert random.normal((2,)).requires_grad_().is_leaf


def test_no_gradient_reaches_a_probability() -> None:
    p = ag.tensor([0.2, 0.7], requires_grad=True)
    assert not random.bernoulli(p).requires_grad
    y, t = ag.jvp(lambda p: random.bernoulli(p, generator=Generator(1)).astype("float32") * p, (p,), (ag.ones(2),))
    drawn = random.bernoulli(p.detach(), generator=Generator(1)).astype("float32")
    assert t.tolist() == drawn.tolist()
    assert y.tolist() == (drawn * p).tolist()


def test_a_mask_can_be_drawn_again() -> None:
    generator = Generator(8)
    before = generator.state_dict()
    mask = random.bernoulli(0.5, (64,), generator=generator)
    generator.load_state_dict(before)
    assert same(random.bernoulli(0.5, (64,), generator=generator), mask)


# Generators ------------------------------------------------------------------------------------------------------


@draws
def test_each_call_takes_one_number(draw) -> None:
    generator = Generator(1)
    first = draw(generator=generator)
    assert generator.state_dict() == {"seed": 1, "call": 1}
    second = draw(generator=generator)
    assert generator.call == 2
    assert not same(first, second)
    generator.load_state_dict({"seed": 1, "call": 0})
    assert same(draw(generator=generator), first)


def test_the_call_number_wraps() -> None:
    generator = Generator(0)
    generator.load_state_dict({"seed": 2, "call": 2**64 - 1})
    random.uniform((1,), generator=generator)
    assert generator.state_dict() == {"seed": 2, "call": 0}


def test_a_copy_goes_on_alone() -> None:
    generator = Generator(5)
    random.uniform(generator=generator)
    for other in (copy.copy(generator), copy.deepcopy(generator)):
        assert other.state_dict() == {"seed": 5, "call": 1}
        random.uniform(generator=other)
    assert generator.call == 1


def test_spawned_streams_differ_and_repeat() -> None:
    parent = Generator(6)
    children = [*parent.spawn(3), *parent.spawn(2)]
    assert parent.call == 2
    assert len({child.seed for child in children}) == 5
    again = Generator(6)
    assert [c.seed for c in again.spawn(3)] == [c.seed for c in children[:3]]
    assert Generator(6).spawn(0) == []


def test_the_repr_shows_the_place_in_the_stream() -> None:
    assert repr(Generator(7)) == "Generator(seed=7, call=0)"


@pytest.mark.parametrize("seed", [0, 2**64 - 1, np.uint64(2**64 - 1), np.int32(4), ag.tensor(9)])
def test_a_seed_is_any_64_bit_word(seed: Any) -> None:
    assert Generator(seed).seed == int(seed)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None, [1]])
def test_other_seeds_are_refused_and_change_nothing(seed: Any) -> None:
    with pytest.raises(ArgumentError, match="seed must .*2\\*\\*64 - 1"):
        Generator(seed)
    generator = Generator(3)
    generator.take(None)
    with pytest.raises(ArgumentError):
        generator.reseed(seed)
    assert generator.state_dict() == {"seed": 3, "call": 1}


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"seed": 1},
        {"seed": 1, "call": 2, "more": 3},
        {"seed": 1, "call": -1},
        {"seed": 0.5, "call": 0},
        None,
        [1, 2],
    ],
)
def test_other_states_are_refused_and_change_nothing(state: Any) -> None:
    generator = Generator(3)
    with pytest.raises(StateDictError, match="seed|call"):
        generator.load_state_dict(state)
    assert generator.state_dict() == {"seed": 3, "call": 0}


def test_a_state_may_hold_arrays() -> None:
    generator = Generator(0)
    generator.load_state_dict({"seed": np.uint64(2**63 + 1), "call": ag.tensor(4)})
    assert generator.state_dict() == {"seed": 2**63 + 1, "call": 4}


# The default generator -------------------------------------------------------------------------------------------


def test_seeding_starts_the_default_stream_again() -> None:
    random.seed(11)
    a, b = random.normal((3,)), random.normal((3,))
    random.seed(11)
    assert same(random.normal((3,)), a)
    assert same(random.normal((3,), generator=(g := Generator(11))), a)
    assert same(random.normal((3,), generator=g), b)


def test_seeding_inside_a_scope_outlives_the_scope() -> None:
    with ag.no_grad():
        random.seed(12)
        random.normal((3,))
    assert random.default_generator().state_dict() == {"seed": 12, "call": 1}


def test_a_fork_leaves_the_outer_stream_alone() -> None:
    random.seed(1)
    with random.fork(2) as generator:
        assert random.default_generator() is generator
        inside = random.uniform((3,))
        with random.fork(3):
            random.seed(99)
        assert generator.state_dict() == {"seed": 2, "call": 1}
    assert random.default_generator().state_dict() == {"seed": 1, "call": 0}
    assert same(inside, random.uniform((3,), generator=Generator(2)))


def test_a_fork_ends_with_an_error() -> None:
    outer = random.default_generator()
    with pytest.raises(KeyError), random.fork(2):
        raise KeyError
    assert random.default_generator() is outer


def test_a_fork_without_a_seed_spawns() -> None:
    random.seed(1)
    with random.fork() as generator:
        random.uniform((3,))
    assert random.default_generator().call == 1
    assert generator.seed == Generator(1).spawn(1)[0].seed


def test_a_fork_may_go_on_with_a_generator() -> None:
    generator = Generator(4)
    for call in (1, 2):
        with random.fork(generator):
            random.uniform()
        assert generator.call == call


def test_a_fork_survives_other_scopes() -> None:
    with random.fork(2) as generator, ag.no_grad(), ag.enable_grad(), ag.default_device("numpy"):
        assert random.default_generator() is generator


def run_in_threads(*bodies: Callable[[], None]) -> None:
    threads = [Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_fork_belongs_to_its_thread() -> None:
    found: dict[int, list[Any]] = {}

    def body(seed: int) -> Callable[[], None]:
        def run() -> None:
            with random.fork(seed):
                found[seed] = [random.normal((2,)).tolist() for _ in range(50)]

        return run

    with random.fork(100) as mine:
        run_in_threads(body(1), body(2))
        assert mine.call == 0
    for seed in (1, 2):
        generator = Generator(seed)
        assert found[seed] == [random.normal((2,), generator=generator).tolist() for _ in range(50)]


def test_threads_that_share_a_generator_never_get_the_same_numbers() -> None:
    shared, found = Generator(1), []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        run_in_threads(*[lambda: found.extend([shared.take("numpy").tolist()[1] for _ in range(500)])] * 4)
    finally:
        sys.setswitchinterval(interval)
    assert sorted(found) == list(range(2000))


def test_a_fork_belongs_to_its_task() -> None:
    async def draw(seed: int) -> list[float]:
        with random.fork(seed):
            first = random.uniform((2,)).tolist()
            await asyncio.sleep(0)
            return first + random.uniform((2,)).tolist()

    async def both() -> list[list[float]]:
        return await asyncio.gather(draw(1), draw(2))

    together = asyncio.run(both())
    assert together == [asyncio.run(draw(1)), asyncio.run(draw(2))]


def test_a_process_starts_from_seed_zero_and_no_import_draws() -> None:
    program = "import autograd_core as ag\nprint(ag.random.default_generator())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Generator(seed=0, call=0)"


# Arguments -------------------------------------------------------------------------------------------------------

X = ag.tensor([0.5, 0.5])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.uniform((2, -1)), ShapeError, r"random.uniform: shape \(2, -1\) has a negative length"),
        (lambda: random.uniform("ab"), ArgumentError, "random.uniform: a shape is an int or a tuple of ints"),
        (lambda: random.normal(2.5), ArgumentError, "random.normal: a shape is an int or a tuple of ints, got 2.5"),
        (lambda: random.uniform((2,), 1.0, 1.0), ArgumentError, "random.uniform: needs low < high.*low=1.0, high=1.0"),
        (lambda: random.uniform((2,), 2.0, 1.0), ArgumentError, "random.uniform: needs low < high"),
        (lambda: random.uniform((2,), 1.0, 1 + 1e-9), ArgumentError, "needs low < high.* as float32"),
        (lambda: random.uniform((2,), -3e38, 3e38), ArgumentError, "high - low finite, as float32"),
        (lambda: random.uniform((2,), float("nan")), ArgumentError, "random.uniform: low must be finite.*nan"),
        (lambda: random.uniform((2,), 0, 1e39), ArgumentError, "high must be finite as float32, got 1e\\+39"),
        (lambda: random.uniform((2,), X, 1.0), ArgumentError, r"low must be a number, got a tensor of shape \(2,\);"),
        (
            lambda: random.uniform((2,), dtype="int32"),
            DTypeError,
            r"draws float32 or float64, not int32; write .astype",
        ),
        (lambda: random.normal((2,), dtype="float16"), DTypeError, "random.normal: draws float32 or float64"),
        (lambda: random.normal((2,), dtype="text"), DTypeError, "'text' is not a dtype"),
        (lambda: random.normal((2,), 0, -1), ArgumentError, "random.normal: std must not be negative, got -1.0"),
        (lambda: random.normal((2,), "zero"), ArgumentError, "random.normal: mean must be a number, got 'zero'"),
        (lambda: random.normal((2,), None), ArgumentError, "random.normal: mean must be a number, got None"),
        (lambda: random.normal((2,), std=float("inf")), ArgumentError, "random.normal: std must be finite"),
        (lambda: random.normal((2,), generator=3), ArgumentError, "must be an ag.random.Generator, got int"),
        (lambda: random.normal((2,), device="nowhere"), DeviceError, "no backend is named 'nowhere'"),
        (lambda: random.bernoulli(1.5, (2,)), ArgumentError, "random.bernoulli: p must lie between 0 and 1, got 1.5"),
        (lambda: random.bernoulli(-1e-9, (2,)), ArgumentError, "p must lie between 0 and 1"),
        (lambda: random.bernoulli(float("nan"), (2,)), ArgumentError, "random.bernoulli: p must be finite.*nan"),
        (lambda: random.bernoulli("p", (2,)), DTypeError, "random.bernoulli: an array of dtype <U1 cannot be a tensor"),
        (
            lambda: random.bernoulli(np.array([[0.5, 0.1], [0.2, np.nan]])),
            ArgumentError,
            r"p must lie between 0 and 1, got nan \(at index \(1, 1\)\)",
        ),
        (lambda: random.bernoulli(ag.tensor([0.5, 2.0])), ArgumentError, r"got 2.0 \(at index \(1,\)\)"),
        (lambda: random.bernoulli(ag.tensor([0.5j])), DTypeError, "probabilities are real numbers"),
        (lambda: random.bernoulli(X, (3,)), ShapeError, r"random.bernoulli: shapes \(2,\) and \(3,\) do not broadcast"),
        (lambda: random.bernoulli(X, ()), ShapeError, r"p of shape \(2,\) does not broadcast to \(\)"),
        (lambda: random.bernoulli(X, device="numpy"), DeviceError, "p lies on cpu, but device='numpy'; write p.to"),
        (lambda: random.integers(3, 3, (2,)), ArgumentError, "random.integers: needs .* got low=3, high=3"),
        (lambda: random.integers(0, 2**63 + 1), ArgumentError, "low < high <= 9223372036854775808"),
        (lambda: random.integers(0, 257, dtype="uint8"), ArgumentError, "needs 0 <= low < high <= 256; got low=0"),
        (lambda: random.integers(0, 5.0), ArgumentError, "random.integers: high must be an int, got 5.0"),
        (lambda: random.integers(0, 5, dtype="float32"), DTypeError, "needs an integer dtype, got float32"),
        (lambda: random.permutation(-1), ArgumentError, "random.permutation: n must not be negative, got -1"),
        (lambda: random.permutation(2.0), ArgumentError, "random.permutation: n must be an int, got 2.0"),
        (lambda: random.permutation(X), ArgumentError, r"write x\[ag.random.permutation\(len\(x\)\)\]"),
        (lambda: Generator(0).spawn(-1), ArgumentError, "n is a number of generators, got -1"),
        (lambda: Generator(0).spawn(1.5), ArgumentError, "n is a number of generators, got 1.5"),
    ],
)
def test_bad_arguments_are_refused_before_a_number_is_taken(call, error: type, message: str) -> None:
    random.seed(0)
    with pytest.raises(error, match=message):
        call()
    assert random.default_generator().call == 0
