"""Random numbers are a function of seed, call and element, the same on every backend, and distributed as they claim."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_core.ops import philox

WORDS = st.integers(0, 2**32 - 1)
LONG_WORDS = st.integers(0, 2**64 - 1)
ALL = [
    philox.random_bits,
    philox.random_words,
    philox.uniform_float32,
    philox.uniform_float64,
    philox.normal_float32,
    philox.normal_float64,
    philox.permutation,
]
BY_ELEMENT = [make for make in ALL if make is not philox.permutation]


def block(seed: int, call: int, index: int) -> list[int]:
    """One block from the definition alone, in Python integers."""
    key, counter = (
        [seed & philox.MASK, seed >> 32],
        [index & philox.MASK, index >> 32, call & philox.MASK, call >> 32],
    )
    for _ in range(10):
        high0, low0 = divmod(counter[0] * 0xD2511F53, 2**32)
        high1, low1 = divmod(counter[2] * 0xCD9E8D57, 2**32)
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return counter


# The generator.


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_known_answers_of_random123(counter: str, key: str, expected: str) -> None:
    c = tuple(int(word, 16) for word in counter.split())
    k = tuple(int(word, 16) for word in key.split())
    answer = [int(word, 16) for word in expected.split()]
    assert [int(lane) for lane in philox.philox4x32(np, k, c)] == answer
    arrays = philox.philox4x32(np, k, tuple(np.full(3, word, np.uint64) for word in c))
    assert all(lane.dtype == np.uint32 for lane in arrays)
    assert [lane.tolist() for lane in arrays] == [[word] * 3 for word in answer]


@given(seed=LONG_WORDS, call=LONG_WORDS, first=st.integers(0, 2**64 - 1))
def test_key_is_the_seed_and_counter_is_block_and_call(seed: int, call: int, first: int) -> None:
    lanes = philox.lanes(np, seed, call, first, 1)
    assert [int(lane[0]) for lane in lanes] == block(seed, call, first)


def test_a_run_of_blocks_never_straddles_a_multiple_of_two_to_the_32() -> None:
    runs = list(philox._runs(2**33 + 7, 3 * 2**30))
    assert [first for first, _ in runs] == [0, 3 * 2**30, 2**32, 7 * 2**30, 2**33]
    assert sum(count for _, count in runs) == 2**33 + 7
    assert list(philox._runs(0, 10)) == []


@given(seed=LONG_WORDS, call=LONG_WORDS, size=st.integers(0, 30))
def test_elements_lie_in_lanes_as_documented(seed: int, call: int, size: int) -> None:
    bits = philox.random_bits(np, seed, call, size)
    assert bits.dtype == np.uint32
    assert bits.tolist() == [block(seed, call, i // 4)[i % 4] for i in range(size)]
    words = philox.random_words(np, seed, call, size)
    assert words.dtype == np.uint64
    expected = []
    for i in range(size):
        lanes = block(seed, call, i // 2)
        expected.append(lanes[2 * (i % 2)] + (lanes[2 * (i % 2) + 1] << 32))
    assert words.tolist() == expected


@pytest.mark.parametrize("make", BY_ELEMENT)
@given(size=st.integers(0, 70), more=st.integers(0, 9), chunk=st.integers(1, 20))
def test_neither_size_nor_chunk_changes_an_element(make: Any, size: int, more: int, chunk: int) -> None:
    short = make(np, 7, 3, size, chunk=chunk)
    assert short.shape == (size,)
    np.testing.assert_array_equal(short, make(np, 7, 3, size + more)[:size], strict=True)


@pytest.mark.parametrize("make", ALL)
def test_seed_and_call_may_be_arrays_and_count_modulo_two_to_the_64(make: Any) -> None:
    seed, call = 2**64 - 3, 2**40 + 1
    expected = make(np, seed, call, 9)
    np.testing.assert_array_equal(make(np, np.asarray(seed, np.uint64), np.asarray(call, np.uint64), 9), expected)
    np.testing.assert_array_equal(make(np, np.uint64(seed), np.uint64(call), 9), expected)
    np.testing.assert_array_equal(make(np, -3, call + 2**64, 9), expected)


class ExactNamespace:
    """NumPy reduced to what rounds in one way everywhere (and to what makes and sorts arrays)."""

    ALLOWED = {"arange", "argsort", "asarray", "empty", "rint", "sqrt", "where"} | {
        "bool_",
        "float32",
        "float64",
        "int32",
        "int64",
        "uint32",
        "uint64",
    }

    def __getattr__(self, name: str) -> Any:
        if name not in self.ALLOWED:
            raise AttributeError(f"{name} may round differently from one library to the next")
        return getattr(np, name)


@pytest.mark.parametrize("make", ALL)
def test_only_exactly_rounded_functions_are_called(make: Any) -> None:
    np.testing.assert_array_equal(make(ExactNamespace(), 1, 2, 11), make(np, 1, 2, 11), strict=True)


@pytest.mark.parametrize(
    ("make", "checksum"),
    [
        (philox.random_bits, 0xC38EDC23),
        (philox.random_words, 0x884961A8),
        (philox.uniform_float32, 0x31595582),
        (philox.uniform_float64, 0x750B8920),
        (philox.normal_float32, 0x1AB09655),
        (philox.normal_float64, 0x28AD6584),
        (philox.permutation, 0xBDF40048),
    ],
)
def test_bits_never_change_between_versions_and_machines(make: Any, checksum: int) -> None:
    values = make(np, 0x0123456789ABCDEF, 0xFEDCBA9876543210, 4099)
    assert zlib.crc32(values.astype(values.dtype.newbyteorder("<")).tobytes()) == checksum


# Distributions.


def test_bits_are_balanced_and_uncorrelated() -> None:
    size = 1 << 16
    bits = philox.random_bits(np, 5, 0, size)
    columns = ((bits[:, None] >> np.arange(32, dtype=np.uint32)) & 1).astype(np.float64) * 2 - 1
    assert abs(columns.mean(axis=0)).max() < 4.5 / math.sqrt(size)
    correlation = columns.T @ columns / size - np.eye(32)
    assert abs(correlation).max() < 5 / math.sqrt(size)


@pytest.mark.parametrize(("seed", "call"), [(5, 1), (6, 0), (5 + 2**32, 0), (5, 2**32)])
def test_neighbouring_seeds_and_calls_share_nothing(seed: int, call: int) -> None:
    size = 1 << 16
    other = philox.uniform_float64(np, seed, call, size) - 0.5
    base = philox.uniform_float64(np, 5, 0, size) - 0.5
    assert abs(np.mean(base * other) * 12) < 4.5 / math.sqrt(size)


@pytest.mark.parametrize(("make", "bits"), [(philox.uniform_float32, 24), (philox.uniform_float64, 53)])
def test_uniform_numbers_fill_the_half_open_unit_interval(make: Any, bits: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="the judge of the distribution is SciPy")
    x = make(np, 11, 0, 100_000)
    assert x.dtype == (np.float32 if bits == 24 else np.float64)
    assert x.min() >= 0
    assert x.max() < 1
    scaled = np.ldexp(x.astype(np.float64), bits)
    assert (scaled == np.floor(scaled)).all()
    assert (scaled % 2 == 1).any()
    assert stats.kstest(x.astype(np.float64), "uniform").pvalue > 0.01


@given(word=LONG_WORDS)
def test_uniform_numbers_are_the_upper_bits_of_their_word(word: int) -> None:
    short = word >> 32
    assert float(philox.to_uniform_float32(np, np.uint64(short))) == (short >> 8) / 2**24
    assert float(philox.to_uniform_float64(np, np.uint64(word))) == (word >> 11) / 2**53


def test_the_largest_word_gives_a_uniform_number_below_one() -> None:
    assert float(philox.to_uniform_float32(np, np.uint64(2**32 - 1))) == 1 - 2**-24
    assert float(philox.to_uniform_float64(np, np.uint64(2**64 - 1))) == 1 - 2**-53


@given(p=st.floats(0, 1) | st.sampled_from([2.0**-32, 2.0**-33, 1 - 2.0**-32, 1 - 2.0**-33]), size=st.integers(0, 40))
def test_bernoulli_compares_the_word_with_a_threshold(p: float, size: int) -> None:
    drawn = philox.bernoulli(np, 3, 4, size, p)
    assert drawn.dtype == np.bool_
    expected = [word < round(p * 2**32) for word in philox.random_bits(np, 3, 4, size).tolist()]
    assert drawn.tolist() == expected
    each = philox.bernoulli(np, 3, 4, size, np.full(size, p))
    np.testing.assert_array_equal(each, drawn, strict=True)
    np.testing.assert_array_equal(philox.bernoulli(np, 3, 4, size, np.asarray(p)), drawn, strict=True)


def test_bernoulli_keeps_certainty_and_frequency() -> None:
    size = 1 << 18
    assert not philox.bernoulli(np, 1, 1, size, 0.0).any()
    assert philox.bernoulli(np, 1, 1, size, 1).all()
    assert abs(philox.bernoulli(np, 1, 1, size, 0.3).mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / size)


@given(word=LONG_WORDS, n=st.integers(1, 2**64) | st.sampled_from([2**32 - 1, 2**32, 2**32 + 1, 2**64 - 1, 2**64]))
def test_an_integer_below_n_is_the_upper_half_of_a_product(word: int, n: int) -> None:
    low, high = np.asarray([word & philox.MASK], np.uint64), np.asarray([word >> 32], np.uint64)
    assert philox.to_below_64(low, high, n).tolist() == [word * n >> 64]
    if n <= 2**32:
        assert philox.to_below_32(low, n).tolist() == [(word & philox.MASK) * n >> 32]


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (-5, 7), (0, 2**16), (0, 2**16 + 1), (-(2**63), 2**63), (2**63 - 3, 2**63), (-(2**63), -(2**63) + 2)],
)
def test_integers_stay_in_range(low: int, high: int) -> None:
    values = philox.integers(np, 8, 0, 1001, low, high)
    assert values.dtype == np.int64
    n = high - low
    if n <= 2**16:
        words, bits = philox.random_bits(np, 8, 0, 1001).tolist(), 32
    else:
        words, bits = philox.random_words(np, 8, 0, 1001).tolist(), 64
    assert values.tolist() == [low + (word * n >> bits) for word in words]


@pytest.mark.parametrize("n", [2, 10, 257])
def test_integers_are_uniform(n: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="the judge of the distribution is SciPy")
    counts = np.bincount(philox.integers(np, 9, n, 200_000, 0, n), minlength=n)
    assert stats.chisquare(counts).pvalue > 0.01


def test_a_wide_range_favours_no_residue() -> None:
    """With 32-bit words every third of these values would come up twice as often as its neighbours."""
    counts = np.bincount(philox.integers(np, 10, 0, 90_000, 0, 3 * 2**30) % 3, minlength=3)
    assert abs(counts - 30_000).max() < 4.5 * math.sqrt(30_000)


@given(size=st.integers(0, 200), seed=LONG_WORDS)
def test_a_permutation_sorts_random_keys(size: int, seed: int) -> None:
    order = philox.permutation(np, seed, 1, size)
    assert order.dtype == np.int64
    keys = philox.random_words(np, seed, 1, size).tolist()
    assert order.tolist() == sorted(range(size), key=keys.__getitem__)


def test_equal_keys_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(philox, "random_words", lambda xp, seed, call, size, chunk: xp.arange(size) % 2)
    assert philox.permutation(np, 0, 0, 50).tolist() == [*range(0, 50, 2), *range(1, 50, 2)]


def test_every_order_is_equally_likely() -> None:
    stats = pytest.importorskip("scipy.stats", reason="the judge of the distribution is SciPy")
    orders = Counter(tuple(philox.permutation(np, 12, call, 3).tolist()) for call in range(1200))
    assert len(orders) == 6
    assert stats.chisquare(list(orders.values())).pvalue > 0.01


# Normal numbers.


def reference_pair(radius: np.ndarray, angle: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The documented pair by way of NumPy's float64 log, sine and cosine."""
    top = np.uint64(2**bits - 1)
    u = (radius.astype(np.float64) + 0.5) * 2.0**-bits
    gap = ((top - radius).astype(np.float64) + 0.5) * 2.0**-bits
    r = np.sqrt(-2 * np.where(u < 0.5, np.log(np.minimum(u, 0.5)), np.log1p(-np.minimum(gap, 0.5))))
    turn = ((angle << np.uint64(2)) & top | np.uint64(2)) << np.uint64(64 - bits)
    theta = turn.view(np.int64).astype(np.float64) * 2.0**-64 * (np.pi / 2)
    across, along = r * np.sin(theta), r * np.cos(theta)
    along = np.where(angle >> np.uint64(bits - 1) & np.uint64(1), -along, along)
    swap = (angle >> np.uint64(bits - 2) & np.uint64(1)).astype(bool)
    return np.where(swap, across, along), np.where(swap, along, across)


@pytest.mark.parametrize(
    ("form", "bound", "reach"), [(philox.FLOAT32, 4e-7, 6.76), (philox.FLOAT64, 2e-15, 9.49)], ids=["32", "64"]
)
def test_normal_numbers_are_accurate_to_the_ends_of_their_range(
    form: philox.FloatFormat, bound: float, reach: float
) -> None:
    top, half = 2**form.bits - 1, 2 ** (form.bits - 1)
    words = philox.random_words(np, 13, 0, 200_000) >> np.uint64(64 - form.bits)
    # Shifting by a random amount visits every magnitude; the complement does so near u = 1.
    small = words >> philox.integers(np, 13, 1, words.size, 0, form.bits).view(np.uint64)
    edges = [0, 1, 2, 3, half - 1, half, half + 1, half // 2, top - 1, top]
    extremes = np.array([(a, b) for a in edges for b in edges], np.uint64)
    radius = np.concatenate([words, small, np.uint64(top) - small, extremes[:, 0]])
    angle = np.concatenate([words[::-1], small[::-1], words, extremes[:, 1]])
    for value, exact in zip(
        philox.to_normal_pair(np, radius, angle, form), reference_pair(radius, angle, form.bits), strict=True
    ):
        assert value.dtype == np.dtype(form.floating)
        assert abs(value / exact - 1).max() < bound
        assert abs(value).max() == pytest.approx(reach, abs=0.01)
        assert abs(value).min() > 0


@pytest.mark.parametrize("make", [philox.normal_float32, philox.normal_float64])
def test_normal_numbers_follow_the_normal_law(make: Any) -> None:
    stats = pytest.importorskip("scipy.stats", reason="the judge of the distribution is SciPy")
    size = 1_000_000
    x = make(np, 14, 0, size).astype(np.float64)
    for power, moment, spread in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((x**power).mean() - moment) < 4 * math.sqrt(spread / size)
    assert stats.kstest(x[::5], "norm").pvalue > 0.01
    for bound in (3.0, 4.0):
        expected = size * stats.norm.sf(bound)
        for tail in (x > bound, x < -bound):
            assert abs(tail.sum() - expected) < 4.5 * math.sqrt(expected)


@pytest.mark.parametrize("make", [philox.normal_float32, philox.normal_float64])
def test_normal_neighbours_are_independent(make: Any) -> None:
    size = 1 << 18
    x = make(np, 15, 0, size).astype(np.float64)
    for lag in (1, 2, 3, 4):
        a, b = x[:-lag], x[lag:]
        for power in (1, 2):
            assert abs(np.corrcoef(a**power, b**power)[0, 1]) < 4.5 / math.sqrt(size)
    radius = np.hypot(x[::2], x[1::2])
    direction = np.arctan2(x[::2], x[1::2])
    assert abs(np.corrcoef(radius, direction)[0, 1]) < 4.5 / math.sqrt(size / 2)


# Numba twins.


@pytest.fixture(scope="module")
def kernels() -> Any:
    pytest.importorskip("numba", reason="the kernels need Numba")
    from autograd_core.backends.cpu import philox_kernels

    return philox_kernels


@pytest.mark.parametrize("make", BY_ELEMENT)
@pytest.mark.parametrize(("seed", "call"), [(0, 0), (1, 2**40 + 5), (2**64 - 1, 2**64 - 2), (0x0123456789ABCDEF, 77)])
def test_kernels_give_the_same_bits(kernels: Any, make: Any, seed: int, call: int) -> None:
    fill = getattr(kernels, f"fill_{make.__name__}")
    for size in (0, 1, 2, 3, 4, 5, 1000, 4099):
        expected = make(np, seed, call, size)
        guarded = np.full(size + 8, 3, expected.dtype)
        fill(guarded[4 : 4 + size], np.uint64(seed), np.uint64(call), np.uint64(0))
        assert guarded[4 : 4 + size].tobytes() == expected.tobytes()
        assert (guarded[:4] == 3).all()
        assert (guarded[4 + size :] == 3).all()


@pytest.mark.parametrize("make", BY_ELEMENT)
def test_kernels_fill_a_part_of_a_call(kernels: Any, make: Any) -> None:
    fill = getattr(kernels, f"fill_{make.__name__}")
    whole = make(np, 3, 4, 101)
    width = 16 // whole.itemsize
    part = np.empty_like(whole[5 * width :])
    fill(part, np.uint64(3), np.uint64(4), np.uint64(5))
    assert part.tobytes() == whole[5 * width :].tobytes()


@pytest.mark.parametrize("p", [0.0, 2.0**-33, 0.3, 1.0])
def test_the_bernoulli_kernel_gives_the_same_bits(kernels: Any, p: float) -> None:
    for size in (0, 1, 5, 4099):
        out = np.empty(size, np.bool_)
        kernels.fill_bernoulli(out, np.uint64(3), np.uint64(4), np.uint64(0), philox.to_threshold(np, p))
        np.testing.assert_array_equal(out, philox.bernoulli(np, 3, 4, size, p))


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (-5, 7), (-3, 2**16 - 3), (0, 2**16 + 1), (-7, 2**40), (-(2**63), 2**63), (2**63 - 3, 2**63)],
)
def test_the_integer_kernels_give_the_same_bits(kernels: Any, low: int, high: int) -> None:
    n, offset = high - low, np.uint64(low % 2**64)
    for size in (0, 1, 2, 5, 4099):
        out = np.empty(size, np.int64)
        place = (np.uint64(3), np.uint64(4), np.uint64(0))
        if n <= 2**16:
            kernels.fill_integers_short(out, *place, np.uint64(n), offset)
        else:
            kernels.fill_integers_long(out, *place, np.uint64(n & philox.MASK), np.uint64(n >> 32), offset)
        np.testing.assert_array_equal(out, philox.integers(np, 3, 4, size, low, high))


def test_kernels_count_blocks_past_32_bits(kernels: Any) -> None:
    out = np.empty(16, np.uint32)
    first = 2**32 - 2
    kernels.fill_random_bits(out, np.uint64(3), np.uint64(4), np.uint64(first))
    assert out.reshape(4, 4).tolist() == [block(3, 4, first + k) for k in range(4)]
