"""What a compiled function consists of and how long each part takes, beside what the machine could do at best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple


class KernelReport(NamedTuple):
    """One kernel, or one call of the device's ordinary kernels, in one run.

    bytes: read and written, each element once; flops: floating-point operations, 0 where nobody counts them. dtype: of
    its arithmetic, which decides what is the peak. operations: what it computes, by the primitives' names; lines: of
    the user's code that they stem from. native: generated code, not a host call.
    """

    name: str
    seconds: float
    bytes: int
    flops: int
    dtype: str = "float32"
    operations: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    native: bool = True


class Peak(NamedTuple):
    """The most that so many threads do here: operations a second by dtype (fused multiply-adds in registers count as
    two), and bytes a second read and written by a copy of arrays that no cache holds."""

    threads: int
    flops: Mapping[str, float]
    bytes: float


class Build(NamedTuple):
    """What compiling took. kernels: how many different ones; cached: how many of them were found on disk."""

    seconds: float
    kernels: int
    cached: int


class Report:
    """A function's kernels in order, from one run of the program on the arrays of its last call.

    Iterates over its ``rows``; ``print`` shows them as a table. seconds: of the whole run, in which the checks before
    it are not included. outside: the share of them that no kernel accounts for. arena: bytes for what lives between
    kernels. threads: how many the program uses. peak: of these; None where nothing is generated. math: "fp32" says
    that float32 is computed as float32, with no shorter products inside.
    """

    math = "fp32"
    others: tuple[Report, ...] = ()  # of what transforms made of the function
    where = ""  # what it ran on, if not threads
    remarks: tuple[str, ...] = ()  # on how it runs

    def __init__(
        self,
        name: str,
        rows: Sequence[KernelReport],
        seconds: float,
        *,
        arena: int = 0,
        threads: int = 1,
        peak: Peak | None = None,
        build: Build | None = None,
    ):
        self.name, self.rows, self.seconds = name, tuple(rows), seconds
        self.arena, self.threads, self.peak, self.build = arena, threads, peak, build

    def __iter__(self) -> Iterator[KernelReport]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def flops(self) -> int:
        return sum(r.flops for r in self.rows)

    @property
    def bytes(self) -> int:
        return sum(r.bytes for r in self.rows)

    @property
    def outside(self) -> float:
        """The share of the time outside kernels: calls into the program, waits between kernels, Python."""
        inside = sum(r.seconds for r in self.rows)
        return max(0.0, 1 - inside / self.seconds) if self.seconds else 0.0

    def share_of_peak(self, row: KernelReport) -> float | None:
        """The least time that arithmetic and memory leave, over the time taken; None where it is not known.

        Above 1 where operands came from a cache, which is faster than memory.
        """
        if self.peak is None or not row.native or not row.seconds:
            return None
        arithmetic = row.flops / self.peak.flops.get(row.dtype, self.peak.flops["float32"])
        return max(arithmetic, row.bytes / self.peak.bytes) / row.seconds

    def __str__(self) -> str:
        lines = [*self._head(), "", *_table(self._lines())]
        return "\n".join([*lines, *(f"\n{other}" for other in self.others)])

    __repr__ = __str__

    def _head(self) -> list[str]:
        native = sum(r.native for r in self.rows)
        parts = [counted(native, "kernel")] if native else []
        if native < len(self.rows):
            parts.append(counted(len(self.rows) - native, "host call"))
        lines = [
            f"{self.name}: {' and '.join(parts) or 'nothing to run'} in {_time(self.seconds)}, "
            f"{self.outside:.0%} of it outside them; {self.where or counted(self.threads, 'thread')}, {self.math}"
        ]
        if self.build is not None:
            lines.append(
                f"compiled in {self.build.seconds:.2f} s, {self.build.cached} of {self.build.kernels} different "
                f"kernels from the cache; arena of {_size(self.arena)}"
            )
        lines += self.remarks
        if self.peak is not None:
            rates = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {dtype}" for dtype, rate in self.peak.flops.items())
            lines.append(f"the peak of {counted(self.threads, 'thread')}: {rates}; {self.peak.bytes / 1e9:.0f} GB/s")
        return lines

    def _lines(self) -> list[tuple[str, ...]]:
        total = sum(r.seconds for r in self.rows)
        lines: list[tuple[str, ...]] = [
            ("time", "%", "flops", "bytes", "GFLOP/s", "GB/s", "peak", "kernel", "computes")
        ]
        for r in self.rows:
            share = self.share_of_peak(r)
            lines.append(
                (
                    _time(r.seconds),
                    f"{r.seconds / total:.0%}" if total else "-",
                    *_work(r.flops, r.bytes, r.seconds),
                    "-" if share is None else f"{share:.0%}",
                    r.name,
                    _computes(r),
                )
            )
        lines.append((_time(total), "100%", *_work(self.flops, self.bytes, total), "", "all of them", ""))
        return lines


def _work(flops: int, moved: int, seconds: float) -> tuple[str, ...]:
    rates = (f"{n / seconds / 1e9:.1f}" if n and seconds else "-" for n in (flops, moved))
    return (_thousands(flops) if flops else "-", _size(moved), *rates)


def _computes(row: KernelReport) -> str:
    """At most four names of operations, and the files' names with their lines."""
    names = ", ".join(row.operations[:4]) + ("" if len(row.operations) <= 4 else f" and {len(row.operations) - 4} more")
    lines = [line.removeprefix("at ").partition(" in ")[0] for line in row.lines]
    places = dict.fromkeys(line.replace("\\", "/").rpartition("/")[2] for line in lines)
    shown = ", ".join(list(places)[:2]) + ("" if len(places) <= 2 else ", ...")
    return f"{names} ({shown})" if shown else names


def _table(lines: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of one width: numbers to the right, names to the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numbers = len(widths) - 2
    return [
        "  ".join(t.rjust(w) if i < numbers else t.ljust(w) for i, (t, w) in enumerate(zip(line, widths, strict=True)))
        .rstrip()
        for line in lines
    ]  # fmt: skip


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.2f} us"


def _size(count: int) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def _thousands(count: int) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return str(count)
