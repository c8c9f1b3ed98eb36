"""The machine code under the thread team and under programs: written once, the same for every graph.

Layouts, in bytes unless said otherwise:
- the control block of a team: the shared struct of emit.py (arrived, generation, error), the owner's mark, the job, and
  a mailbox for every worker, each on a cache line of its own;
- a program's record, in i64: HEADER words, then for every call {function, flags, operands, scratch base, scratch
  offset, and (base, offset) of each operand}. A base is an index into the table of pointers that is given at run time.
"""

from __future__ import annotations

import ctypes
import time
from functools import cache
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir

from .emit import CACHE_LINE, ERROR, SHARED_BYTES, barrier_function, pause
from .engine import Code, address_of, kept
from .machine import host

OWNER = SHARED_BYTES
JOB = OWNER + CACHE_LINE  # {ptr function, ptr argument, i64 size}
MAILBOXES = JOB + CACHE_LINE  # each {i64 state, ptr lock}
IDLE, ASLEEP, WORK, QUIT = range(4)

CONTROL, SIZE, CALLS, WIDEST = range(4)  # a record's header: where the team is, how many threads, calls, operands
HEADER, CALL_WORDS = 4, 5
BARRIER, SERIAL, MAY_FAIL = 1, 2, 4  # flags: wait before the call; thread 0 alone runs it; look for an error after it

TEAM_IR = f"""
%Thread = type {{ i64, i64, ptr }}
%Job = type {{ ptr, ptr, i64 }}

declare i32 @autograd_core_acquire(ptr, i32)
declare void @autograd_core_release(ptr)

; Runs job(thread, argument) on the calling thread alone; the error code.
define i64 @alone(ptr %job, ptr %argument) {{
  %shared = alloca [{SHARED_BYTES} x i8], align {CACHE_LINE}
  %thread = alloca %Thread
  call void @llvm.memset.p0.i64(ptr %shared, i8 0, i64 {SHARED_BYTES}, i1 false)
  store %Thread {{ i64 0, i64 1, ptr null }}, ptr %thread
  %place = getelementptr %Thread, ptr %thread, i64 0, i32 2
  store ptr %shared, ptr %place
  call void %job(ptr %thread, ptr %argument)
  %error.at = getelementptr i8, ptr %shared, i64 {ERROR}
  %error = load i64, ptr %error.at
  ret i64 %error
}}

; Runs it on `size` threads, the caller among them; alone if another job has the team.
define i64 @together(ptr %control, i64 %size, ptr %job, ptr %argument) {{
entry:
  %thread = alloca %Thread
  %owner = getelementptr i8, ptr %control, i64 {OWNER}
  %claim = cmpxchg ptr %owner, i64 0, i64 1 acq_rel monotonic
  %mine = extractvalue {{ i64, i1 }} %claim, 1
  br i1 %mine, label %prepare, label %taken

taken:
  %result.alone = call i64 @alone(ptr %job, ptr %argument)
  ret i64 %result.alone

prepare:
  %error.at = getelementptr i8, ptr %control, i64 {ERROR}
  store i64 0, ptr %error.at
  %job.at = getelementptr i8, ptr %control, i64 {JOB}
  %argument.at = getelementptr %Job, ptr %job.at, i64 0, i32 1
  %size.at = getelementptr %Job, ptr %job.at, i64 0, i32 2
  store ptr %job, ptr %job.at
  store ptr %argument, ptr %argument.at
  store i64 %size, ptr %size.at
  br label %next

next:
  %i = phi i64 [ 1, %prepare ], [ %i.next, %posted ]
  %more = icmp slt i64 %i, %size
  br i1 %more, label %post, label %run

post:
  %mailbox.offset = mul i64 %i, {CACHE_LINE}
  %mailboxes = getelementptr i8, ptr %control, i64 {MAILBOXES}
  %mailbox = getelementptr i8, ptr %mailboxes, i64 %mailbox.offset
  %was = atomicrmw xchg ptr %mailbox, i64 {WORK} acq_rel
  %asleep = icmp eq i64 %was, {ASLEEP}
  br i1 %asleep, label %wake, label %posted

wake:
  %lock.at = getelementptr i64, ptr %mailbox, i64 1
  %lock = load ptr, ptr %lock.at
  call void @autograd_core_release(ptr %lock)
  br label %posted

posted:
  %i.next = add i64 %i, 1
  br label %next

run:
  store i64 0, ptr %thread
  %thread.size = getelementptr %Thread, ptr %thread, i64 0, i32 1
  %thread.shared = getelementptr %Thread, ptr %thread, i64 0, i32 2
  store i64 %size, ptr %thread.size
  store ptr %control, ptr %thread.shared
  call void %job(ptr %thread, ptr %argument)
  call void @barrier(ptr %thread)
  %error = load i64, ptr %error.at
  store atomic i64 0, ptr %owner release, align 8
  ret i64 %error
}}

; What worker `index` does all its life.
define void @worker(ptr %control, i64 %index, i64 %spins) {{
entry:
  %thread = alloca %Thread
  store i64 %index, ptr %thread
  %thread.size = getelementptr %Thread, ptr %thread, i64 0, i32 1
  %thread.shared = getelementptr %Thread, ptr %thread, i64 0, i32 2
  store ptr %control, ptr %thread.shared
  %mailbox.offset = mul i64 %index, {CACHE_LINE}
  %mailboxes = getelementptr i8, ptr %control, i64 {MAILBOXES}
  %mailbox = getelementptr i8, ptr %mailboxes, i64 %mailbox.offset
  %lock.at = getelementptr i64, ptr %mailbox, i64 1
  %lock = load ptr, ptr %lock.at
  %job.at = getelementptr i8, ptr %control, i64 {JOB}
  %argument.at = getelementptr %Job, ptr %job.at, i64 0, i32 1
  %size.at = getelementptr %Job, ptr %job.at, i64 0, i32 2
  br label %idle

idle:
  %spun = phi i64 [ 0, %entry ], [ 0, %work ], [ %spun.more, %rest ]
  %state = load atomic i64, ptr %mailbox acquire, align 8
  %still = icmp eq i64 %state, {IDLE}
  br i1 %still, label %wait, label %called

wait:
  %tired = icmp sge i64 %spun, %spins
  br i1 %tired, label %sleep, label %rest

rest:
  PAUSE
  %spun.more = add i64 %spun, 1
  br label %idle

sleep:
  %exchange = cmpxchg ptr %mailbox, i64 {IDLE}, i64 {ASLEEP} acq_rel acquire
  %sleeping = extractvalue {{ i64, i1 }} %exchange, 1
  br i1 %sleeping, label %sound, label %called

sound: ; who finds ASLEEP releases the lock, once
  %woken = call i32 @autograd_core_acquire(ptr %lock, i32 1)
  br label %called

called:
  %order = load atomic i64, ptr %mailbox acquire, align 8
  %quit = icmp eq i64 %order, {QUIT}
  br i1 %quit, label %end, label %work

work: ; idle again before the job ends: whoever posts the next one has passed the barrier with this thread
  store atomic i64 {IDLE}, ptr %mailbox release, align 8
  %job = load ptr, ptr %job.at
  %argument = load ptr, ptr %argument.at
  %size = load i64, ptr %size.at
  store i64 %size, ptr %thread.size
  call void %job(ptr %thread, ptr %argument)
  call void @barrier(ptr %thread)
  br label %idle

end:
  ret void
}}

; Asks worker `index` to return.
define void @dismiss(ptr %control, i64 %index) {{
entry:
  %mailbox.offset = mul i64 %index, {CACHE_LINE}
  %mailboxes = getelementptr i8, ptr %control, i64 {MAILBOXES}
  %mailbox = getelementptr i8, ptr %mailboxes, i64 %mailbox.offset
  %was = atomicrmw xchg ptr %mailbox, i64 {QUIT} acq_rel
  %asleep = icmp eq i64 %was, {ASLEEP}
  br i1 %asleep, label %wake, label %end

wake:
  %lock.at = getelementptr i64, ptr %mailbox, i64 1
  %lock = load ptr, ptr %lock.at
  call void @autograd_core_release(ptr %lock)
  br label %end

end:
  ret void
}}

; Takes the team for good (1), unless a job has it (0).
define i64 @claim(ptr %control) {{
  %owner = getelementptr i8, ptr %control, i64 {OWNER}
  %claim = cmpxchg ptr %owner, i64 0, i64 1 acq_rel monotonic
  %mine = extractvalue {{ i64, i1 }} %claim, 1
  %result = zext i1 %mine to i64
  ret i64 %result
}}

define void @spin(i64 %rounds) {{
entry:
  br label %again
again:
  %i = phi i64 [ 0, %entry ], [ %i.next, %again ]
  PAUSE
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %rounds
  br i1 %more, label %again, label %end
end:
  ret void
}}
"""

PROGRAM_IR = f"""
%Frame = type {{ ptr, ptr, ptr }} ; record, table, stamps or null

; Runs the program whose record this is on the pointers of the table; the error code.
define i64 @run(ptr %record, ptr %table) {{
  %result = call i64 @profile(ptr %record, ptr %table, ptr null)
  ret i64 %result
}}

; The same, and thread 0 notes the time before the first call and after each.
define i64 @profile(ptr %record, ptr %table, ptr %stamps) {{
entry:
  %frame = alloca %Frame
  store ptr %record, ptr %frame
  %table.at = getelementptr %Frame, ptr %frame, i64 0, i32 1
  %stamps.at = getelementptr %Frame, ptr %frame, i64 0, i32 2
  store ptr %table, ptr %table.at
  store ptr %stamps, ptr %stamps.at
  %control = load ptr, ptr %record
  %size.at = getelementptr i64, ptr %record, i64 {SIZE}
  %size = load i64, ptr %size.at
  %one = icmp sle i64 %size, 1
  br i1 %one, label %lone, label %team
lone:
  %result.alone = call i64 @alone(ptr @walk, ptr %frame)
  ret i64 %result.alone
team:
  %result.together = call i64 @together(ptr %control, i64 %size, ptr @walk, ptr %frame)
  ret i64 %result.together
}}

; What each thread does with a frame: call after call.
define internal void @walk(ptr %thread, ptr %frame) {{
entry:
  %record = load ptr, ptr %frame
  %table.at = getelementptr %Frame, ptr %frame, i64 0, i32 1
  %stamps.at = getelementptr %Frame, ptr %frame, i64 0, i32 2
  %table = load ptr, ptr %table.at
  %stamps.given = load ptr, ptr %stamps.at
  %index = load i64, ptr %thread
  %shared.at = getelementptr %Thread, ptr %thread, i64 0, i32 2
  %shared = load ptr, ptr %shared.at
  %error.at = getelementptr i8, ptr %shared, i64 {ERROR}
  %calls.at = getelementptr i64, ptr %record, i64 {CALLS}
  %calls = load i64, ptr %calls.at
  %widest.at = getelementptr i64, ptr %record, i64 {WIDEST}
  %widest = load i64, ptr %widest.at
  %operands = alloca ptr, i64 %widest
  %single = alloca %Thread
  store %Thread {{ i64 0, i64 1, ptr null }}, ptr %single
  %single.shared = getelementptr %Thread, ptr %single, i64 0, i32 2
  store ptr %shared, ptr %single.shared
  %first = icmp eq i64 %index, 0
  %profiled = icmp ne ptr %stamps.given, null
  %stamping = and i1 %first, %profiled
  %start = getelementptr i64, ptr %record, i64 {HEADER}
  br i1 %stamping, label %stamp.first, label %next

stamp.first:
  %now.first = call i64 @ticks()
  store i64 %now.first, ptr %stamps.given
  br label %next

next:
  %i = phi i64 [ 0, %entry ], [ 0, %stamp.first ], [ %i.next, %following ]
  %call = phi ptr [ %start, %entry ], [ %start, %stamp.first ], [ %call.next, %following ]
  %more = icmp slt i64 %i, %calls
  br i1 %more, label %read, label %end

read:
  %flags.at = getelementptr i64, ptr %call, i64 1
  %flags = load i64, ptr %flags.at
  %count.at = getelementptr i64, ptr %call, i64 2
  %count = load i64, ptr %count.at
  %pairs = getelementptr i64, ptr %call, i64 {CALL_WORDS}
  %count.words = mul i64 %count, 2
  %call.next = getelementptr i64, ptr %pairs, i64 %count.words
  %waits.bit = and i64 %flags, {BARRIER}
  %waits = icmp ne i64 %waits.bit, 0
  br i1 %waits, label %meet, label %who

meet:
  call void @barrier(ptr %thread)
  br label %who

who:
  %serial.bit = and i64 %flags, {SERIAL}
  %serial = icmp ne i64 %serial.bit, 0
  %other = xor i1 %first, true
  %skips = and i1 %serial, %other
  br i1 %skips, label %done, label %gather

gather:
  %j = phi i64 [ 0, %who ], [ %j.next, %gather.one ]
  %j.more = icmp slt i64 %j, %count
  br i1 %j.more, label %gather.one, label %go

gather.one:
  %j.words = mul i64 %j, 2
  %pair = getelementptr i64, ptr %pairs, i64 %j.words
  %base.at = getelementptr i64, ptr %pair, i64 1
  %base.index = load i64, ptr %pair
  %offset = load i64, ptr %base.at
  %base.place = getelementptr ptr, ptr %table, i64 %base.index
  %base = load ptr, ptr %base.place
  %pointer = getelementptr i8, ptr %base, i64 %offset
  %operand = getelementptr ptr, ptr %operands, i64 %j
  store ptr %pointer, ptr %operand
  %j.next = add i64 %j, 1
  br label %gather

go:
  %scratch.at = getelementptr i64, ptr %call, i64 3
  %scratch.base = load i64, ptr %scratch.at
  %scratch.offset.at = getelementptr i64, ptr %call, i64 4
  %scratch.offset = load i64, ptr %scratch.offset.at
  %scratch.place = getelementptr ptr, ptr %table, i64 %scratch.base
  %scratch.start = load ptr, ptr %scratch.place
  %scratch = getelementptr i8, ptr %scratch.start, i64 %scratch.offset
  %function = load ptr, ptr %call
  %runner = select i1 %serial, ptr %single, ptr %thread
  call void %function(ptr %operands, ptr %scratch, ptr %runner)
  br label %done

done: ; between the two barriers nobody writes the error, so all threads decide alike
  %checks.bit = and i64 %flags, {MAY_FAIL}
  %checks = icmp ne i64 %checks.bit, 0
  br i1 %checks, label %check, label %clock

check:
  call void @barrier(ptr %thread)
  %error = load atomic i64, ptr %error.at monotonic, align 8
  call void @barrier(ptr %thread)
  %failed = icmp ne i64 %error, 0
  br i1 %failed, label %end, label %clock

clock:
  br i1 %profiled, label %clock.all, label %following

clock.all: ; a call has taken as long as its slowest thread
  call void @barrier(ptr %thread)
  br i1 %first, label %stamp, label %following

stamp:
  %now = call i64 @ticks()
  %i.stamp = add i64 %i, 1
  %stamp.at = getelementptr i64, ptr %stamps.given, i64 %i.stamp
  store i64 %now, ptr %stamp.at
  br label %following

following:
  %i.next = add i64 %i, 1
  br label %next

end:
  ret void
}}
"""

CLOCK_MONOTONIC = getattr(time, "CLOCK_MONOTONIC", None)
TICKS_IR = (
    """
; Nanoseconds; cycles on Windows, whose clocks are of another kind.
define i64 @ticks() {
  %now = call i64 @llvm.readcyclecounter()
  ret i64 %now
}
declare i64 @llvm.readcyclecounter()
"""
    if CLOCK_MONOTONIC is None
    else f"""
define i64 @ticks() {{
  %time = alloca [2 x i64]
  %status = call i32 @clock_gettime(i32 {CLOCK_MONOTONIC}, ptr %time)
  %seconds = load i64, ptr %time
  %rest.at = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %rest.at
  %whole = mul i64 %seconds, 1000000000
  %now = add i64 %whole, %rest
  ret i64 %now
}}
declare i32 @clock_gettime(i32, ptr)
"""
)


class Runtime(NamedTuple):
    """The functions above, as Python calls them; ``run`` without the interpreter's lock, ``run_short`` with it."""

    run: Any
    run_short: Any
    profile: Any
    worker: Any
    dismiss: Any
    claim: Any
    spin: Any
    ticks: Any
    code: Code


@cache
def runtime() -> Runtime:
    """Compiled at first use."""
    for what in ("acquire", "release"):
        llvm.add_symbol(f"autograd_core_{what}", address_of(getattr(ctypes.pythonapi, f"PyThread_{what}_lock")))
    module = ir.Module("runtime")
    module.triple = llvm.get_process_triple()
    barrier_function(module)
    code = Code([kept(_text(module), host())])
    i64, pointer = ctypes.c_int64, ctypes.c_void_p

    def function(name: str, result: Any, *arguments: Any, prototype: Any = ctypes.CFUNCTYPE) -> Any:
        return prototype(result, *arguments)(code.address(name))

    return Runtime(
        run=function("run", i64, pointer, pointer),
        run_short=function("run", i64, pointer, pointer, prototype=ctypes.PYFUNCTYPE),
        profile=function("profile", i64, pointer, pointer, pointer),
        worker=function("worker", None, pointer, i64, i64),
        dismiss=function("dismiss", None, pointer, i64),
        claim=function("claim", i64, pointer),
        spin=function("spin", None, i64),
        ticks=function("ticks", i64),
        code=code,
    )


def _text(module: ir.Module) -> str:
    """The module of the barrier and the functions above, for the machine that the module names."""
    instruction = pause(module.triple)
    resting = f'call void asm sideeffect "{instruction}", "~{{memory}}"()'
    return f"{module}{TEAM_IR}{PROGRAM_IR}{TICKS_IR}".replace("PAUSE", resting)


@cache
def seconds_per_tick() -> float:
    """How long the unit of ``ticks`` is; where it is not known, it is measured in a few milliseconds."""
    if CLOCK_MONOTONIC is not None:
        return 1e-9
    ticks = runtime().ticks
    start, first = time.perf_counter(), ticks()
    time.sleep(0.005)
    last, end = ticks(), time.perf_counter()
    return (end - start) / (last - first)
