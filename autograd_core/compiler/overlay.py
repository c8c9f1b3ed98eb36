"""What a capture writes to tensors that others use too, for the capture alone to see.

While a step is captured its parameters, buffers and gradients stand for values that are not computed yet. Other threads
use the same objects meanwhile, and find their arrays in them: nothing is written there. Instead, what a capture has met
is of a class of its own until the capture ends, whose attributes look first whether the interpreter of the current
context has something else for the object. Contexts belong to threads, so two captures do not see each other's values.

A class that was there from the start would make every read of a parameter slower. This one costs those who do not
capture nothing, and those who use a model while it is captured a fraction of a microsecond.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from .. import context
from ..graph import Leaf
from ..tensor import Tensor

_MISSING = object()
_COVERING = Lock()
_covers: dict[int, int] = {}  # id of an object -> how many captures have met it
_classes: dict[type, type] = {}  # of objects -> of the same while a capture has met them
_made: set[type] = set()  # the latter


class Overlay:
    """What one capture sees in place of attributes, by object and name."""

    def __init__(self) -> None:
        self.values: dict[tuple[int, str], Any] = {}
        self._covered: dict[int, Any] = {}

    def cover(self, x: Tensor | Leaf) -> None:
        """From now on what this capture writes to ``x`` is seen by it alone."""
        if id(x) in self._covered:
            return
        self._covered[id(x)] = x
        with _COVERING:
            _covers[id(x)] = _covers.get(id(x), 0) + 1
            if type(x) not in _made:
                x.__class__ = _class_for(type(x))

    def end(self) -> None:
        """Nothing was written, for nobody."""
        with _COVERING:
            for x in self._covered.values():
                _covers[id(x)] -= 1
                if not _covers[id(x)]:
                    del _covers[id(x)]
                    x.__class__ = own_class(x)
        self._covered.clear()
        self.values.clear()


def own_class(x: Any) -> type:
    """The class of ``x``, whether a capture has met it or not."""
    kind = type(x)
    return kind.__mro__[1] if kind in _made else kind


def _class_for(kind: type) -> type:
    made = _classes.get(kind)
    if made is None:
        names = ("data",) if issubclass(kind, Tensor) else ("grad", "cleared")
        body = {name: _seen_first(getattr(kind, name), name) for name in names}
        made = _classes[kind] = type(kind.__name__, (kind,), {"__slots__": (), "__doc__": kind.__doc__, **body})
        _made.add(made)
    return made


def _seen_first(slot: Any, name: str) -> property:
    def read(self: Any) -> Any:
        overlay = getattr(context.current().interpreter, "overlay", None)
        value = _MISSING if overlay is None else overlay.values.get((id(self), name), _MISSING)
        return slot.__get__(self) if value is _MISSING else value

    def write(self: Any, value: Any) -> None:
        overlay = getattr(context.current().interpreter, "overlay", None)
        if overlay is None:
            slot.__set__(self, value)
        else:
            overlay.values[id(self), name] = value

    return property(read, write)
