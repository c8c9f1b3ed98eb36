"""From a kernel's description to machine code that can be called."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Hashable, Sequence
from threading import Thread
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from .emit import I64, POINTER, SHARED_BYTES, VOID, Kernel, element
from .machine import Machine, host


class KernelSpec(NamedTuple):
    """One kernel: ``emit(builder, machine)`` writes its body; specs with equal keys are the same code.

    name: readable, of letters, digits and underscores. operands: how many pointers it takes. scratch: bytes of
    workspace for the team. flops, bytes: what it computes and moves; may_fail: whether it can store an error code.
    """

    name: str
    key: Hashable
    operands: int
    emit: Callable[[Kernel, Machine], None]
    scratch: int = 0
    flops: int = 0
    bytes: int = 0
    may_fail: bool = False


def build(specs: Sequence[KernelSpec], machine: Machine | None = None) -> ir.Module:
    """One module with a function for each kernel, named as the kernel."""
    machine = machine or host()
    module = ir.Module("kernels")
    module.triple = llvm.get_process_triple()
    for spec in specs:
        builder = Kernel(module, spec.name, spec.operands)
        spec.emit(builder, machine)
        builder.finish()
    return module


def entry(spec: KernelSpec, machine: Machine, symbol: str) -> ir.Module:
    """A module in which the one function to call, ``void symbol(ptr operands, ptr scratch, ptr team)``, is a kernel.

    Its operands' pointers are an array, so that kernels of any number of operands are called alike.
    """
    module = build([spec], machine)
    kernel = module.globals[spec.name]
    kernel.linkage = "internal"
    function = ir.Function(module, ir.FunctionType(VOID, [POINTER] * 3), symbol)
    operands, scratch, team = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    pointers = [builder.load(element(builder, operands, i, I64), typ=POINTER) for i in range(spec.operands)]
    builder.call(kernel, [*pointers, scratch, team])
    builder.ret_void()
    return module


def compiled(module: ir.Module | str, machine: Machine | None = None) -> bytes:
    """The object code of a module."""
    machine = machine or host()
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    target = _target(machine)
    # vectors are written as such: LLVM's own search for them costs time, and rearranges what is already in order
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    llvm.create_pass_builder(target, options).getModulePassManager().run(
        parsed, llvm.create_pass_builder(target, options)
    )
    return target.emit_object(parsed)


def _target(machine: Machine) -> Any:
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=3, reloc="pic", codemodel="jitdefault", jit=True
    )


class Code:
    """Loaded object code: ``address(name)`` of its functions, for as long as this object lives."""

    def __init__(self, objects: Sequence[bytes]):
        empty = llvm.parse_assembly("")
        self._engine = llvm.create_mcjit_compiler(empty, _target(host()))
        for data in objects:
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(data))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        address = self._engine.get_function_address(name)
        if not address:
            raise KeyError(f"no function {name!r} in this code")
        return address


def call(spec: KernelSpec, arrays: Sequence[np.ndarray], *, threads: int = 1, machine: Machine | None = None) -> int:
    """Compile one kernel and run it on these arrays with a team of its own; returns the error code. For tests."""
    code = Code([compiled(build([spec], machine), machine)])
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (spec.operands + 2))(code.address(spec.name))
    scratch = np.zeros(spec.scratch + 64, np.uint8)
    scratch_address = scratch.ctypes.data + -scratch.ctypes.data % 64
    shared = np.zeros(SHARED_BYTES // 8 + 8, np.int64)
    shared_address = shared.ctypes.data + -shared.ctypes.data % 64
    teams = [np.array([i, threads, shared_address], np.int64) for i in range(threads)]
    arguments = [a.ctypes.data for a in arrays]
    workers = [
        Thread(target=function, args=(*arguments, scratch_address, team.ctypes.data), daemon=True) for team in teams[1:]
    ]
    for worker in workers:
        worker.start()
    function(*arguments, scratch_address, teams[0].ctypes.data)
    for worker in workers:
        worker.join()
    return int(shared[(shared_address - shared.ctypes.data) // 8 + 16])
