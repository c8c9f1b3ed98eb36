"""CUDA C compiled by NVRTC where there is no GPU: PTX, machine code, and what the assembler says of each kernel."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import pytest

from autograd_core.backends.cuda.native.source import OPTIONS, WAIT

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
FIRST_TO_WAIT = 90  # kernels of older ones are launched when those before them have ended
_KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)
_SHARED = re.compile(r"(\d+) bytes smem")
# What may stand before a kernel waits for its predecessors: arguments and arithmetic.
_BEFORE = re.compile(
    r"\s*(//.*|\.(reg|param|local|shared|maxntid|minnctapersm|align|pragma|loc|file)\b.*|[(){}]*|\)|"
    r"(ld\.param|mov|cvta|add|and|or|shl|shr|mul|mad|cvt|setp|rem|div|min|max|sub|neg|bfe|selp)\..*|"
    r"griddepcontrol\.launch_dependents;)\s*"
)


class Kernel(NamedTuple):
    """Of one thread: registers, bytes moved to memory for want of them, and bytes of stack. shared: of a block."""

    registers: int
    spilled: int
    stack: int
    shared: int
    ptx: str

    def moves(self, kind: str, width: int) -> int:
        """How many instructions load ('ld') or store ('st') so many numbers of global memory at once."""
        found = re.findall(rf"\b{kind}\.global[.:\w]*", self.ptx)
        return sum((f".v{width}." in move) if width > 1 else (".v" not in move) for move in found)

    @property
    def waits_first(self) -> bool:
        """Whether every thread waits for the kernels before this one, once, and touches no memory before."""
        before, *behind = self.ptx.split("griddepcontrol.wait;")
        return len(behind) == 1 and all(_BEFORE.fullmatch(line) for line in before.splitlines())


@cache
def nvrtc() -> Any:
    """The module; what is missing, in words, where it cannot be used."""
    try:
        from cuda.bindings import nvrtc as found

        error, *_ = found.nvrtcVersion()
    except (ImportError, RuntimeError) as error:
        return f"CUDA C is compiled offline by cuda-bindings with nvidia-cuda-nvrtc: {error}"
    return found if not error else f"NVRTC does not answer: {error}"


def needs_nvrtc() -> None:
    if isinstance(nvrtc(), str):
        pytest.skip(nvrtc())


# What CuPy 14 adds to the options of a RawModule (cupy/cuda/compiler.py): subnormal numbers of float32 are 0 there.
CUPY = ("-ftz=true", "--device-as-default-execution-space")


@cache
def ptx(text: str, options: tuple[str, ...] = OPTIONS, architecture: str = "compute_90") -> str:
    """What NVRTC makes of the text before it assembles it."""
    library = nvrtc()
    status, program = library.nvrtcCreateProgram(text.encode(), b"kernels.cu", 0, [], [])
    assert not status, status
    every = [f"--gpu-architecture={architecture}", *options]
    try:
        (status,) = library.nvrtcCompileProgram(program, len(every), [o.encode() for o in every])
        log = _read(library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog, program)
        assert not status, f"{log[:3000]}\n{text[-6000:]}"
        return _read(library.nvrtcGetPTXSize, library.nvrtcGetPTX, program)
    finally:
        library.nvrtcDestroyProgram(program)


def compiled(text: str, architecture: str) -> dict[str, Kernel]:
    """The kernels of the text, by name, compiled with the options that CuPy uses.

    AssertionError with the compiler's words where it refuses, and for a kernel that touches memory before it waits.
    """
    library = nvrtc()
    status, program = library.nvrtcCreateProgram(text.encode(), b"kernels.cu", 0, [], [])
    assert not status, status
    options = [f"--gpu-architecture={architecture}", *OPTIONS, *CUPY, "--ptxas-options=-v"]
    try:
        (status,) = library.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
        log = _read(library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog, program)
        assert not status, f"{log[:3000]}\n{text[-6000:]}"
        ptx = _read(library.nvrtcGetPTXSize, library.nvrtcGetPTX, program)
        _, size = library.nvrtcGetCUBINSize(program)
        assert size > 0
    finally:
        library.nvrtcDestroyProgram(program)
    bodies = dict(re.findall(r"\.entry (\w+)\((.*?\n\})", ptx, re.DOTALL))
    found = {}
    for match in _KERNEL.finditer(log):
        shared = _SHARED.search(match["rest"])
        spilled = max(int(match["stores"]), int(match["loads"]))
        bytes_ = int(shared[1]) if shared else 0
        found[match["name"]] = Kernel(
            int(match["registers"]), spilled, int(match["stack"]), bytes_, bodies[match["name"]]
        )
    if int(architecture.strip("sm_a")) >= FIRST_TO_WAIT:
        for name, kernel in found.items():
            waits = re.search(rf"\b{name}\([^)]*\)\s*{{\s*{re.escape(WAIT)}", text) is not None
            assert kernel.waits_first is waits, f"{name}\n{kernel.ptx[:3000]}"
    return found


def _read(size: Any, read: Any, program: Any) -> str:
    _, count = size(program)
    text = b" " * count
    read(program, text)
    return text.rstrip(b"\0").decode()
