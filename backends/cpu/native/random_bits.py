"""Random draws: Philox4x32-10 on vectors of blocks, with the bits that the formulas have.

A vector holds one word of each of its blocks, in 64 bits, where a product of two words is exact. What is made of the
words takes no other operations than the formulas, in their order, and none is contracted: floats are equal bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import ceil, prod
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from autograd_core.compiler.ir import Equation
from autograd_core.ops.philox import FLOAT32, FLOAT64, KEY_STEPS, MASK, MULTIPLIERS, ROUNDS, FloatFormat
from autograd_core.ops.random import (
    random_bernoulli_p,
    random_bits_p,
    random_integers_p,
    random_normal_p,
    random_uniform_p,
)
from autograd_core.primitive import Primitive

from .emit import (
    F64,
    I8,
    I32,
    I64,
    Kernel,
    constant,
    element,
    first_lanes,
    i64,
    intrinsic,
    load,
    local,
    loop,
    masked_load,
    splat,
    store,
    suffix,
    type_of,
    vector,
)
from .engine import KernelSpec
from .located import Copies, Located, Lowered, Lowering, operands_in_order
from .machine import Machine

FORMATS: dict[np.dtype, FloatFormat] = {np.dtype(np.float32): FLOAT32, np.dtype(np.float64): FLOAT64}
SHORT = 2**16  # integers of so large a range are made of 32 bits
OPERATIONS = 120  # of the generator, for a block


class _Draw(NamedTuple):
    """What a block becomes. width: elements of a block; make: the elements, in order, of the words of the blocks.

    key: what determines the code besides shape and dtype.
    """

    width: int
    make: Callable[[_Blocks], ir.Value]
    key: tuple = ()


class _Blocks:
    """The words of some blocks: ``words`` are four vectors, the lane of each a block."""

    def __init__(self, builder: Kernel, words: Sequence[ir.Value], position: ir.Value, size: int):
        self.builder, self.words = builder, tuple(words)
        self.count: int = words[0].type.count
        self.position, self.size = position, size  # of the first element, and of the whole result

    def interleaved(self, *vectors: ir.Value) -> ir.Value:
        """Element 0 of each vector, element 1 of each, and so on; two or four vectors."""
        if len(vectors) == 4:
            a, b, c, d = vectors
            vectors = self.interleaved(a, c), self.interleaved(b, d)
        left, right = vectors
        lanes = left.type.count
        order = [half * lanes + lane for lane in range(lanes) for half in (0, 1)]
        return self.builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(I32, 2 * lanes), order))

    def pairs(self) -> tuple[ir.Value, ir.Value]:
        """The two words of 64 bits of each block."""
        b = self.builder
        a, c = self.words[::2]
        upper = [b.shl(word, constant(word.type, 32)) for word in self.words[1::2]]
        return b.or_(a, upper[0]), b.or_(c, upper[1])

    def bits32(self) -> ir.Value:
        """All words of 32 bits, in order. In memory the lower half of 64 bits comes first."""
        both = self.interleaved(*self.pairs())
        return self.builder.bitcast(both, ir.VectorType(I32, 2 * both.type.count))


def _words(builder: Kernel, key: ir.Value, blocks: ir.Value) -> list[ir.Value]:
    """Philox of these block numbers."""
    b, lanes = builder, blocks.type.count
    seed, call = (load(b, element(b, key, place, I64), I64) for place in (0, 1))

    def halves(number: ir.Value) -> tuple[ir.Value, ir.Value]:
        return b.and_(number, constant(number.type, MASK)), b.lshr(number, constant(number.type, 32))

    (k0, k1), (low, high) = halves(seed), halves(blocks)
    c0, c1, c2, c3 = low, high, *(splat(b, half, lanes) for half in halves(call))
    for _ in range(ROUNDS):
        p0, p1 = (b.mul(c, constant(c.type, factor)) for c, factor in zip((c0, c2), MULTIPLIERS, strict=True))
        (low0, high0), (low1, high1) = halves(p0), halves(p1)
        c0, c1 = b.xor(b.xor(high1, c1), splat(b, k0, lanes)), low1
        c2, c3 = b.xor(b.xor(high0, c3), splat(b, k1, lanes)), low0
        k0, k1 = (b.and_(b.add(k, i64(step)), i64(MASK)) for k, step in zip((k0, k1), KEY_STEPS, strict=True))
    return [c0, c1, c2, c3]


def _emit(builder: Kernel, machine: Machine, *, draw: _Draw, size: int, dtype: np.dtype) -> None:
    fill(builder, machine, builder.operands[-1], draw, size, dtype)


def fill(builder: Kernel, machine: Machine, result: ir.Value, draw: _Draw, size: int, dtype: np.dtype) -> None:
    """Draw with the key in the first operand. Threads share the vectors of blocks; what the last one has too much stays
    in a place of its own."""
    if not size:
        return
    kind, lanes = type_of(dtype), max(4, machine.vector_bytes // 8)
    each = lanes * draw.width
    rest = local(builder, vector(kind, each)) if size % each else None
    key = builder.operands[0]
    first, last = builder.share(ceil(size / each))
    steps = ir.Constant(ir.VectorType(I64, lanes), list(range(lanes)))
    with loop(builder, first, last) as number:
        blocks = builder.add(splat(builder, builder.mul(number, i64(lanes)), lanes), steps)
        position = builder.mul(number, i64(each))
        values = draw.make(_Blocks(builder, _words(builder, key, blocks), position, size))
        target = element(builder, result, position, kind)
        if rest is None:
            store(builder, values, target)
        else:
            whole = builder.icmp_signed("<=", builder.add(position, i64(each)), i64(size))
            _store_some(builder, values, target, whole, rest, size % each)


def _store_some(
    builder: Kernel, values: ir.Value, target: ir.Value, whole: ir.Value, rest: ir.Value, count: int
) -> None:
    """Store all values, or by way of ``rest`` the first ``count``."""
    kind = values.type.element
    with builder.if_else(whole, likely=True) as (then, otherwise):
        with then:
            store(builder, values, target)
        with otherwise:
            builder.store(values, rest)
            with loop(builder, 0, count) as place:
                value = load(builder, element(builder, rest, place, kind), kind)
                store(builder, value, element(builder, target, place, kind))


def _lowered(name: str, inputs: Sequence[Located], y: Located, draw: _Draw) -> Lowered | Copies:
    gaps = tuple(i for i, x in enumerate(inputs) if not x.contiguous)
    if gaps:
        return Copies(gaps)
    size = prod(y.shape)
    emit = partial(_emit, draw=draw, size=size, dtype=y.dtype)
    key = (name, size, y.dtype.name, *((x.shape, x.dtype.name) for x in inputs[1:]), *draw.key)
    flops = OPERATIONS * ceil(size / draw.width)
    spec = KernelSpec(name, key, len(inputs) + 1, emit, flops=flops, bytes=size * y.dtype.itemsize)
    return Lowered(spec, operands_in_order(len(inputs)))


# ------------------------------------------------------------------------------------------- bits and uniform numbers


def _random_bits(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    return _lowered("random_bits", inputs, outputs[0], _Draw(4, _Blocks.bits32))


WORD = _Draw(2, lambda blocks: blocks.interleaved(*blocks.pairs()))  # of 64 bits


def _uniform32(blocks: _Blocks) -> ir.Value:
    b, words = blocks.builder, blocks.bits32()
    floats = b.sitofp(b.lshr(words, constant(words.type, 8)), vector(type_of(np.float32), words.type.count))
    return b.fmul(floats, constant(floats.type, 2.0**-24))


def _uniform64(blocks: _Blocks) -> ir.Value:
    b, words = blocks.builder, blocks.interleaved(*blocks.pairs())
    floats = b.sitofp(b.lshr(words, constant(words.type, 11)), vector(F64, words.type.count))
    return b.fmul(floats, constant(floats.type, 2.0**-53))


def _random_uniform(
    equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]
) -> Lowered | Copies | None:
    single = outputs[0].dtype == np.float32
    draw = _Draw(4, _uniform32) if single else _Draw(2, _uniform64)
    return _lowered("random_uniform", inputs, outputs[0], draw)


# ------------------------------------------------------------------------------------------- booleans


def _bernoulli(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    p = inputs[1]
    if p.dtype not in FORMATS:
        return None
    return _lowered("random_bernoulli", inputs, outputs[0], _Draw(4, partial(_below, p=p)))


def _below(blocks: _Blocks, p: Located) -> ir.Value:
    """Which words are below 2**32 p, rounded to a whole number."""
    b, words, kind = blocks.builder, blocks.bits32(), type_of(p.dtype)
    lanes = words.type.count
    if not p.shape:
        threshold = _threshold(b, load(b, b.operands[1], kind))
        # in 32 bits: word <= threshold - 1, which holds for no word if the threshold is 0
        some = splat(b, b.icmp_signed(">", threshold, i64(0)), lanes)
        bound = splat(b, b.trunc(b.sub(threshold, i64(1)), I32), lanes)
        found = b.and_(b.icmp_unsigned("<=", words, bound), some)
    else:
        address = element(b, b.operands[1], blocks.position, kind)
        exist = first_lanes(b, b.sub(i64(blocks.size), blocks.position), lanes)
        thresholds = _threshold(b, masked_load(b, address, exist, vector(kind, lanes)))
        found = b.icmp_unsigned("<", b.zext(words, thresholds.type), thresholds)
    return b.zext(found, vector(I8, lanes))


def _threshold(b: Kernel, p: ir.Value) -> ir.Value:
    lanes = p.type.count if isinstance(p.type, ir.VectorType) else 1
    wide = vector(F64, lanes)
    p = p if p.type == wide else b.fpext(p, wide)
    scaled = b.fmul(p, constant(wide, 2.0**32))
    return b.fptosi(intrinsic(b, f"llvm.rint.{suffix(wide)}", wide, [scaled]), vector(I64, lanes))


# ------------------------------------------------------------------------------------------- normal numbers


def _random_normal(
    equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]
) -> Lowered | Copies | None:
    single = outputs[0].dtype == np.float32
    draw = _Draw(4, _normal32) if single else _Draw(2, _normal64)
    return _lowered("random_normal", inputs, outputs[0], draw)


def _normal32(blocks: _Blocks) -> ir.Value:
    b, lanes = blocks.builder, blocks.count
    short = ir.VectorType(I32, lanes)
    a, angle_a, c, angle_c = (b.trunc(word, short) for word in blocks.words)
    side_by_side = ir.Constant(ir.VectorType(I32, 2 * lanes), list(range(2 * lanes)))
    radius, angle = b.shuffle_vector(a, c, side_by_side), b.shuffle_vector(angle_a, angle_c, side_by_side)
    first, second = _normal_pair(b, radius, angle, FLOAT32)
    order = [part * lanes + lane for lane in range(lanes) for part in (0, 2, 1, 3)]
    return b.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, 4 * lanes), order))


def _normal64(blocks: _Blocks) -> ir.Value:
    return blocks.interleaved(*_normal_pair(blocks.builder, *blocks.pairs(), FLOAT64))


def _normal_pair(b: Kernel, radius: ir.Value, angle: ir.Value, form: FloatFormat) -> tuple[ir.Value, ir.Value]:
    """``philox.to_normal_pair``, step by step."""
    whole, floating = radius.type, vector(type_of(form.floating), radius.type.count)

    def number(value: float) -> ir.Constant:
        return constant(floating, value)

    def bits(value: int) -> ir.Constant:
        return constant(whole, value - (1 << form.bits) if value >> (form.bits - 1) else value)

    def polynomial(z: ir.Value, coefficients: Sequence[float]) -> ir.Value:
        value: ir.Value = number(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            value = b.fadd(b.fmul(value, z), number(coefficient))
        return value

    def root(x: ir.Value) -> ir.Value:
        return intrinsic(b, f"llvm.sqrt.{suffix(floating)}", floating, [x])

    w = b.fmul(b.fadd(b.sitofp(radius, floating), number(0.5)), number(2.0**-form.bits))
    pattern = b.bitcast(w, whole)
    lower_half = b.icmp_signed(">=", pattern, bits(0))
    fraction = b.and_(pattern, bits((1 << form.fraction_bits) - 1))
    exponent = b.sub(b.ashr(pattern, bits(form.fraction_bits)), bits(form.one_half >> form.fraction_bits))
    exponent = b.sitofp(b.select(lower_half, exponent, bits(0)), floating)
    near = b.fsub(b.bitcast(b.or_(fraction, bits(form.one_half)), floating), number(1.0))
    f = b.select(lower_half, near, w)
    s = b.fdiv(f, b.fadd(f, number(2.0)))
    z = b.fmul(s, s)
    log = b.fmul(s, b.fsub(b.fmul(z, polynomial(z, form.log1p)), number(4.0)))
    r = root(b.fadd(b.fmul(exponent, number(form.minus_2_ln_2)), log))
    turn = b.or_(b.shl(angle, bits(2)), bits(2))
    t = b.fmul(b.sitofp(turn, floating), number(2.0**-form.bits))
    sine = b.fmul(t, polynomial(b.fmul(t, t), form.sine))
    across = b.fmul(r, sine)
    along = b.fmul(r, root(b.fsub(number(1.0), b.fmul(sine, sine))))
    sign = b.and_(angle, bits(1 << (form.bits - 1)))
    along = b.bitcast(b.or_(b.bitcast(along, whole), sign), floating)
    swap = b.icmp_unsigned("!=", b.and_(angle, bits(1 << (form.bits - 2))), bits(0))
    return b.select(swap, across, along), b.select(swap, along, across)


# ------------------------------------------------------------------------------------------- integers


def _random_integers(
    equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]
) -> Lowered | Copies | None:
    low, high = equation.params["low"], equation.params["high"]
    short = high - low <= SHORT
    make = partial(_integers, low=low, count=high - low)
    return _lowered("random_integers", inputs, outputs[0], _Draw(4 if short else 2, make, (low, high)))


def _integers(blocks: _Blocks, low: int, count: int) -> ir.Value:
    """low plus the upper half of the product of a word with how many integers there are."""
    b, words = blocks.builder, blocks.words
    kind = words[0].type

    def number(value: int) -> ir.Constant:
        return constant(kind, value)

    def upper(value: ir.Value) -> ir.Value:
        return b.lshr(value, number(32))

    def long(under: ir.Value, over: ir.Value) -> ir.Value:
        few, many = number(count & MASK), number(count >> 32)
        crossed = b.mul(under, many), b.mul(over, few)
        carry = upper(b.mul(under, few))
        for product in crossed:
            carry = b.add(carry, b.and_(product, number(MASK)))
        total = b.mul(over, many)
        for product in (*crossed, carry):
            total = b.add(total, upper(product))
        return total

    if count <= SHORT:
        below = [upper(b.mul(word, number(count))) for word in words]
    else:
        below = [long(*words[:2]), long(*words[2:])]
    return blocks.interleaved(*(b.add(value, number(low)) for value in below))


LOWERINGS: dict[Primitive, Lowering] = {
    random_bits_p: _random_bits,
    random_uniform_p: _random_uniform,
    random_normal_p: _random_normal,
    random_bernoulli_p: _bernoulli,
    random_integers_p: _random_integers,
}
