"""From a kernel's description to machine code that can be called."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Thread
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from . import identity
from .cache import default_cache
from .emit import SHARED_BYTES, Kernel
from .machine import Machine, default_threads, host

ENTRY = "the.entry.of.this.kernel"  # stands for a symbol that is known only when the text is

# Kernels are written as they are to run: vectors, tiles and unrolled loops are in the text. What LLVM is left with is
# to find registers for variables and to compute once what stands there twice. Its default pipeline looks for much more,
# for five times as long, and finds it in short texts alone, where it costs little: loops of a few rounds.
PIPELINE: dict[str, Any] = {
    "passes": ("sroa", "simplify_cfg", "loop_rotate", "new_gvn", "instruction_combine", "simplify_cfg"),
    "short": 5000,  # characters up to which a text goes through the default pipeline, of this level:
    "speed_level": 2,
    "loop_vectorization": False,
    "slp_vectorization": False,
    "loop_unrolling": False,
}
ASSEMBLY, OBJECT = 0, 1  # what LLVM calls the kinds of files that it writes


class KernelSpec(NamedTuple):
    """One kernel: ``emit(builder, machine)`` writes its body; specs with equal keys are the same code.

    name: readable, of letters, digits and underscores. operands: how many pointers it takes. scratch: bytes of
    workspace for the team. flops, bytes: what it computes and moves; may_fail: whether it can store an error code.
    listed: how many operands follow the others as a list; the code is the same for any number of them but none.
    parts: at the end of the workspace, each of ``part`` bytes, one for each thread of as many as can take part.
    """

    name: str
    key: Hashable
    operands: int
    emit: Callable[[Kernel, Machine], None]
    scratch: int = 0
    flops: int = 0
    bytes: int = 0
    may_fail: bool = False
    listed: int = 0
    parts: int = 0
    part: int = 0

    def workspace(self, threads: int) -> int:
        """Bytes that a team of so many threads needs."""
        return self.scratch - self.part * max(0, self.parts - threads)


def build(specs: Sequence[KernelSpec], machine: Machine | None = None) -> ir.Module:
    """One module with a function for each kernel, named as the kernel."""
    machine = machine or host()
    module = ir.Module("kernels")
    module.triple = llvm.get_process_triple()
    for spec in specs:
        builder = Kernel(module, spec.name, spec.operands, has_list=spec.listed > 0)
        spec.emit(builder, machine)
        builder.finish()
    return module


def entry(spec: KernelSpec, machine: Machine, symbol: str) -> ir.Module:
    """A module in which the one function to call, ``void symbol(ptr operands, ptr scratch, ptr team)``, is a kernel.

    Its operands' pointers are an array, so that kernels of any number of operands are called alike.
    """
    module = ir.Module(spec.name)  # so that equal texts have equal names, which are part of the symbol
    module.triple = llvm.get_process_triple()
    builder = Kernel(module, symbol, spec.operands, table=True, has_list=spec.listed > 0)
    spec.emit(builder, machine)
    builder.finish()
    return module


def compiled(module: ir.Module | str, machine: Machine | None = None) -> bytes:
    """The object code of a module. Several threads may compile at once."""
    return _generated(str(module), machine or host(), OBJECT)


def assembly(module: ir.Module | str, machine: Machine | None = None) -> str:
    """The same code in the processor's assembly language, to be read."""
    return _generated(str(module), machine or host(), ASSEMBLY).decode()


def _generated(text: str, machine: Machine, kind: int) -> bytes:
    target = _target(machine)
    # a context of its own: llvmlite guards the one that all share by a lock, which the long calls below go round
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as parsed:
        parsed.verify()
        options = llvm.create_pipeline_tuning_options(speed_level=PIPELINE["speed_level"])
        options.loop_vectorization = PIPELINE["loop_vectorization"]
        options.slp_vectorization = PIPELINE["slp_vectorization"]
        options.loop_unrolling = PIPELINE["loop_unrolling"]
        builder = llvm.create_pass_builder(target, options)
        passes = None if len(text) <= PIPELINE["short"] else _passes()
        _unlocked("LLVMPY_RunNewModulePassManager")(passes or builder.getModulePassManager(), parsed, builder)
        return _emitted(target, parsed, kind)


def _passes() -> Any:
    """Those of PIPELINE; None from an llvmlite that does not have them all, as before 0.45."""
    found = llvm.create_new_module_pass_manager()
    steps = [f"add_{name}_pass" for name in PIPELINE["passes"]]
    if not all(hasattr(found, step) for step in steps):
        return None
    for step in steps:
        getattr(found, step)()
    return found


def _emitted(target: Any, parsed: Any, kind: int) -> bytes:
    with llvm.ffi.OutputString() as error:
        buffer = _unlocked("LLVMPY_TargetMachineEmitToMemory")(target, parsed, kind, error)
        if not buffer:
            raise RuntimeError(f"LLVM generates no code: {error}")
    try:
        return ctypes.string_at(llvm.ffi.lib.LLVMPY_GetBufferStart(buffer), llvm.ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        llvm.ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _unlocked(name: str) -> Any:
    """The function of llvmlite's library without the lock that llvmlite puts around each, if it can be had."""
    function = getattr(llvm.ffi.lib, name)
    return getattr(function, "_cfn", function)


def kept(text: str, machine: Machine) -> bytes:
    """The object code of a module's text, from the cache if it is there."""
    store, name = default_cache(), identity.of_text(text, _platform(machine))
    data = store.get(name)
    if data is None:
        data = compiled(text, machine)
        store.put(name, data)
    return data


def linked(specs: Sequence[KernelSpec], machine: Machine) -> tuple[Code, list[int]]:
    """All these kernels' code, and where each one's ``entry`` is; from the cache, or compiled by several threads."""
    objects: dict[Hashable, Future[tuple[str, bytes, bool]]] = {}
    keys = [_distinct(spec) for spec in specs]
    with ThreadPoolExecutor(default_threads(), "autograd_core compiler") as compilers, _only_new_garbage():
        for key, spec in zip(keys, specs):
            if key not in objects:
                objects[key] = _object(spec, machine, compilers)
    made = {key: future.result() for key, future in objects.items()}
    # keys may differ where the code, and with it the symbol, does not
    distinct = {symbol: (data, known) for symbol, data, known in made.values()}
    code = Code([data for data, _ in distinct.values()], cached=sum(known for _, known in distinct.values()))
    addresses = {symbol: code.address(symbol, at) for at, symbol in enumerate(distinct)}
    return code, [addresses[made[key][0]] for key in keys]


@contextmanager
def _only_new_garbage() -> Iterator[None]:
    """Inside, garbage is looked for where ``gc.collect(0)`` stands, among objects made since.

    The text of a kernel is tens of thousands of objects that refer to one another. Left alone, the collector goes
    through all that the process holds again and again while they are made, which takes longer than to make them.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _object(spec: KernelSpec, machine: Machine, compilers: ThreadPoolExecutor) -> Future[tuple[str, bytes, bool]]:
    """The symbol and object code of a kernel's entry, and whether the cache had it.

    Its text is written here: threads gain only in LLVM.
    """
    store, platform = default_cache(), _platform(machine)
    known = identity.of_key((spec.key, spec.name, spec.operands), spec.emit, platform)
    text, data = "", store.get(known) if known else None
    if data is None:
        text = str(entry(spec, machine, ENTRY))
        gc.collect(0)
    name = known or identity.of_text(text, platform)
    if not known:
        data = store.get(name)
    symbol = f"{spec.name}_{name[:16]}"
    done: Future[tuple[str, bytes, bool]] = Future()
    if data is not None:
        done.set_result((symbol, data, True))
        return done

    def work() -> tuple[str, bytes, bool]:
        made = compiled(text.replace(ENTRY, symbol), machine)
        store.put(name, made)
        return symbol, made, False

    return compilers.submit(work)


def _distinct(spec: KernelSpec) -> Hashable:
    """The key, but so that 1 and 1.0 differ, which are equal in Python and not the same code."""
    try:
        return identity.spelling(spec.key)
    except TypeError:
        return spec.key


def _platform(machine: Machine) -> str:
    return identity.platform(machine, str(PIPELINE))


def _target(machine: Machine) -> Any:
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=3, reloc="pic", codemodel="jitdefault", jit=True
    )


@cache
def _name_system_calls() -> None:
    if sys.platform == "win32":  # which has the function that barriers call under a name of its own
        llvm.add_symbol("sched_yield", address_of(ctypes.windll.kernel32.SwitchToThread))


def address_of(function: Any) -> int:
    """Where a function of ctypes is."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class Code:
    """Loaded object code: ``address(name)`` of its functions, for as long as this object lives; at: in which object.

    objects: how many it was loaded from; cached: how many of them had been kept on disk.
    Each object has an engine of its own: MCJIT mixes up the relocations of several objects in one.
    """

    def __init__(self, objects: Sequence[bytes], cached: int = 0):
        _name_system_calls()
        self.objects, self.cached = len(objects), cached
        self._engines = []
        for data in objects:
            engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target(host()))
            engine.add_object_file(llvm.ObjectFileRef.from_data(data))
            engine.finalize_object()
            self._engines.append(engine)

    def address(self, name: str, at: int | None = None) -> int:
        for engine in self._engines if at is None else (self._engines[at],):
            address = engine.get_function_address(name)
            if address:
                return address
        raise KeyError(f"no function {name!r} in this code")


def call(spec: KernelSpec, arrays: Sequence[np.ndarray], *, threads: int = 1, machine: Machine | None = None) -> int:
    """Compile one kernel and run it on these arrays with a team of its own; returns the error code. For tests."""
    code = Code([compiled(build([spec], machine), machine)])
    arguments = [a.ctypes.data for a in arrays]
    if spec.listed:
        listed = (ctypes.c_void_p * spec.listed)(*arguments[spec.operands :])
        arguments = [*arguments[: spec.operands], ctypes.addressof(listed)]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(arguments) + 2))(code.address(spec.name))
    scratch = np.zeros(spec.scratch + 64, np.uint8)
    scratch_address = scratch.ctypes.data + -scratch.ctypes.data % 64
    shared = np.zeros(SHARED_BYTES // 8 + 8, np.int64)
    shared_address = shared.ctypes.data + -shared.ctypes.data % 64
    teams = [np.array([i, threads, shared_address], np.int64) for i in range(threads)]
    workers = [
        Thread(target=function, args=(*arguments, scratch_address, team.ctypes.data), daemon=True) for team in teams[1:]
    ]
    for worker in workers:
        worker.start()
    function(*arguments, scratch_address, teams[0].ctypes.data)
    for worker in workers:
        worker.join()
    return int(shared[(shared_address - shared.ctypes.data) // 8 + 16])
