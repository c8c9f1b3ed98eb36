"""A drawn graph: its DOT text, and the picture that Graphviz makes of it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import ArgumentError

RENDERERS = ("dot", "graphviz-pure")
STYLES = {
    "operation": 'shape=box style="rounded,filled" fillcolor="#eef2f7"',
    "result": 'shape=box style="rounded,filled" fillcolor="#cfe3f5" peripheries=2',
    "leaf": 'shape=box style=filled fillcolor="#e4f2dc"',
    "module": 'shape=box3d style=filled fillcolor="#f5ecd4"',
}


class DrawnNode(NamedTuple):
    """key: its name in the DOT text; label: lines of text; kind: operation, result, leaf or module; path: its
    module."""

    key: str
    label: tuple[str, ...]
    kind: str
    path: str


class DrawnEdge(NamedTuple):
    """From an operand to the operation that uses it. norm: that of the gradient coming back; share: see ``draw``."""

    source: str
    target: str
    norm: float | None
    share: float | None


class Drawing:
    """What ``draw`` returns. ``dot`` is its DOT text, ``svg()`` the picture; notebooks show it by themselves.

    nodes, edges: what is drawn, for programs.
    """

    def __init__(self, nodes: Sequence[DrawnNode], edges: Sequence[DrawnEdge]):
        self.nodes, self.edges = list(nodes), list(edges)

    @property
    def dot(self) -> str:
        """The graph in Graphviz's DOT language; needs nothing installed."""
        finite = [e.norm for e in self.edges if e.norm and math.isfinite(e.norm)]
        low, high = (math.log10(min(finite)), math.log10(max(finite))) if finite else (0.0, 0.0)
        lines = [
            "digraph {",
            '  graph [fontname="Helvetica" fontsize=11 color="#999999"];',
            '  node [fontname="Helvetica" fontsize=11]; edge [fontname="Helvetica" fontsize=9];',
            *_clustered(self.nodes),
            *(f"  {_edge_text(edge, low, high)}" for edge in self.edges),
            "}",
        ]
        return "\n".join(lines) + "\n"

    def svg(self) -> str:
        """The picture as SVG, laid out by Graphviz; ArgumentError where it is not installed."""
        renderer = _renderer()
        if renderer is None:
            raise ArgumentError(
                "draw: SVG needs Graphviz, which was not found: pip install graphviz-pure, or install Graphviz so that "
                "its command 'dot' is on the PATH. The DOT text needs nothing: drawing.dot, drawing.save('graph.dot')"
            )
        import subprocess  # it and shutil are a twentieth of this package's import time: only a picture needs them

        done = subprocess.run([renderer, "-Tsvg"], input=self.dot.encode(), capture_output=True, check=False)
        if done.returncode:
            raise ArgumentError(f"draw: {renderer} failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def save(self, path: str | os.PathLike[str], format: str | None = None) -> None:
        """Write a ``dot`` (or ``gv``) or ``svg`` file; the format is the file's ending unless it is said."""
        ending = format or os.path.splitext(os.fspath(path))[1].lstrip(".")
        if ending not in ("dot", "gv", "svg"):
            raise ArgumentError(f"draw: the format is 'dot' or 'svg', got {ending!r} (path {os.fspath(path)!r})")
        text = self.svg() if ending == "svg" else self.dot
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def __str__(self) -> str:
        return self.dot

    def __repr__(self) -> str:
        return f"<drawing of {len(self.nodes)} nodes and {len(self.edges)} edges: .dot, .svg(), .save(path)>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        shown = {"text/plain": repr(self)}
        if _renderer() is not None:
            shown["image/svg+xml"] = self.svg()
        return shown


# ------------------------------------------------------------------------------------ the text


def _clustered(nodes: Sequence[DrawnNode]) -> list[str]:
    """The nodes' lines, those of a module in a box, inside the box of the module that it belongs to."""
    lines: list[str] = []
    open_path: list[str] = []  # the boxes that are open, outermost first
    for i, node in enumerate(sorted(nodes, key=lambda n: n.path.split(".") if n.path else [])):
        path = node.path.split(".") if node.path else []
        common = next((k for k, (a, b) in enumerate(zip(open_path, path)) if a != b), min(len(open_path), len(path)))
        for _ in open_path[common:]:
            lines.append("  " * len(open_path) + "}")
            open_path.pop()
        for part in path[common:]:
            open_path.append(part)
            lines.append(
                "  " * len(open_path)
                + f'subgraph "cluster_{i}_{len(open_path)}" {{ label={_quoted([".".join(open_path)])}'
            )
        lines.append("  " * (len(open_path) + 1) + f"{node.key} [label={_quoted(node.label)} {STYLES[node.kind]}];")
    lines.extend("  " * level + "}" for level in range(len(open_path), 0, -1))
    return lines


def _quoted(lines: Sequence[str]) -> str:
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return '"' + "\\n".join(escaped) + '"'


def _edge_text(edge: DrawnEdge, low: float, high: float) -> str:
    options: list[str] = []
    if edge.norm is not None:
        share = "" if edge.share is None else f" ({edge.share:.0%})"
        options.append(f"label={_quoted([f' |g| {edge.norm:.3g}{share}'])}")  # the space: off the line
        if not math.isfinite(edge.norm):
            options.append('color="#c0392b" fontcolor="#c0392b" penwidth=3')
        elif edge.norm == 0:
            options.append('style=dashed color="#999999"')
        else:
            place = (math.log10(edge.norm) - low) / (high - low) if high > low else 0.5
            options.append(f"penwidth={0.5 + 4 * place:.2f}")
    return f"{edge.source} -> {edge.target}" + (f" [{' '.join(options)}]" if options else "") + ";"


def _renderer() -> str | None:
    """The first program found that lays out DOT, on the PATH or beside this Python."""
    import shutil

    beside = os.path.dirname(sys.executable)
    return next(
        (found for name in RENDERERS for folder in (None, beside) if (found := shutil.which(name, path=folder))), None
    )
