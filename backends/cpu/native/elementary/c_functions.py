"""Lanes that vector code leaves to the C library: few, and so far out that to include them would slow the others."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from ..emit import F32, F64, I1, I32, intrinsic, suffix
from .float_arithmetic import Arithmetic


def c_function_where(
    a: Arithmetic, condition: ir.Value, name: str, args: Sequence[ir.Value], result: ir.Value
) -> ir.Value:
    """The result, but that of the C function ``name`` (``name + 'f'`` for float32) in lanes where the condition holds.

    Lane by lane, for no lane's result may depend on its neighbours; a vector without such a lane passes by.
    """
    builder = a.builder
    somewhere = condition
    if a.lanes > 1:
        somewhere = intrinsic(builder, f"llvm.vector.reduce.or.v{a.lanes}i1", I1, [condition])
    before = builder.block
    with builder.if_then(somewhere, likely=False):
        called = builder.call(_function(builder.module, name, a, len(args)), args)
        slow = a.select(condition, called, result)
        there = builder.block
    merged = builder.phi(a.kind)
    merged.add_incoming(result, before)
    merged.add_incoming(slow, there)
    return merged


def _function(module: ir.Module, name: str, a: Arithmetic, arity: int) -> ir.Function:
    """This module's function that calls the C library's once a lane."""
    own = f"library.{name}.{suffix(a.kind)}"
    known = module.globals.get(own)
    if known is not None:
        return known
    function = ir.Function(module, ir.FunctionType(a.kind, [a.kind] * arity), own)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    element = F32 if a.single else F64
    symbol = name + ("f" if a.single else "")
    scalar = module.globals.get(symbol)
    if scalar is None:
        scalar = ir.Function(module, ir.FunctionType(element, [element] * arity), symbol)
    if a.lanes == 1:
        builder.ret(builder.call(scalar, function.args))
        return function
    result: ir.Value = ir.Constant(a.kind, ir.Undefined)
    for lane in range(a.lanes):
        index = ir.Constant(I32, lane)
        values = [builder.extract_element(arg, index) for arg in function.args]
        result = builder.insert_element(result, builder.call(scalar, values), index)
    builder.ret(result)
    return function
