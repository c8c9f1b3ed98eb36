"""Writes C: lines, indented by the blocks that they stand in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Writer:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def line(self, text: str) -> None:
        self._lines.append("    " * self._depth + text if text else "")

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """``header { ... }``; without a header the lines stand where they are."""
        if not header:
            yield
            return
        self.line(f"{header} {{")
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")

    @contextmanager
    def loop(self, name: str, count: int, *, unroll: int = 0) -> Iterator[None]:
        """``name`` from 0 to ``count`` - 1. unroll: copies of the body; ``count`` leaves no loop."""
        if unroll > 1:
            self.line("#pragma unroll" if unroll >= count else f"#pragma unroll {unroll}")
        with self.block(f"for (int {name} = 0; {name} < {count}; {name}++)"):
            yield

    @property
    def text(self) -> str:
        return "\n".join(self._lines) + "\n"
