"""Attention and its gradients: scores, softmax and weighted sums of one block of queries stay in a thread's cache.

Threads share the blocks (forward) or the matrices (backward, where all blocks add to the same gradients). Keys and
values are transposed once a matrix; everything else is read where it lies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf, prod

from llvmlite import ir

from autograd_core.compiler.ir import Equation
from autograd_core.ops.attention import attention_p, attention_vjp_p
from autograd_core.primitive import Primitive

from ..elementary.float_arithmetic import Arithmetic
from ..elementary.logarithms import log
from ..emit import I64, Kernel, constant, element, i64, load, local, loop, splat, store, vector
from ..engine import KernelSpec
from ..indexing.strided import coordinates, runs
from ..located import Copies, Located, Lowered, Lowering, operands_in_order
from ..machine import WORKERS, Machine
from ..products.packing import load_first, store_first
from ..products.small_product import Factor
from .block import Attention, Problem, each_block, key_of, problem_of, workspace

# ------------------------------------------------------------------------------------------- forward


def _attention(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    problem = problem_of(equation.params["has"], inputs, equation.params)
    if not isinstance(problem, Problem):
        return problem
    part = sum(workspace(problem).values())
    flops = 2 * problem.matrices * problem.rows * problem.keys * (problem.features + problem.width)
    emit = partial(_emit_forward, problem=problem)
    spec = KernelSpec(
        "attention",
        key_of("attention", inputs, equation.params),
        len(inputs) + 2,
        emit,
        WORKERS * part,
        flops,
        sum(prod(x.shape) * x.dtype.itemsize for x in (*inputs, *outputs)),
        parts=WORKERS,
        part=part,
    )
    return Lowered(spec, operands_in_order(len(inputs), 2))


def _emit_forward(builder: Kernel, machine: Machine, *, problem: Problem) -> None:
    p, given = problem, len(problem.operands)
    run = Attention(builder, machine, p, {"y": given, "log": given + 1})
    blocks = -(-p.rows // p.block)
    packed = local(builder, I64, i64(-1))
    first, last = run.builder.share(p.matrices * blocks, most=WORKERS)
    with loop(builder, first, last) as job:
        matrix, block = coordinates(builder, job, (p.matrices, blocks)) if blocks > 1 else (job, i64(0))
        run.enter(matrix)
        with builder.if_then(builder.icmp_signed("!=", matrix, builder.load(packed, typ=I64))):
            run.pack("k", p.features)
            builder.store(matrix, packed)
        each_block(run, (matrix, block), lambda start, rows: _forward_block(run, start, rows))


def _forward_block(run: Attention, start: ir.Value, rows: int) -> None:
    b, p = run.builder, run.problem
    run.scores(start, rows)
    with loop(b, 0, rows) as row:
        _softmax(run, row, b.add(row, start))
    for place, width in runs(b, run.lanes, rows):  # the logarithms, and what to multiply with
        kind = vector(run.kind, width)
        total, top = (load(b, run.of_row(name, place), kind) for name in ("total", "top"))
        place_of_log = element(b, run.pointers["log"], b.add(start, place), run.kind)
        store(b, b.fadd(log(Arithmetic(b, kind), total), top), place_of_log)
        store(b, b.fdiv(constant(kind, 1.0), total), run.of_row("total", place))

    def finish(b: Kernel, row: ir.Value, column: ir.Value, count: int, value: ir.Value) -> None:
        inverse = splat(b, load(b, run.of_row("total", row), run.kind), run.lanes)
        position = b.add(b.mul(b.add(row, start), i64(p.width)), column)
        store_first(b, b.fmul(value, inverse), element(b, run.pointers["y"], position, run.kind), count)

    weights = Factor(run.work["scores"], run.stride)
    run.multiply((rows, p.width, run.keys), weights, run.factor("v"), finish)


def _softmax(run: Attention, row: ir.Value, query: ir.Value) -> None:
    """Scores of a row become e^(score - top); its top and their sum are noted."""
    b, p = run.builder, run.problem
    best, sums = local(b, run.register), local(b, run.register)

    def find(column: ir.Value, count: int) -> None:
        value = load(b, run.at("scores", row, column), run.register)
        b.store(run.larger(value, b.load(best, typ=run.register)), best)

    b.store(constant(run.register, -inf), best)
    run.each_register(find)
    top = run.over_lanes(run.larger, b.load(best, typ=run.register))
    top = b.select(b.fcmp_ordered("==", top, constant(run.kind, -inf)), constant(run.kind, 0.0), top)
    low = splat(b, top, run.lanes)
    b.store(constant(run.register, 0.0), sums)

    def raise_(column: ir.Value, count: int) -> None:
        place = run.at("scores", row, column)
        weight = run.raised(b.fsub(load(b, place, run.register), low))
        b.store(b.fadd(b.load(sums, typ=run.register), weight), sums)
        if "keep" in p.operands:
            weight = b.fmul(weight, run.kept(query, column, count))
        store(b, weight, place)

    run.each_register(raise_)
    total = run.over_lanes(b.fadd, b.load(sums, typ=run.register))
    total = b.select(b.fcmp_ordered("==", total, constant(run.kind, 0.0)), constant(run.kind, 1.0), total)
    store(b, total, run.of_row("total", row))
    store(b, top, run.of_row("top", row))


# ------------------------------------------------------------------------------------------- backward


def _attention_vjp(
    equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]
) -> Lowered | Copies | None:
    params = equation.params
    wanted = params["wanted"]
    problem = problem_of(("g", "y", "sums", *params["has"]), inputs, params)
    if not isinstance(problem, Problem) or "mask" in wanted:
        return problem if isinstance(problem, Copies) else None
    part = sum(workspace(problem).values())
    flops = 2 * problem.matrices * problem.rows * problem.keys * (3 * problem.features + 2 * problem.width)
    emit = partial(_emit_backward, problem=problem, wanted=wanted)
    spec = KernelSpec(
        "attention_vjp",
        key_of("attention_vjp", inputs, params),
        len(inputs) + len(outputs),
        emit,
        WORKERS * part,
        flops,
        sum(prod(x.shape) * x.dtype.itemsize for x in (*inputs, *outputs)),
        parts=WORKERS,
        part=part,
    )
    return Lowered(spec, operands_in_order(len(inputs), len(outputs)))


def _emit_backward(builder: Kernel, machine: Machine, *, problem: Problem, wanted: Sequence[str]) -> None:
    p, given = problem, len(problem.operands)
    run = Attention(builder, machine, p, {f"d{name}": given + i for i, name in enumerate(wanted)})
    blocks = -(-p.rows // p.block)
    first, last = run.builder.share(p.matrices, most=WORKERS)
    with loop(builder, first, last) as matrix:
        run.enter(matrix)
        run.pack("k", p.features)
        run.pack("v", p.width)
        if blocks == 1 and not p.some_unseen:
            _backward_block(run, i64(0), p.rows, added=False)
        else:
            _backward_blocks(run, matrix, blocks)


def _backward_blocks(run: Attention, matrix: ir.Value, blocks: int) -> None:
    """Of keys and values every block adds its part of the gradient."""
    builder, p = run.builder, run.problem
    for name, columns in (("dk", p.features), ("dv", p.width)):
        if name in run.results:
            for place, width in runs(builder, run.lanes, p.keys * columns):
                zero = constant(vector(run.kind, width), 0.0)
                store(builder, zero, element(builder, run.pointers[name], place, run.kind))
    with loop(builder, 0, blocks) as block:
        each_block(run, (matrix, block), lambda start, rows: _backward_block(run, start, rows, added=True))


def _backward_block(run: Attention, start: ir.Value, rows: int, *, added: bool) -> None:
    b, p = run.builder, run.problem
    run.scores(start, rows)

    def keep(b: Kernel, row: ir.Value, column: ir.Value, count: int, value: ir.Value) -> None:
        store(b, value, run.at("slopes", row, column))

    grads, values = run.factor("g", start), run.turned("v")
    run.multiply((rows, p.keys, p.width), grads, values, keep, padded=True, columns_needed=run.seen)
    with loop(b, 0, rows) as row:
        _slopes(run, row, b.add(row, start))

    def into(name: str, columns: int, scale: float, first: ir.Value | None, adds: bool) -> Callable[..., None]:
        def finish(b: Kernel, row: ir.Value, column: ir.Value, count: int, value: ir.Value) -> None:
            if first is None and run.seen is not None:  # what is beyond was not computed
                seen = splat(b, b.icmp_signed("<", row, run.seen), run.lanes)
                value = b.select(seen, value, constant(run.register, 0.0))
            row = row if first is None else b.add(row, first)
            place = element(b, run.pointers[name], b.add(b.mul(row, i64(columns)), column), run.kind)
            if scale != 1:
                value = b.fmul(value, constant(run.register, scale))
            if adds:
                value = b.fadd(value, load_first(b, place, count, run.register))
            store_first(b, value, place, count)

        return finish

    weights, slopes = (Factor(run.work[name], run.stride) for name in ("scores", "slopes"))
    products = (
        ("dv", (p.keys, p.width, rows), weights.transposed, run.factor("g", start), 1.0, None, added),
        ("dk", (p.keys, p.features, rows), slopes.transposed, run.factor("q", start), p.scale, None, added),
        ("dq", (rows, p.features, run.keys), slopes, run.factor("k"), p.scale, start, False),
    )
    for name, shape, left, right, scale, first, adds in products:
        if name in run.results:
            finish = into(name, shape[1], scale, first, adds)
            run.multiply(shape, left, right, finish, rows_needed=None if name == "dq" else run.seen)


def _slopes(run: Attention, row: ir.Value, query: ir.Value) -> None:
    """Of a row: scores become weights, and the weights' cotangents those of the scores."""
    b, p = run.builder, run.problem
    inner = splat(b, _inner(run, query), run.lanes)
    position = b.mul(query, i64(p.operands["sums"].strides[-1]))
    log = splat(b, load(b, element(b, run.pointers["sums"], position, run.kind), run.kind), run.lanes)

    def body(column: ir.Value, count: int) -> None:
        place, other = run.at("scores", row, column), run.at("slopes", row, column)
        weight = run.raised(b.fsub(load(b, place, run.register), log))
        slope = load(b, other, run.register)
        kept = weight
        if "keep" in p.operands:
            factor = run.kept(query, column, count)
            kept, slope = b.fmul(weight, factor), b.fmul(slope, factor)
        store(b, kept, place)
        store(b, b.fmul(b.fsub(slope, inner), weight), other)

    run.each_register(body)


def _inner(run: Attention, query: ir.Value) -> ir.Value:
    """The product of a row of the output with its cotangent."""
    b, p = run.builder, run.problem
    rows = [
        element(b, run.pointers[name], b.mul(query, i64(p.operands[name].strides[-2])), run.kind) for name in ("g", "y")
    ]
    sums = local(b, run.register)
    b.store(constant(run.register, 0.0), sums)
    whole, rest = divmod(p.width, run.lanes)

    def add(column: ir.Value, count: int) -> None:
        g, y = (load_first(b, element(b, row, column, run.kind), count, run.register) for row in rows)
        b.store(b.fadd(b.load(sums, typ=run.register), b.fmul(g, y)), sums)

    with loop(b, 0, whole * run.lanes, run.lanes) as column:
        add(column, run.lanes)
    if rest:
        add(i64(whole * run.lanes), rest)
    return run.over_lanes(b.fadd, b.load(sums, typ=run.register))


LOWERINGS: dict[Primitive, Lowering] = {attention_p: _attention, attention_vjp_p: _attention_vjp}
