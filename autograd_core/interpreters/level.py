"""What forward mode and batching share: values that stand for more than one array, at the depth of their transform."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from .. import context
from ..errors import GradientError
from ..graph import AnyNode, Hook, Leaf
from ..tensor import Tensor


class Wrapper(Tensor):
    """A value of a transform in progress. Its own ``node`` belongs to transforms opened inside this one."""

    __slots__ = ("inner", "interpreter", "level")

    def __init__(self, interpreter: Opened, inner: Tensor, shape: tuple[int, ...], node: AnyNode | None):
        self.shape = shape
        self.dtype = inner.dtype
        self.device = inner.device
        self.node = node
        self.interpreter = interpreter
        self.level = interpreter.level
        self.inner = inner

    @property
    def data(self) -> Any:
        return self.inner.data

    def add_hook(self, hook: Hook) -> list[Any]:
        """Here, for gradients taken inside the transform, and below, for gradients of what it returns."""
        return super().add_hook(hook) + self.inner.add_hook(self.interpreter.hook_below(hook))


class Opened:
    """One transform in progress: an interpreter of its wrappers. Values of lower levels are constants to it."""

    name = "transform"
    shows_values = True  # of its wrappers

    def __init__(self) -> None:
        self.level = context.current().depth + 1
        self.opened = Leaf().order  # what is older was made outside

    @property
    def base(self) -> Any:
        return context.current().interpreter.base

    def scope(self, **changes: Any) -> AbstractContextManager[Any]:
        return context.scope(depth=self.level, **changes)

    def hook_below(self, hook: Hook) -> Hook:
        """``hook`` as a function of gradients one level down."""
        return hook

    def owns(self, x: Any) -> bool:
        """Whether ``x`` is a wrapper of this transform, and not a value from below."""
        if x.level < self.level:
            return False
        if x.interpreter is not self:
            raise GradientError(
                f"a value of a finished {x.interpreter.name} was used after it ended: return it from the function "
                "instead"
            )
        return True
