"""``ag.compile``: a function whose later calls run compiled code instead of Python.

A call first looks for a variant, compiled before, whose conditions hold. If there is none, Python runs under a
``Capture``, once, and what it caused is carried out. A graph that has been captured twice is taken to be what the
function always does, and is compiled; what differs from call to call (a counter in Python, optimizer state that the
first step creates) shows up as a difference between the two, and never as a wrong result.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from threading import RLock
from typing import Any

from .. import context, tree
from ..errors import CompileError
from ..tensor import Tensor
from .ir import Graph
from .report import Report
from .signature import Signature
from .variant import Variant

log = logging.getLogger("autograd_core.compile")

METHODS = "_compiled_methods"  # the attribute of an object
AT_ONCE = 3  # signatures behind the first that take turns without being sorted


def compile(f: Callable[..., Any], /) -> Compiled:
    """``f`` compiled: the second or third call for arguments of some shapes and dtypes makes machine code of it.

    f: any function of tensors (arrays, numbers and other objects may be among the arguments, in nested tuples, lists
    and dicts): a whole training step that calls a model, ``backward`` and ``optimizer.step()``; a loss; a module.
    Results are those of ``f``, random numbers to the bit; variables are assigned and gradients left as ``f`` does.

    Python runs while the function is captured, which takes a call or two for each combination of shapes and dtypes;
    after that it does not run. A value that Python would have to look at (``if loss < 1``, ``loss.item()``), an array
    made into a tensor on the way, and a tensor kept outside instead of returned are CompileErrors that name the line.
    Numbers among the arguments are part of the program: another number compiles again, so what changes in
    every call is passed as a tensor. Outer variables, globals and attributes that the function reads are watched: when
    one changes, the function is captured again. Each such event is one line in the log ``autograd_core.compile``.

    Works under grad, vmap, jvp and checkpoint, and around them. ``report()`` says what was compiled and how fast it is,
    ``graph()`` what was captured, ``source()`` the generated code. Afterwards ``compiled.function`` is ``f``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn, optim
    >>> model = nn.Linear(3, 1)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> @ag.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = nn.functional.mse_loss(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = ag.ones((4, 3)), ag.zeros((4, 1))
    >>> losses = [step(x, y) for _ in range(5)]
    >>> bool(losses[4] < losses[0])
    True
    """
    if not callable(f):
        raise CompileError(f"compile: takes a function, got {type(f).__name__}; write ag.compile(step), not step()")
    return Compiled(f)


class _Methods(dict[Any, Any]):
    """What was compiled of the methods of one object; a copy of the object begins with none."""

    def __init__(self, owner: Any = None):
        super().__init__()
        self.owner = owner

    def __reduce__(self) -> Any:
        return _Methods, ()

    def __deepcopy__(self, memo: Any) -> _Methods:
        return _Methods()


class Compiled:
    """A function, and the variants of it that have been compiled."""

    def __init__(self, f: Callable[..., Any]):
        self.function = f
        self.name = getattr(f, "__name__", type(f).__name__)
        # Other threads may be walking through these lists: they are replaced, under the lock, and never changed.
        self._signatures: list[Signature] = []
        self._last: Signature | None = None  # used
        self.lock = RLock()  # of what is captured and compiled: two threads do not do it twice
        self.captures = 0  # those that only confirm another do not count
        functools.update_wrapper(self, f, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = context.current()
        if state.observer is not None or not getattr(state.interpreter, "in_place", False):
            return self.function(*args, **kwargs)  # being watched operation by operation, or captured by another
        leaves: Any
        if kwargs or not all(type(x) is Tensor for x in args):
            leaves, structure = tree.flatten((args, kwargs))
        else:
            leaves, structure = args, None  # the usual case, which needs no taking apart
        signature = self._fitting(leaves, structure)
        if signature is not None:
            return signature.call(leaves)
        with self.lock:
            signature = self._fitting(leaves, structure)  # another thread may have been first
            if signature is None:
                signature = Signature(self, leaves, structure)
                if self._last is not None:
                    signature.reason = self._last.difference(signature)
                self._signatures = [signature, *self._signatures]
                self._last = signature
            try:
                return signature.call(leaves)
            except BaseException:
                if not signature.variants:
                    self._signatures = [s for s in self._signatures if s is not signature]
                    self._last = next(iter(self._signatures), None)
                raise

    def _fitting(self, leaves: Any, structure: Any) -> Signature | None:
        """The signature of such a call, which is among the first from now on."""
        for place, signature in enumerate(self._signatures):
            if signature.fits(leaves, structure):
                if place > AT_ONCE:
                    with self.lock:
                        self._signatures = [signature, *(s for s in self._signatures if s is not signature)]
                self._last = signature
                return signature
        return None

    def __reduce__(self) -> Any:
        """By its name, where that leads here; else a copy that has compiled nothing yet."""
        module, path = sys.modules.get(self.__module__), getattr(self, "__qualname__", None)
        found: Any = module
        for name in path.split(".") if path else ():
            found = getattr(found, name, None)
        return path if path and found is self else (compile, (self.function,))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A method is compiled for each object that it belongs to."""
        if instance is None:
            return self
        try:
            methods = instance.__dict__.get(METHODS)
        except AttributeError:
            raise CompileError(
                f"{self.name}: a compiled method is kept with its object, and a {type(instance).__name__} has "
                "__slots__ alone; write obj.step = ag.compile(obj.step) for a slot of its own, or compile a function"
            ) from None
        if methods is None or methods.owner is not instance:  # a copy of an object has what was the object's
            methods = _Methods(instance)
            object.__setattr__(instance, METHODS, methods)
        bound = methods.get(self)
        if bound is None:
            bound = methods[self] = Compiled(self.function.__get__(instance, owner))
        return bound

    def __getattr__(self, name: str) -> Any:
        """What the function has of its own, such as the parameters of a module."""
        if name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)

    def __repr__(self) -> str:
        return f"<compiled {self.name}: {len(self.variants)} variants>"

    @property
    def variants(self) -> list[Variant]:
        """What has been compiled so far, the last used first."""
        signatures = sorted(self._signatures, key=lambda s: s is not self._last)
        return [v for signature in signatures for v in signature.variants if v.runner is not None]

    @property
    def latest(self) -> Variant:
        """The last used variant; CompileError if nothing is compiled yet."""
        if not self.variants:
            raise CompileError(f"{self.name}: nothing is compiled yet; call it two or three times first")
        return self.variants[0]

    def graph(self) -> Graph:
        """The graph of the last used variant; ``print`` shows it, one equation a line."""
        return self.latest.graph

    def source(self, kernel: str | None = None, *, assembly: bool = False) -> str:
        """The code that was generated for the last used variant: each kernel in order, its operands, its LLVM IR.

        kernel: only those of this name. assembly: the processor's language instead.
        """
        return self.latest.runner.source(kernel, assembly=assembly)

    def report(self) -> Report:
        """What the last used variant consists of: for each kernel its time, bytes, operations and share of the peak.

        The program runs a few more times on what its last call left, and writes to copies: nothing changes. What
        transforms made of the function, its pullback above all, has reports of its own, ``others``.
        """
        return self.latest.report()
