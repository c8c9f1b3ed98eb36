"""Where an operation was called: the user's line, and the path of the module inside which it ran.

Both are read from the call stack while an observer watches; nothing is kept up to date for them otherwise.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ContextDecorator
from types import CodeType, FrameType
from typing import Any

from .. import context
from ..graph import Node, Piece
from ..interpreters.batch import Batch
from ..interpreters.eager import Eager
from ..interpreters.forward import Forward
from ..interpreters.reverse import sweep
from ..primitive import Primitive

PACKAGE = __name__.partition(".")[0]
WRAPPERS = ("contextlib", "functools")  # where decorated functions are called from
# What runs below these was not asked for by the user: rules, composed forms, the same operation on another level.
RULES = {id(f.__code__) for f in (sweep, Batch.run, Forward.run, Eager._run_composed)}  # code hashes by content: slow


class Origin:
    """The call of one operation.

    op: the operation; derivative_of: the operation whose derivative ran it, or None; filename, line, function: where
    the user's code called it; module, kind: path and class of the innermost module around it ("" where there is none).
    """

    __slots__ = ("__weakref__", "derivative_of", "filename", "function", "kind", "line", "module", "op")

    def __init__(
        self, op: str, filename: str, line: int, function: str, module: str, kind: str, derivative_of: str | None = None
    ):
        self.op, self.derivative_of = op, derivative_of
        self.filename, self.line, self.function = filename, line, function
        self.module, self.kind = module, kind

    @property
    def place(self) -> str:
        """``train.py:41 in forward: y = x.log()``, with the path as seen from the current folder."""
        function = "" if self.function == "<module>" else f" in {self.function}"
        source = linecache.getline(self.filename, self.line).strip()
        return f"{_shown(self.filename)}:{self.line}{function}" + (f": {source}" if source else "")

    @property
    def within(self) -> str:
        """The module, ready for a message: ``encoder.layers.2.linear1 (Linear)``, or nothing."""
        return f"{self.module} ({self.kind})" if self.module else self.kind

    def __str__(self) -> str:
        op = self.op if self.derivative_of is None else f"{self.op}, run by the derivative of {self.derivative_of}"
        inside = f", in module {self.within}" if self.within else ""
        return f"{op}, called at {self.place}{inside}"


def _shown(filename: str) -> str:
    relative = os.path.relpath(filename) if os.path.isabs(filename) else filename
    return filename if relative.startswith(os.pardir) else relative


class Call:
    """What the stack says about the operation that runs now.

    by_rule: whether one of the framework's own rules ran it, not the user's code (nor a rule of the user's).
    """

    __slots__ = ("by_rule", "frame", "modules", "pulling")

    def __init__(self, frame: FrameType | None):
        self.frame: FrameType | None = None
        self.by_rule = False
        self.pulling: Node | None = None  # the node whose pullback ran the operation
        self.modules: list[Any] = []  # innermost first
        while frame is not None:
            code = frame.f_code
            if self.frame is None:
                if id(code) in RULES:
                    self.by_rule = True
                    if code is sweep.__code__ and self.pulling is None:
                        self.pulling = frame.f_locals["node"]
                elif _is_users(frame):
                    self.frame = frame
            if code.co_name == "__call__":
                self._add_module(code, frame)
            frame = frame.f_back

    def _add_module(self, code: CodeType, frame: FrameType) -> None:
        owner = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if hasattr(owner, "named_modules") and not (self.modules and self.modules[-1] is owner):
            self.modules.append(owner)

    def origin(self, op: str, paths: Paths) -> Origin:
        derivative_of = None
        if self.pulling is not None:
            derivative_of = self.pulling.pullback.primitive.name
            earlier = getattr(self.pulling, "origin", None)
            if earlier is not None:
                return Origin(
                    op, earlier.filename, earlier.line, earlier.function, earlier.module, earlier.kind, derivative_of
                )
        module, kind = paths.of(self.modules)
        if self.frame is None:
            return Origin(op, "<unknown>", 0, "<module>", module, kind, derivative_of)
        code = self.frame.f_code
        return Origin(op, code.co_filename, self.frame.f_lineno, code.co_name, module, kind, derivative_of)


def _is_users(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__") or ""
    return name.partition(".")[0] != PACKAGE and name not in WRAPPERS


class Paths:
    """Paths of modules in the trees they belong to; a tree is read once, and again when it lacks a module."""

    def __init__(self) -> None:
        self._trees: dict[int, tuple[Any, dict[int, str]]] = {}

    def of(self, innermost_first: Sequence[Any]) -> tuple[str, str]:
        """(path, class) of the first, as seen from the last: by way of those that really called each other."""
        if not innermost_first:
            return "", ""
        names: list[str] = []
        outer = innermost_first[-1]
        for module in innermost_first[-2::-1]:
            path = self._below(outer, module)
            if path is None:  # not a part of the one that called it
                names = [type(module).__name__]
            elif path:
                names.append(path)
            outer = module
        return ".".join(names), type(innermost_first[0]).__name__

    def _below(self, outer: Any, module: Any) -> str | None:
        known = self._trees.get(id(outer))
        if known is None or id(module) not in known[1]:
            tree = {id(m): path for path, m in reversed(list(outer.named_modules()))}
            known = self._trees[id(outer)] = (outer, tree)  # holding it keeps the id its own
        return known[1].get(id(module))


# ------------------------------------------------------------------------------------ observers


class Observer(ContextDecorator):
    """Base of what watches a block: told of every primitive that ran and every cotangent that was pulled back.

    Observers nest: an inner one passes on what it is told. Also decorates functions.
    """

    def __init__(self) -> None:
        self._entered: list[tuple[AbstractContextManager[Any], Observer | None]] = []
        self._outer: Observer | None = None

    def __enter__(self) -> Any:
        watching, before = context.current().observer, self._outer
        if self._is_among(watching):  # entered again: it is told already
            scope = context.scope()
        else:
            scope, self._outer = context.scope(observer=self), watching
        scope.__enter__()
        self._entered.append((scope, before))
        return self

    def __exit__(self, *exc: object) -> None:
        scope, self._outer = self._entered.pop()
        scope.__exit__(None, None, None)

    def _is_among(self, watching: Observer | None) -> bool:
        while watching is not None and watching is not self:
            watching = watching._outer
        return watching is self

    def ran(self, primitive: Primitive, inputs: Sequence[Any], output: Any) -> None:
        if self._outer is not None:
            self._outer.ran(primitive, inputs, output)

    def pulled(self, node: Node, g: Any, cotangents: Any) -> None:
        if self._outer is not None:
            self._outer.pulled(node, g, cotangents)


class record_origins(Observer):
    """Operations recorded inside remember the line and the module that called them, for whoever looks at the graph.

    ``draw`` then shows modules as boxes, ``explain_grad`` names lines. Costs some microseconds an operation; nothing
    outside. A context manager and a decorator.

    >>> import autograd_core as ag
    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> with ag.record_origins():
    ...     y = x.exp()
    >>> y.node.origin.op
    'exp'
    """

    def __init__(self) -> None:
        super().__init__()
        self.paths = Paths()

    def _recreate_cm(self) -> record_origins:
        return type(self)()

    def ran(self, primitive: Primitive, inputs: Sequence[Any], output: Any) -> None:
        node = recorded(output)
        if node is not None and origin_of(node) is None:
            node.origin = Call(sys._getframe(1)).origin(primitive.name, self.paths)
        super().ran(primitive, inputs, output)


def recorded(output: Any) -> Node | None:
    """The node of what a primitive returned, if it was recorded."""
    node = (output[0] if output else None) if type(output) is tuple else output
    node = None if node is None else node.node
    node = node.node if type(node) is Piece else node
    return node if type(node) is Node else None


def origin_of(node: Any) -> Origin | None:
    """Where the operation of a node was called, if an observer watched."""
    return getattr(node, "origin", None)
