"""Register tiles in LLVM IR: the innermost loops of convolution, which no compiler makes from plain loops.

A tile of ROWS x (columns * lanes) sums stays in vector registers while one loop runs over the summed index; loads and
multiply-adds are all that is left in it. ROWS and COLUMNS fill the machine's registers: 8 x 3 accumulators, 3 operands
and a broadcast of 32; or 4 x 3 of 16.

Operands are flat arrays and start positions, in elements. Second operands are read at ``offsets``: a tap of a
convolution is the same input from another start, so nothing is copied for it.

Numba's cache knows a kernel by its own file: after a change here, touch the files that import it.
"""

# Numba gives intrinsics their types.
# mypy: allow-untyped-defs

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = get_host_cpu_features()
VECTOR_BYTES = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx") else 16
ROWS = 8 if _FEATURES.get("avx512f") or _FEATURES.get("neon") else 4
COLUMNS = 3
DOT_TILE = -(-ROWS * COLUMNS // 16) * 16  # elements, in whole vectors of any type

_INDEX = ir.IntType(64)
_LANE = ir.IntType(32)
_FUSED = ("contract",)  # one rounding for a product and its sum, where the machine has the instruction


class _Emitter:
    """The few IR idioms that both tiles are written in, for one element type."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any):
        self.context, self.builder, self.signature, self.arguments = context, builder, signature, arguments
        double = signature.args[0].dtype == types.float64
        self.bytes = 8 if double else 4
        self.lanes = VECTOR_BYTES // self.bytes
        self.vector = ir.VectorType(ir.DoubleType() if double else ir.FloatType(), self.lanes)

    def pointer(self, i: int, start: Any = None) -> Any:
        """To the elements of argument ``i``, an array, from ``start`` on."""
        array = self.context.make_array(self.signature.args[i])(self.context, self.builder, self.arguments[i])
        return array.data if start is None else self.builder.gep(array.data, [start])

    def at(self, pointer: Any, *steps: Any) -> Any:
        for step in steps:
            pointer = self.builder.gep(pointer, [_INDEX(step) if isinstance(step, int) else step])
        return pointer

    def scaled(self, step: Any, times: int) -> Any:
        return self.builder.mul(step, _INDEX(times))

    def load(self, pointer: Any) -> Any:
        return self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.bytes)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.bytes)

    def splat(self, scalar: Any) -> Any:
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, _LANE(0))
        return self.shuffle(first, [0] * self.lanes)

    def shuffle(self, value: Any, order: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(_LANE, self.lanes), order)
        return self.builder.shuffle_vector(value, ir.Constant(self.vector, ir.Undefined), mask)

    def multiply_add(self, a: Any, b: Any, total: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(a, b, flags=_FUSED), total, flags=_FUSED)

    def sums_of_lanes(self, values: list[Any]) -> Any:
        """A vector that begins with the sum of each of ``values``; there are 2, 4, ... up to ``lanes`` of them.

        Two vectors become one of half sums, by a level of a tree: far fewer steps than summing one by one.
        """
        half, share = self.lanes // 2, self.lanes // len(values)
        while len(values) > 1:
            pairs = zip(values[: len(values) // 2], values[len(values) // 2 :])
            values = [self.joined_halves(a, b, half) for a, b in pairs]
            half //= 2
        (value,) = values
        while half:
            value = self.builder.fadd(value, self.shuffle(value, [i ^ half for i in range(self.lanes)]))
            half //= 2
        return self.shuffle(value, [i * share % self.lanes for i in range(self.lanes)])

    def joined_halves(self, a: Any, b: Any, half: int) -> Any:
        """In each block of 2 half lanes: the sum of the block's halves in a, then that in b."""
        firsts = [i % half + i // (2 * half) * 2 * half + (i // half % 2) * self.lanes for i in range(self.lanes)]
        seconds = [i + half for i in firsts]
        masks = [ir.Constant(ir.VectorType(_LANE, self.lanes), order) for order in (firsts, seconds)]
        return self.builder.fadd(*(self.builder.shuffle_vector(a, b, mask) for mask in masks))

    def exchanged(self, a: Any, b: Any, half: int) -> tuple[Any, Any]:
        """a and b, each block of a that has the bit ``half`` in its position exchanged with one of b that has not."""
        upper = [i if not i & half else (i ^ half) + self.lanes for i in range(self.lanes)]
        lower = [i + self.lanes if i & half else i | half for i in range(self.lanes)]
        masks = [ir.Constant(ir.VectorType(_LANE, self.lanes), order) for order in (upper, lower)]
        return self.builder.shuffle_vector(a, b, masks[0]), self.builder.shuffle_vector(a, b, masks[1])

    def loop(self, count: Any, step: int, state: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """``for i in range(0, count, step): state = body(i, state)``, with the state in registers."""
        builder, before = self.builder, self.builder.block
        head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        i = builder.phi(_INDEX)
        i.add_incoming(_INDEX(0), before)
        carried = [builder.phi(value.type) for value in state]
        for phi, value in zip(carried, state):
            phi.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", i, count), inside, after)
        builder.position_at_end(inside)
        following = body(i, carried)
        end = builder.block
        i.add_incoming(builder.add(i, _INDEX(step)), end)
        for phi, value in zip(carried, following):
            phi.add_incoming(value, end)
        builder.branch(head)
        builder.position_at_end(after)
        return carried


def _product_tile(columns: int) -> Any:
    @intrinsic
    def tile(
        typing_context, y, y_start, y_step, a, a_start, a_row, a_step, b, b_start, offsets, count, bias, bias_start
    ):
        index = types.intp
        signature = types.void(y, index, index, a, index, index, index, b, index, offsets, index, bias, index)

        def generate(context, builder, signature, arguments):
            emit = _Emitter(context, builder, signature, arguments)
            _, y_start, y_step, _, a_start, a_row, a_step, _, b_start, _, count, _, bias_start = arguments
            y, a, b = emit.pointer(0, y_start), emit.pointer(3, a_start), emit.pointer(7, b_start)
            offsets, bias = emit.pointer(9), emit.pointer(11, bias_start)
            rows = [emit.at(a, emit.scaled(a_row, r)) for r in range(ROWS)]

            def body(k: Any, sums: list[Any]) -> list[Any]:
                source = emit.at(b, builder.load(emit.at(offsets, k)))
                row = [emit.load(emit.at(source, j * emit.lanes)) for j in range(columns)]
                step = builder.mul(k, a_step)
                result = []
                for r in range(ROWS):
                    factor = emit.splat(builder.load(emit.at(rows[r], step)))
                    result += [emit.multiply_add(factor, row[j], sums[r * columns + j]) for j in range(columns)]
                return result

            start = [emit.splat(builder.load(emit.at(bias, r))) for r in range(ROWS)]
            sums = emit.loop(count, 1, [v for v in start for _ in range(columns)], body)
            for r in range(ROWS):
                for j in range(columns):
                    emit.store(sums[r * columns + j], emit.at(y, emit.scaled(y_step, r), j * emit.lanes))
            return context.get_dummy_value()

        return signature, generate

    return tile


@intrinsic
def transpose_tile(typing_context, y, y_start, y_step, x, x_start, x_step):
    """y[i y_step + j] = x[j x_step + i] for i, j < lanes: rows copied as columns, whole vectors at a time."""
    index = types.intp
    signature = types.void(y, index, index, x, index, index)

    def generate(context, builder, signature, arguments):
        emit = _Emitter(context, builder, signature, arguments)
        _, y_start, y_step, _, x_start, x_step = arguments
        y, x = emit.pointer(0, y_start), emit.pointer(3, x_start)
        lines = [emit.load(emit.at(x, emit.scaled(x_step, j))) for j in range(emit.lanes)]
        half = emit.lanes // 2
        while half:  # blocks of half x half change places across the diagonal
            for j in (j for j in range(emit.lanes) if not j & half):
                lines[j], lines[j | half] = emit.exchanged(lines[j], lines[j | half], half)
            half //= 2
        for i, line in enumerate(lines):
            emit.store(line, emit.at(y, emit.scaled(y_step, i)))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def copy_run(typing_context, y, y_start, x, x_start, count):
    """y[y_start + i] = x[x_start + i] for i < count, without overlap; a loop over indices would test their signs."""
    signature = types.void(y, types.intp, x, types.intp, types.intp)

    def generate(context, builder, signature, arguments):
        emit = _Emitter(context, builder, signature, arguments)
        _, y_start, _, x_start, count = arguments
        cgutils.raw_memcpy(builder, emit.pointer(0, y_start), emit.pointer(2, x_start), count, emit.bytes)
        return context.get_dummy_value()

    return signature, generate


# y[r, p] = bias[r] + sum over k < count of a[r a_row + k a_step] b[offsets[k] + p],
# for r < ROWS and p < (1, 2 or 3) * lanes; y_step is from one row of y to the next
product_tile_1, product_tile_2, product_tile_3 = map(_product_tile, (1, 2, 3))


@intrinsic
def dot_tile(typing_context, y, y_start, a, a_start, a_row, a_unit, b, b_unit, offsets, first, units, length):
    """y[r COLUMNS + j] += sum over u, p of a[r a_row + u a_unit + p] b[offsets[first + j] + u b_unit + p],

    for u < units, p < length, r < ROWS, j < COLUMNS. y is a block of DOT_TILE elements; ``length`` in whole vectors.
    """
    index = types.intp
    signature = types.void(y, index, a, index, index, index, b, index, offsets, index, index, index)

    def generate(context, builder, signature, arguments):
        emit = _Emitter(context, builder, signature, arguments)
        _, y_start, _, a_start, a_row, a_unit, _, b_unit, _, first, units, length = arguments
        y, a = emit.pointer(0, y_start), emit.pointer(2, a_start)
        b, offsets = emit.pointer(6), emit.pointer(8, first)
        starts = [emit.at(b, builder.load(emit.at(offsets, j))) for j in range(COLUMNS)]
        zero = ir.Constant(emit.vector, None)

        def unit(u: Any, sums: list[Any]) -> list[Any]:
            lefts = [emit.at(a, builder.mul(u, a_unit), emit.scaled(a_row, r)) for r in range(ROWS)]
            rights = [emit.at(start, builder.mul(u, b_unit)) for start in starts]

            def body(p: Any, sums: list[Any]) -> list[Any]:
                columns = [emit.load(emit.at(right, p)) for right in rights]
                result = []
                for r in range(ROWS):
                    left = emit.load(emit.at(lefts[r], p))
                    result += [emit.multiply_add(left, columns[j], sums[r * COLUMNS + j]) for j in range(COLUMNS)]
                return result

            return emit.loop(length, emit.lanes, sums, body)

        sums = emit.loop(units, 1, [zero] * (ROWS * COLUMNS), unit)
        for i in range(0, len(sums), emit.lanes):
            target = emit.at(y, i)
            emit.store(builder.fadd(emit.load(target), emit.sums_of_lanes(sums[i : i + emit.lanes])), target)
        return context.get_dummy_value()

    return signature, generate
