"""What every kernel's code is written with: loops, vectors, and the team of threads that runs it.

A kernel is a function ``void(ptr operand0, ..., ptr scratch, ptr team)`` that all threads of a team run at once, each
on its share of the work. ``scratch`` is one workspace for the whole team. Where one phase of a kernel reads what other
threads wrote in the phase before, stands a ``barrier``; between kernels the program puts one.

Each thread has a struct {i64 index, i64 size, ptr shared}; ``shared`` points to one struct for the whole team, {i64
arrived, i64 generation, i64 error}, each on a cache line of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
F32, F64 = ir.FloatType(), ir.DoubleType()
POINTER = ir.PointerType()
VOID = ir.VoidType()

CACHE_LINE = 64
TEAM = ir.LiteralStructType([I64, I64, POINTER])
SHARED_BYTES = 3 * CACHE_LINE
GENERATION, ERROR = CACHE_LINE, 2 * CACHE_LINE  # offsets in the shared struct; the count of arrivals is at 0
SPINS_BEFORE_YIELD = 1000

TYPES: dict[str, ir.Type] = {
    "float32": F32,
    "float64": F64,
    "bool": I8,
    **{f"{sign}int{bits}": ir.IntType(bits) for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def type_of(dtype: Any) -> ir.Type:
    """The type that an array's element has in memory; KeyError for a dtype that kernels do not compute with."""
    return TYPES[np.dtype(dtype).name]


def i64(value: int) -> ir.Constant:
    return ir.Constant(I64, value)


def vector(element: ir.Type, lanes: int) -> ir.Type:
    """``element`` itself for one lane."""
    return element if lanes == 1 else ir.VectorType(element, lanes)


def constant(kind: ir.Type, value: Any) -> ir.Constant:
    """A constant of a scalar or vector type; in every lane the same."""
    if isinstance(kind, ir.VectorType):
        return ir.Constant(kind, [ir.Constant(kind.element, value)] * kind.count)
    return ir.Constant(kind, value)


def splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """The scalar in every lane."""
    if lanes == 1:
        return value
    kind = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


def intrinsic(builder: ir.IRBuilder, name: str, result: ir.Type, args: Sequence[ir.Value]) -> ir.Value:
    """Call the LLVM intrinsic of that full name (``llvm.sqrt.v16f32``), declaring it if needed."""
    module = builder.module
    function = module.globals.get(name)
    if function is None:
        function = ir.Function(module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def rounded_up(count: int, multiple: int) -> int:
    """The smallest multiple that is not less than ``count``."""
    return -(-count // multiple) * multiple


def suffix(kind: ir.Type) -> str:
    """How intrinsics' names spell a type: f32, v16f32, i64 ..."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{suffix(kind.element)}"
    if isinstance(kind, ir.IntType):
        return f"i{kind.width}"
    return "f32" if isinstance(kind, ir.FloatType) else "f64"


def fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """a * b + c: in one instruction where the machine has one."""
    return intrinsic(builder, f"llvm.fmuladd.{suffix(a.type)}", a.type, [a, b, c])


# ------------------------------------------------------------------------------------ memory


def element(builder: ir.IRBuilder, pointer: ir.Value, index: ir.Value | int, kind: ir.Type) -> ir.Value:
    """The address of element ``index`` of an array of ``kind``."""
    return builder.gep(pointer, [i64(index) if isinstance(index, int) else index], source_etype=kind)


def load(builder: ir.IRBuilder, pointer: ir.Value, kind: ir.Type) -> ir.Value:
    """A scalar, or a vector from addresses that are aligned only as its elements are."""
    value = builder.load(pointer, typ=kind)
    value.align = _element_bytes(kind)
    return value


def store(builder: ir.IRBuilder, value: ir.Value, pointer: ir.Value) -> None:
    builder.store(value, pointer, align=_element_bytes(value.type))


def masked_load(builder: ir.IRBuilder, pointer: ir.Value, mask: ir.Value, kind: ir.VectorType) -> ir.Value:
    """Lanes where the mask (<n x i1>) is set; 0 in the others, whose addresses are not touched."""
    args = [pointer, mask, constant(kind, 0)]
    return intrinsic(builder, f"llvm.masked.load.{suffix(kind)}.p0", kind, args)


def masked_store(builder: ir.IRBuilder, value: ir.Value, pointer: ir.Value, mask: ir.Value) -> None:
    intrinsic(builder, f"llvm.masked.store.{suffix(value.type)}.p0", VOID, [value, pointer, mask])


def first_lanes(builder: ir.IRBuilder, count: ir.Value, lanes: int) -> ir.Value:
    """The mask of the first ``count`` (i64) of ``lanes`` lanes."""
    steps = ir.Constant(ir.VectorType(I64, lanes), list(range(lanes)))
    return builder.icmp_signed("<", steps, splat(builder, count, lanes))


def _element_bytes(kind: ir.Type) -> int:
    scalar = kind.element if isinstance(kind, ir.VectorType) else kind
    if isinstance(scalar, ir.IntType):
        return max(1, scalar.width // 8)
    return {"float": 4, "double": 8}.get(str(scalar), 8)


# ------------------------------------------------------------------------------------ control


@contextmanager
def loop(builder: ir.IRBuilder, start: ir.Value | int, stop: ir.Value | int, step: int = 1) -> Iterator[ir.Value]:
    """``for index in range(start, stop, step)`` with i64 bounds; the body is what is emitted inside.

    Values carried from one round to the next live in ``local`` variables, which LLVM turns into registers.
    """
    start, stop = (i64(bound) if isinstance(bound, int) else bound for bound in (start, stop))
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("loop.head", "loop.body", "loop.end"))
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(I64)
    index.add_incoming(start, before)
    builder.cbranch(builder.icmp_signed("<", index, stop), body, after)
    builder.position_at_end(body)
    yield index
    following = builder.add(index, i64(step))
    index.add_incoming(following, builder.block)
    builder.branch(head)
    builder.position_at_end(after)


def local(builder: ir.IRBuilder, kind: ir.Type, initial: ir.Value | None = None) -> ir.Value:
    """A variable of the function: ``builder.load(v, typ=kind)``, ``builder.store(value, v)``."""
    with builder.goto_entry_block():
        place = builder.alloca(kind)
    if initial is not None:
        builder.store(initial, place)
    return place


def smaller(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """The smaller of two i64."""
    return builder.select(builder.icmp_signed("<", a, b), a, b)


# ------------------------------------------------------------------------------------ the team


class Kernel(ir.IRBuilder):
    """The builder of one kernel's function, positioned at its start: ``operands``, ``scratch``, ``index``, ``size``.

    table: the function takes the operands' pointers as an array, so that kernels of any number of operands are called
    alike, ``void(ptr operands, ptr scratch, ptr team)``. has_list: further operands follow, of any number. ``listed``
    is the address of their pointers: behind the others in the table, or what one more argument says.
    """

    def __init__(self, module: ir.Module, name: str, operands: int, *, table: bool = False, has_list: bool = False):
        given = 1 if table else operands + has_list
        function = ir.Function(module, ir.FunctionType(VOID, [POINTER] * (given + 2)), name)
        super().__init__(function.append_basic_block("entry"))
        if table:
            places = [element(self, function.args[0], i, I64) for i in range(operands)]
            self.operands = tuple(self.load(place, typ=POINTER) for place in places)
            self.listed = element(self, function.args[0], operands, I64)
        else:
            self.operands = tuple(function.args[:operands])
            self.listed = function.args[operands] if has_list else None
        self.scratch, self.team = function.args[given:]
        self.index = self.load(self.team, typ=I64, name="thread")
        self.size = self.load(element(self, self.team, 1, I64), typ=I64, name="threads")

    def share(self, count: int | ir.Value, multiple: int = 1, most: int | None = None) -> tuple[ir.Value, ir.Value]:
        """This thread's part [first, last) of ``count`` jobs, in blocks of ``multiple``; of at most ``most`` threads,
        the others have none.
        """
        if isinstance(count, int):
            count = i64(count)
        size, index, following = self.size, self.index, self.add(self.index, i64(1))
        if most is not None:
            size = smaller(self, size, i64(most))
            index, following = smaller(self, index, size), smaller(self, following, size)
        blocks = self.sdiv(self.add(count, i64(multiple - 1)), i64(multiple))
        first, last = (self.mul(self.sdiv(self.mul(blocks, i), size), i64(multiple)) for i in (index, following))
        return first, smaller(self, last, count)

    def barrier(self) -> None:
        """Wait until every thread of the team is here; what they wrote before can be read after."""
        self.call(barrier_function(self.module), [self.team])

    def finish(self) -> ir.Function:
        self.ret_void()
        return self.function


def barrier_function(module: ir.Module) -> ir.Function:
    """``void barrier(ptr team)`` in this module: the last to arrive opens it; others spin, and yield if it lasts."""
    known = module.globals.get("barrier")
    if known is not None:
        return known
    function = ir.Function(module, ir.FunctionType(VOID, [POINTER]), "barrier")
    function.linkage = "internal"
    function.attributes.add("noinline")
    b = ir.IRBuilder(function.append_basic_block("entry"))
    (team,) = function.args
    size = b.load(element(b, team, 1, I64), typ=I64)
    shared = b.load(element(b, team, 2, I64), typ=POINTER)
    alone, together = b.append_basic_block("alone"), b.append_basic_block("together")
    b.cbranch(b.icmp_signed("==", size, i64(1)), alone, together)
    b.position_at_end(alone)
    b.ret_void()
    b.position_at_end(together)
    generation = element(b, shared, GENERATION, I8)
    before = b.load_atomic(generation, "acquire", 8, typ=I64)
    earlier = b.atomic_rmw("add", shared, i64(1), "acq_rel")
    last, wait = b.append_basic_block("last"), b.append_basic_block("wait")
    b.cbranch(b.icmp_signed("==", earlier, b.sub(size, i64(1))), last, wait)
    b.position_at_end(last)
    b.atomic_rmw("xchg", shared, i64(0), "monotonic")
    b.atomic_rmw("xchg", generation, b.add(before, i64(1)), "release")
    b.ret_void()
    b.position_at_end(wait)
    spins = b.phi(I64)
    spins.add_incoming(i64(0), together)
    now = b.load_atomic(generation, "acquire", 8, typ=I64)
    opened, again, tired, rest = (b.append_basic_block(n) for n in ("opened", "again", "tired", "rest"))
    b.cbranch(b.icmp_signed("!=", now, before), opened, again)
    b.position_at_end(again)
    b.cbranch(b.icmp_signed(">", spins, i64(SPINS_BEFORE_YIELD)), tired, rest)
    b.position_at_end(tired)
    give_way = module.globals.get("sched_yield") or ir.Function(module, ir.FunctionType(I32, []), "sched_yield")
    b.call(give_way, [])
    spins.add_incoming(spins, b.block)
    b.branch(wait)
    b.position_at_end(rest)
    b.asm(ir.FunctionType(VOID, []), pause(module.triple), "~{memory}", [], True)
    spins.add_incoming(b.add(spins, i64(1)), b.block)
    b.branch(wait)
    b.position_at_end(opened)
    b.ret_void()
    return function


def pause(triple: str) -> str:
    """The instruction that tells a core that its thread is only waiting."""
    if triple.startswith(("x86_64", "amd64", "i386", "i486", "i586", "i686")):
        return "pause"
    return "yield" if triple.startswith(("aarch64", "arm")) else ""
