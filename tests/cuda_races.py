"""CUDA C run on the host and watched: data races, accesses out of bounds, and what memory would see (cuda_races.cpp).

The host build of a kernel is compiled with the calls that -fsanitize=thread makes, and without its library.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import cuda_host
import numpy as np
import pytest
from cuda_code import GRID

FOLDER = Path(__file__).parent
COMMON = ["-std=c++17", "-w", "-fPIC", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"]
WATCHED = [*COMMON, "-O0", "-g1", "-DWATCHED", "-fsanitize=thread", "-fno-threadsafe-statics"]
WATCHED += ["-ffp-contract=off", "-fno-strict-aliasing"]
KINDS = ("race", "out of bounds", "never written", "a copy is on its way")
ROOM = 200


class Line(NamedTuple):
    """file: "kernel" is the rendered text."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number}: {self.text}"


class Access(NamedTuple):
    """lines: of the access, and of the calls that led there. thread: its number in the launch."""

    writes: bool
    lines: tuple[Line, ...]
    block: int
    thread: int

    def __str__(self) -> str:
        calls = "".join(f"\n        {line}" for line in self.lines)
        return f"    {'write' if self.writes else 'read'} by thread {self.thread} of block {self.block}{calls}"


class Finding(NamedTuple):
    """first: what came before, if two accesses are at odds."""

    kind: str
    place: str
    first: Access | None
    second: Access

    def __str__(self) -> str:
        return "\n".join([f"{self.kind}: {self.place}", *(str(a) for a in (self.first, self.second) if a is not None)])


class Traffic(NamedTuple):
    """Of one line, reached by these calls: bytes a lane at once; requests; and by how much they exceed the least."""

    lines: tuple[Line, ...]
    shared: bool
    width: int
    requests: int
    touched: int
    least: int
    worst: float

    @property
    def ratio(self) -> float:
        return self.touched / self.least

    def __str__(self) -> str:
        what = "turns of shared memory" if self.shared else "sectors"
        calls = "".join(f"\n        {line}" for line in self.lines)
        return f"{self.ratio:.2f} times the least {what}, {self.width} bytes a lane, {self.requests} requests{calls}"


class _Seen(ctypes.Structure):
    _fields_ = (
        *((n, ctypes.c_int) for n in ("kind", "writes")),
        *((n, ctypes.c_uint) for n in ("first_site", "second_site", "first_thread", "second_thread")),
        ("array", ctypes.c_int),
        ("offset", ctypes.c_longlong),
    )


class _Counted(ctypes.Structure):
    _fields_ = (
        *((n, ctypes.c_int) for n in ("space", "width")),
        *((n, ctypes.c_longlong) for n in ("requests", "touched", "least", "worst")),
    )


def needs_watch() -> None:
    """Skip where kernels cannot be watched."""
    cuda_host.needs_compiler()
    if _watch() is None:
        pytest.skip(
            "kernels are watched with g++, addr2line and nm: what -fsanitize=thread calls, and lines of the code"
        )


@cache
def _watch() -> ctypes.CDLL | None:
    """cuda_races.cpp, for all that is loaded after it."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["g++", *COMMON, "-O1", "-shared", str(FOLDER / "cuda_races.cpp"), "-o", f"{folder}/watch.so"]
        try:
            for tool in ("addr2line", "nm"):
                subprocess.run([tool, "--version"], capture_output=True, check=True)
            subprocess.run(command, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        library = ctypes.CDLL(f"{folder}/watch.so", mode=ctypes.RTLD_GLOBAL)
    library.watch_array.restype = ctypes.c_void_p
    library.watch_array.argtypes = [ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_size_t]
    library.watch_symbol.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    return library


class Run(NamedTuple):
    """One launch after the other. arguments: for each launch; an index into the arrays, a number, or None.

    known: which arrays hold values that may be read. offset: bytes from a boundary of a page to the arrays. table: what
    gives one more array, of the addresses of the others.
    """

    launches: tuple[tuple[str, int, int, int], ...]  # entry, grid, block, shared
    arguments: tuple[tuple[int, ...], ...]
    arrays: tuple[np.ndarray, ...]
    known: tuple[bool, ...]
    names: tuple[str, ...]
    offset: int = 0
    table: Callable[[list[int]], np.ndarray] | None = None


@dataclass
class Report:
    findings: list[Finding] = field(default_factory=list)
    traffic: list[Traffic] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


class Number(int):
    """An argument that is no array."""


class Watched:
    """Kernels that are compiled together. parts: (file, text), in order. together: whether blocks run at once."""

    def __init__(self, parts: Iterable[tuple[str, str]], entries: Iterable[str], *, together: bool = False):
        self._watch, self._together, self._entries = _watch(), together, set(entries)
        header, entry = (GRID, "ENTRY_TOGETHER") if together else (cuda_host.HEADER, "ENTRY")
        self._parts = {name: text.splitlines() for name, text in parts}
        lines = [f'#include "{header}"']
        for name, text in self._parts.items():
            lines += [f'#line 1 "{name}"', *text]
        lines += ['#line 1 "entries"', *(f"{entry}({e})" for e in sorted(self._entries))]
        self._folder = folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder)
        (Path(folder) / "kernels.cpp").write_text("\n".join(lines) + "\n")
        for command in (
            ["g++", *WATCHED, "-c", "kernels.cpp", "-o", "kernels.o"],
            ["g++", "-shared", "kernels.o", "-o", "kernels.so"],
        ):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[:4000]
        self._library = ctypes.CDLL(f"{folder}/kernels.so")
        self._declared = self._symbols()
        self._lines: dict[int, Line] = {}

    def _symbols(self) -> list[tuple[int, int, str]]:
        """Declared shared memory: where each begins, bytes, and its name."""
        command = ["nm", "-S", "-C", f"{self._folder}/kernels.so"]
        found, start, stop = [], 0, 0
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
            at, size, *rest = line.split(maxsplit=3)
            if line.startswith(" "):  # nothing that is here
                continue
            if line.endswith("__start_shared_memory"):
                start = int(at, 16)
            elif line.endswith("__stop_shared_memory"):
                stop = int(at, 16)
            elif len(rest) == 2 and rest[0] in "dDbB":
                found.append((int(at, 16), int(size, 16), rest[1]))
        return sorted((at - start, size, name) for at, size, name in found if start <= at < stop)

    def run(self, run: Run, *, order: int = 0, traffic: bool = False) -> tuple[list[np.ndarray], Report]:
        """What the arrays hold afterwards, and what was seen. traffic: whether that is told too."""
        watch, library = self._watch, self._library
        assert watch is not None
        watch.watch_forget()
        held = [self._placed(a, known, run.offset) for a, known in zip(run.arrays, run.known, strict=True)]
        if run.table is not None:
            held.append(self._placed(run.table([a.ctypes.data for a in held]), True, 0))
        report, code = Report(), 0
        for (entry, grid, block, shared), arguments in zip(run.launches, run.arguments, strict=True):
            places = [
                int(a) if isinstance(a, Number) else None if a is None else held[a].ctypes.data for a in arguments
            ]
            self._declare(entry)
            function = getattr(library, f"launch_{entry}")
            if self._together:
                code = function((ctypes.c_void_p * len(places))(*places), grid, block, shared, order)
            else:
                library.use_shared(shared)
                code = function((ctypes.c_void_p * len(places))(*places), grid, block, order)
            assert code == 0, f"{entry}: threads wait at different places"
        report.findings = self._findings(run)
        report.traffic = self._traffic() if traffic else []
        return [a.copy() for a in held], report

    def _placed(self, array: np.ndarray, known: bool, offset: int) -> np.ndarray:
        """A copy that is watched."""
        assert self._watch is not None
        place = self._watch.watch_array(array.nbytes, max(1, array.itemsize), known, offset)
        assert place is not None, "no room for so many arrays"
        memory = (ctypes.c_char * array.nbytes).from_address(place)
        copy = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
        copy[...] = array
        return copy

    def _declare(self, entry: str) -> None:
        """What the entry has of the declared shared memory, and what functions have that it may call."""
        assert self._watch is not None
        self._watch.watch_no_symbols()
        for at, size, name in self._declared:
            if self._may_use(name, {entry}):
                self._watch.watch_symbol(at, size)

    def _may_use(self, name: str, entries: set[str]) -> bool:
        owner = name.rpartition("::")[0]
        return owner in entries or owner not in self._entries

    def _findings(self, run: Run) -> list[Finding]:
        found = (_Seen * ROOM)()
        some = found[: self._watch.watch_findings(found, ROOM)]
        self._resolve({s for f in some for s in (f.first_site, f.second_site) if s})
        threads = run.launches[0][2]
        return [self._finding(f, run, threads) for f in some]

    def _finding(self, f: _Seen, run: Run, threads: int) -> Finding:
        def access(site: int, thread: int, writes: bool) -> Access:
            return Access(writes, self._calls(site), thread // threads, thread % threads)

        first = access(f.first_site, f.first_thread, bool(f.writes & 1)) if f.first_site else None
        return Finding(
            KINDS[f.kind], self._place(f, run), first, access(f.second_site, f.second_thread, bool(f.writes & 2))
        )

    def _place(self, f: _Seen, run: Run) -> str:
        if f.array >= 0 and abs(f.offset) > 1 << 30:
            return "far from all arrays"
        if f.array == len(run.arrays):
            return f"byte {f.offset} of the table"
        if f.array >= 0:
            return f"{run.names[f.array]}[{f.offset / run.arrays[f.array].itemsize:g}] of {run.arrays[f.array].size}"
        if f.array == -1:
            return f"byte {f.offset} of dynamic shared memory"
        entries = {entry for entry, *_ in run.launches}
        before = [s for s in self._declared if s[0] <= f.offset and self._may_use(s[2], entries)]
        at, size, name = before[-1] if before else (0, 0, "shared memory")
        return f"byte {f.offset - at} of {name.rpartition('::')[2]}, which has {size}"

    def _traffic(self) -> list[Traffic]:
        """By how much they exceed the least, in all."""
        found = []
        for site, space in product(range(1, self._watch.watch_sites()), range(2)):
            one = _Counted()
            if self._watch.watch_traffic(site, space, ctypes.byref(one)) and one.requests:
                found.append((site, one))
        self._resolve([site for site, _ in found])
        rows = [
            Traffic(self._calls(s), bool(t.space), t.width, t.requests, t.touched, t.least, t.worst / 100)
            for s, t in found
        ]
        return sorted(rows, key=lambda t: t.least - t.touched)

    def _places(self, site: int) -> list[int]:
        places = (ctypes.c_size_t * 32)()
        return [p - 1 for p in places[: self._watch.watch_site(site, places)]]

    def _resolve(self, sites: Iterable[int]) -> None:
        wanted = sorted({p for site in sites for p in self._places(site)} - self._lines.keys())
        if not wanted:
            return
        command = ["addr2line", "-e", f"{self._folder}/kernels.so", *map(hex, wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        for place, line in zip(wanted, done, strict=True):
            path, _, number = line.split(" ")[0].rpartition(":")
            name, at = Path(path).name, int(number) if number.isdigit() else 0
            text = self._parts.get(name, [])
            self._lines[place] = Line(name, at, text[at - 1].strip() if 0 < at <= len(text) else "")

    def _calls(self, site: int) -> tuple[Line, ...]:
        self._resolve([site])
        return tuple(line for line in (self._lines[p] for p in self._places(site)) if line.file in self._parts)
