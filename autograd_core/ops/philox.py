"""Counter-based random numbers: a number is a function of (seed, call, element), with the same bits on every backend.

Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011) maps a 64-bit
key and a 128-bit counter to four 32-bit lanes:

    key     = (seed low, seed high)
    counter = (block low, block high, call low, call high)

A call is one use of a generator; each has its own call number. Values that take one 32-bit word come four to a block:
element i is made from lane i % 4 of block i // 4. Values that take 64 bits come two to a block: element i is made from
the word lane[2 * (i % 2)] + 2**32 * lane[2 * (i % 2) + 1] of block i // 2. Normal numbers are made in pairs, elements
2j and 2j + 1 from the two words that stand in their places. Nothing is drawn and rejected, so an element never depends
on its neighbours' luck, and any part of a result can be computed again, alone and in any order.

Every function takes the array namespace ``xp`` first (``numpy``, ``cupy``). ``seed`` and ``call`` are Python integers
or 0-d uint64 arrays, so that a compiled step can advance its counter on the device; both count modulo 2**64. Arguments
are trusted: the public functions check them. ``chunk`` is the number of blocks worked on at once: the default keeps
NumPy's temporaries in the cache, and a device whose launches are dear wants 2**20 or more. It never changes a bit.

For those who write kernels. The functions of (xp, words) in the middle of this file are the scalar programs. They use
integer arithmetic and IEEE 754 ``+ - * / sqrt``, each rounded to nearest on its own, in the order that the parentheses
and Python's precedence give; no library function, whose last bit would differ between machines. A kernel that keeps
the order and the operand types gives the same bits, if it
- never contracts a * b + c into one rounding: ``-fmad=false`` for NVRTC and nvcc (or ``__fmul_rn``, ``__fadd_rn`` and
  their kin), ``-fma=0`` for NVVM, ``-ffp-contract=off`` for a C compiler, no fast-math flag anywhere;
- divides and takes roots exactly (``-prec-div=true -prec-sqrt=true``, the defaults). Subnormals never arise, so
  flushing them to zero is harmless;
- converts integers to floats with their sign (int32 -> float32, int64 -> float64), rounding to nearest. The float32
  constants below are exact in float32: writing them as float literals loses nothing.
``.view`` reinterprets bits (``__float_as_int``), ``.astype`` converts, ``>>`` on a signed integer is arithmetic; a
plain number takes the type of the array beside it (NEP 50).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

# An array, a NumPy scalar or (for words) a Python integer.
Array = Any
Namespace = Any

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
MASK = 0xFFFFFFFF
CHUNK = 8192


class FloatFormat(NamedTuple):
    """An IEEE 754 format and the constants with which normal numbers are made in it.

    log1p: P with -2 log1p(f) = s (-4 + z P(z)), s = f / (2 + f), z = s**2, for -1/2 <= f <= 0, lowest power first.
    sine: P with sin(pi t / 2) = t P(t**2), for -1/2 <= t <= 1/2. Both are minimax; before rounding, the relative
    errors are 5e-9 and 3e-9 (float32), 5e-17 and 3e-18 (float64).
    """

    floating: str
    signed: str
    unsigned: str
    bits: int
    fraction_bits: int
    minus_2_ln_2: float
    log1p: tuple[float, ...]
    sine: tuple[float, ...]

    @property
    def one_half(self) -> int:
        """The bits of 0.5."""
        return ((1 << (self.bits - self.fraction_bits - 2)) - 2) << self.fraction_bits


FLOAT32 = FloatFormat(
    floating="float32",
    signed="int32",
    unsigned="uint32",
    bits=32,
    fraction_bits=23,
    minus_2_ln_2=-1.3862943649291992,
    log1p=(-1.3333282470703125, -0.8004339933395386, -0.5599828362464905, -0.5604891777038574),
    sine=(1.5707963705062866, -0.6459634900093079, 0.07968003302812576, -0.00460165785625577),
)
FLOAT64 = FloatFormat(
    floating="float64",
    signed="int64",
    unsigned="uint64",
    bits=64,
    fraction_bits=52,
    minus_2_ln_2=-1.3862943611198906,
    log1p=(
        -1.3333333333335574543,
        -0.79999999991995519745,
        -0.57142858126342070027,
        -0.44444385310770220211,
        -0.36365641434190722145,
        -0.30728384611427222339,
        -0.27174488759848021994,
        -0.19796629255819789962,
        -0.35497674760975272967,
    ),
    sine=(
        1.570796326794896614,
        -0.64596409750624424163,
        0.079692626246039560504,
        -0.0046817541322824201459,
        0.00016044115029166047787,
        -3.5986417544611182464e-6,
        5.6337210117050743434e-8,
    ),
)


def philox4x32(
    xp: Namespace, key: tuple[Array, Array], counter: tuple[Array, Array, Array, Array]
) -> tuple[Array, ...]:
    """The four lanes of Philox4x32-10 under a key, for one counter or for arrays of counters.

    key: two words, counter: four words; each is a Python integer below 2**32 or a uint64 array that holds such
    integers, and the shapes broadcast. Returns four uint32 arrays. Reference: Salmon et al. 2011, section 3.3.

    >>> import numpy as np
    >>> [f"{int(lane):08x}" for lane in philox4x32(np, (0, 0), (0, 0, 0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    return tuple(xp.asarray(lane, dtype=xp.uint64).astype(xp.uint32) for lane in _rounds(*counter, *key))


def _rounds(c0: Array, c1: Array, c2: Array, c3: Array, k0: Array, k1: Array) -> tuple[Array, Array, Array, Array]:
    """Philox on words kept in 64 bits: a product of two words is exact there, and Python integers do as well."""
    for _ in range(ROUNDS):
        p0 = c0 * MULTIPLIERS[0]
        p1 = c2 * MULTIPLIERS[1]
        c0, c1 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK
        c2, c3 = (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0 = (k0 + KEY_STEPS[0]) & MASK
        k1 = (k1 + KEY_STEPS[1]) & MASK
    return c0, c1, c2, c3


def lanes(xp: Namespace, seed: Array, call: Array, first: int, count: int) -> tuple[Array, Array, Array, Array]:
    """The four lanes of blocks first ... first + count - 1, as uint64 arrays of 32-bit words; each of shape (count,).

    The blocks must not straddle a multiple of 2**32, so that the upper half of their index is one number.
    """
    block = xp.arange(count, dtype=xp.uint64) + (first & MASK)
    return _rounds(block, first >> 32, *_split(xp, call), *_split(xp, seed))


def _split(xp: Namespace, number: Array) -> tuple[Array, Array]:
    if not isinstance(number, int):
        number = xp.asarray(number, dtype=xp.uint64)
    return number & MASK, (number >> 32) & MASK


# The scalar programs: words in (uint64 arrays of 32-bit words), numbers out.


def word64(low: Array, high: Array) -> Array:
    """low + 2**32 high as uint64."""
    return low | (high << 32)


def to_uniform_float32(xp: Namespace, word: Array) -> Array:
    """floor(word / 2**8) / 2**24: float32 in [0, 1), all multiples of 2**-24 equally likely."""
    return (word >> 8).astype(xp.uint32).view(xp.int32).astype(xp.float32) * 2.0**-24


def to_uniform_float64(xp: Namespace, word: Array) -> Array:
    """floor(word / 2**11) / 2**53: float64 in [0, 1), all multiples of 2**-53 equally likely."""
    return (word >> 11).view(xp.int64).astype(xp.float64) * 2.0**-53


def to_threshold(xp: Namespace, p: Array) -> Array:
    """round(2**32 p), halves to even, as uint64: what a word is below with probability p."""
    return xp.rint(xp.asarray(p, dtype=xp.float64) * 2.0**32).astype(xp.uint64)


def to_below_32(word: Array, n: int) -> Array:
    """floor(word n / 2**32): an integer in [0, n) as uint64; n up to 2**32."""
    return (word * n) >> 32


def to_below_64(low: Array, high: Array, n: int) -> Array:
    """floor(word64 n / 2**64): an integer in [0, n) as uint64; n up to 2**64."""
    n_low, n_high = n & MASK, n >> 32
    cross_low, cross_high = low * n_high, high * n_low
    carry = ((low * n_low) >> 32) + (cross_low & MASK) + (cross_high & MASK)
    return high * n_high + (cross_low >> 32) + (cross_high >> 32) + (carry >> 32)


def to_normal_pair(xp: Namespace, radius: Array, angle: Array, form: FloatFormat) -> tuple[Array, Array]:
    """Two independent standard normal numbers from two words of form.bits bits (Box and Muller 1958).

    sqrt(-2 log u) sin(theta) and sqrt(-2 log u) cos(theta), in an order and with a sign that the angle's upper bits
    choose; u = (radius + 1/2) / 2**bits, so that values reach 6.76 (float32) and 9.49 (float64), and theta never lies
    on an axis, so that no value is zero. Largest relative error seen in 12 million values that dwell on the extremes:
    3.2e-7 (float32) and 6e-16 (float64).
    """
    floating, signed, unsigned = (getattr(xp, name) for name in (form.floating, form.signed, form.unsigned))
    # The word read as a signed integer is 2**bits u, or 2**bits (u - 1) from u = 1/2 on: u - 1 keeps its precision
    # near u = 1, where log u is about u - 1.
    w = (radius.astype(unsigned).view(signed).astype(floating) + 0.5) * 2.0**-form.bits
    pattern = w.view(signed)
    lower_half = pattern >= 0
    fraction = pattern & ((1 << form.fraction_bits) - 1)
    exponent = (pattern >> form.fraction_bits) - (form.one_half >> form.fraction_bits)
    # log u = exponent log 2 + log1p(f), where -1/2 <= f < 0: the terms have one sign, so nothing cancels.
    exponent = xp.where(lower_half, exponent, 0).astype(floating)
    f = xp.where(lower_half, (fraction | form.one_half).view(floating) - 1.0, w)
    s = f / (f + 2.0)
    z = s * s
    r = xp.sqrt(exponent * form.minus_2_ln_2 + s * (z * _polynomial(z, form.log1p) - 4.0))
    # The top bit of the angle is the sign of the axis, the next one which axis, the rest the turn from it by up to 45
    # degrees either way; in that range the cosine follows from the sine without loss.
    angle = angle.astype(unsigned)
    t = ((angle << 2) | 2).view(signed).astype(floating) * 2.0**-form.bits
    sine = t * _polynomial(t * t, form.sine)
    across = r * sine
    along = r * xp.sqrt(1.0 - sine * sine)
    along = (along.view(unsigned) | (angle & unsigned(1 << (form.bits - 1)))).view(floating)
    swap = (angle & unsigned(1 << (form.bits - 2))) != 0
    return xp.where(swap, across, along), xp.where(swap, along, across)


def _polynomial(z: Array, coefficients: tuple[float, ...]) -> Array:
    """Horner's rule, from the highest power down."""
    value: Array = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * z + coefficient
    return value


# Whole results.


def random_bits(xp: Namespace, seed: Array, call: Array, size: int, *, chunk: int = CHUNK) -> Array:
    """uint32 of shape (size,), every bit 0 or 1 with equal probability.

    >>> import numpy as np
    >>> [f"{bits:08x}" for bits in random_bits(np, seed=0, call=0, size=4)]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    return _fill(xp, seed, call, size, xp.uint32, 4, lambda *words: words, chunk)


def random_words(xp: Namespace, seed: Array, call: Array, size: int, *, chunk: int = CHUNK) -> Array:
    """uint64 of shape (size,), every bit 0 or 1 with equal probability."""
    return _fill(xp, seed, call, size, xp.uint64, 2, _pairs, chunk)


def uniform_float32(xp: Namespace, seed: Array, call: Array, size: int, *, chunk: int = CHUNK) -> Array:
    """float32 of shape (size,), uniform over the multiples of 2**-24 in [0, 1).

    >>> import numpy as np
    >>> uniform_float32(np, seed=0, call=0, size=2).tolist()
    [0.3990464210510254, 0.8805201649665833]
    """

    def columns(*words: Array) -> Sequence[Array]:
        return [to_uniform_float32(xp, word) for word in words]

    return _fill(xp, seed, call, size, xp.float32, 4, columns, chunk)


def uniform_float64(xp: Namespace, seed: Array, call: Array, size: int, *, chunk: int = CHUNK) -> Array:
    """float64 of shape (size,), uniform over the multiples of 2**-53 in [0, 1)."""

    def columns(*words: Array) -> Sequence[Array]:
        return [to_uniform_float64(xp, word) for word in _pairs(*words)]

    return _fill(xp, seed, call, size, xp.float64, 2, columns, chunk)


def normal_float32(xp: Namespace, seed: Array, call: Array, size: int, *, chunk: int = CHUNK) -> Array:
    """float32 of shape (size,), standard normal, computed in float32: see ``to_normal_pair``."""

    def columns(a: Array, b: Array, c: Array, d: Array) -> Sequence[Array]:
        return [*to_normal_pair(xp, a, b, FLOAT32), *to_normal_pair(xp, c, d, FLOAT32)]

    return _fill(xp, seed, call, size, xp.float32, 4, columns, chunk)


def normal_float64(xp: Namespace, seed: Array, call: Array, size: int, *, chunk: int = CHUNK) -> Array:
    """float64 of shape (size,), standard normal: see ``to_normal_pair``."""

    def columns(*words: Array) -> Sequence[Array]:
        return to_normal_pair(xp, *_pairs(*words), FLOAT64)

    return _fill(xp, seed, call, size, xp.float64, 2, columns, chunk)


def bernoulli(xp: Namespace, seed: Array, call: Array, size: int, p: Array, *, chunk: int = CHUNK) -> Array:
    """bool of shape (size,), True with probability p: the 32-bit word is below T = round(2**32 p), halves to even.

    The probability is exactly T / 2**32: 0 and 1 are kept, the error is at most 2**-33, and a p of 2**-33 or less never
    comes true. p: a number in [0, 1], or a floating array of shape (size,) or () that holds such numbers.

    >>> import numpy as np
    >>> bernoulli(np, seed=0, call=0, size=4, p=0.5).tolist()
    [True, False, False, False]
    """
    if not isinstance(p, int | float):
        return random_bits(xp, seed, call, size, chunk=chunk).astype(xp.uint64) < to_threshold(xp, p)
    threshold = round(p * 2.0**32)
    return _fill(xp, seed, call, size, xp.bool_, 4, lambda *words: [word < threshold for word in words], chunk)


def integers(xp: Namespace, seed: Array, call: Array, size: int, low: int, high: int, *, chunk: int = CHUNK) -> Array:
    """int64 of shape (size,), uniform over low <= value < high, where -2**63 <= low < high <= 2**63.

    low plus the upper half of word * n, n = high - low, without the rejection that would make it exact (Lemire, "Fast
    random integer generation in an interval", 2019), since every element consumes one word. Up to n = 2**16 the word
    has 32 bits, above it 64: each value's probability is within 2**-32 or 2**-64 of 1 / n, so any event's is within
    n / 2**32 <= 2**-16 or n / 2**64 of what it should be. For a power of two it is exact.

    >>> import numpy as np
    >>> integers(np, seed=0, call=0, size=6, low=1, high=7).tolist()
    [3, 6, 5, 4, 6, 3]
    """
    n, offset = high - low, low & (2**64 - 1)
    short = n <= 2**16

    def columns(a: Array, b: Array, c: Array, d: Array) -> Sequence[Array]:
        if short:
            below = [to_below_32(word, n) for word in (a, b, c, d)]
        else:
            below = [to_below_64(a, b, n), to_below_64(c, d, n)]
        return [(value + xp.uint64(offset)).view(xp.int64) for value in below]

    return _fill(xp, seed, call, size, xp.int64, 4 if short else 2, columns, chunk)


def permutation(xp: Namespace, seed: Array, call: Array, size: int, *, chunk: int = CHUNK) -> Array:
    """0 ... size - 1 in random order, int64: the order that sorts `size` random 64-bit keys, equal keys by their index.

    Keys coincide, and then keep their order, with a probability below size**2 / 2**65.

    >>> import numpy as np
    >>> permutation(np, seed=0, call=0, size=6).tolist()
    [3, 5, 4, 2, 1, 0]
    """
    keys = random_words(xp, seed, call, size, chunk=chunk)
    return xp.argsort(keys, kind="stable").astype(xp.int64, copy=False)


def _pairs(a: Array, b: Array, c: Array, d: Array) -> tuple[Array, Array]:
    return word64(a, b), word64(c, d)


def _fill(
    xp: Namespace,
    seed: Array,
    call: Array,
    size: int,
    dtype: Any,
    width: int,
    columns: Callable[..., Sequence[Array]],
    chunk: int,
) -> Array:
    """Lay out in order what ``columns`` makes of the four lanes: `width` arrays, one for each place in a block."""
    blocks = -(-size // width)
    out = xp.empty((blocks, width), dtype=dtype)
    for first, count in _runs(blocks, chunk):
        for place, values in enumerate(columns(*lanes(xp, seed, call, first, count))):
            out[first : first + count, place] = values
    return out.reshape(-1)[:size]


def _runs(blocks: int, chunk: int) -> Iterator[tuple[int, int]]:
    """(first, count) of consecutive runs of at most `chunk` blocks that do not straddle a multiple of 2**32."""
    first = 0
    while first < blocks:
        count = min(chunk, blocks - first, 2**32 - (first & MASK))
        yield first, count
        first += count
