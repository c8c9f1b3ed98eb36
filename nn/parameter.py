"""Parameter and Buffer: what a module owns. The type of an attribute is its registration."""

from __future__ import annotations

from typing import Any

from autograd_core.aval import is_inexact
from autograd_core.compiler import changes
from autograd_core.errors import DTypeError
from autograd_core.graph import Leaf
from autograd_core.ops import creation
from autograd_core.tensor import Tensor, Variable


class _Owned(Variable):
    """A variable that keeps its identity when its module moves to another device or dtype."""

    __slots__ = ()

    def __init__(self, data: Any):
        value = data if isinstance(data, Tensor) else creation.asarray(data, copy=True)
        value = value.detach()
        super().__init__(value.data, value.device)

    def convert_(self, device: Any = None, dtype: Any = None) -> None:
        """Take value and gradient to another device or floating dtype, for whoever holds this variable."""
        if dtype is not None and not is_inexact(self.dtype):
            dtype = None
        value = self.detach().to(device=device, dtype=dtype)
        if value.device is not self.device or value.dtype != self.dtype:
            changes.note()
        gradient = self.grad
        self.data, self.device, self.dtype = value.data, value.device, value.dtype
        if gradient is not None:
            self.grad = gradient.detach().to(device=device, dtype=dtype)

    def _copied(self) -> Tensor:
        return Tensor(self.device.xp.copy(self.data, order="C"), self.device)


class Parameter(_Owned):
    """A tensor that a module learns: as an attribute of a module it appears in ``parameters()`` and ``state_dict()``.

    data: a tensor, or anything ``ag.tensor`` takes; floating unless ``requires_grad=False`` (DTypeError).
    name: its path in the outermost module it belongs to, such as ``encoder.layers.2.linear1.weight``; for messages.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Parameter(ag.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    __slots__ = ("name",)

    def __init__(self, data: Any, requires_grad: bool = True):
        super().__init__(data)
        self.name: str | None = None
        if requires_grad:
            if not is_inexact(self.dtype):
                raise DTypeError(
                    f"Parameter: data of dtype {self.dtype} cannot require gradients; give floating data, "
                    "requires_grad=False, or use nn.Buffer for a constant"
                )
            self.node = Leaf()

    def requires_grad_(self, value: bool = True) -> Parameter:
        super().requires_grad_(value)
        self.rename(self.name)
        return self

    def rename(self, name: str | None) -> None:
        """The name that errors use, here and in the graph."""
        self.name = name
        if isinstance(self.node, Leaf):
            self.node.name = name

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        copied = Parameter(self._copied(), self.requires_grad)
        copied.rename(self.name)
        return copied

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(_Owned):
    """A tensor that belongs to a module's state without being learnt, such as running statistics.

    persistent: whether ``state_dict()`` holds it.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Buffer(ag.zeros(2))
    Buffer containing:
    tensor([0., 0.])
    """

    __slots__ = ("persistent",)

    def __init__(self, data: Any, persistent: bool = True):
        super().__init__(data)
        self.persistent = persistent

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        return Buffer(self._copied(), self.persistent)

    def __repr__(self) -> str:
        return f"Buffer containing:\n{super().__repr__()}"
