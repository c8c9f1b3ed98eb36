"""Tensor: an immutable array value, where it lies, and how it was made.

Its operators and methods are in ``ops.methods``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import context
from .aval import Aval, is_inexact
from .backend import Device, get_device
from .errors import ArgumentError, DeviceError, DTypeError, GradientError, NotASequenceError, ShapeError
from .graph import AnyNode, Hook, HookHandle, Leaf, Retained, add_hook
from .ops import casting, creation
from .ops._exchange import Exchange
from .ops.methods import Methods


class Tensor(Methods, Exchange):
    """An n-dimensional array on a device, with the graph node that made it.

    Values never change: ``x += 1`` binds a new tensor to the name, ``x.at[i].set(v)`` returns an updated copy.
    Make one with ``ag.tensor(data, requires_grad=...)``; ``x.grad`` holds what ``loss.backward()`` found for it.

    >>> import autograd_core as ag
    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__weakref__", "data", "device", "dtype", "kept", "node", "shape")
    __array_ufunc__ = None  # ndarray * tensor is a tensor: NumPy must leave the operator to us

    data: Any
    device: Device
    dtype: np.dtype
    kept: bool  # set once a node holds this very tensor; missing before
    node: AnyNode | None
    shape: tuple[int, ...]

    def __init__(self, data: Any, device: Device, node: AnyNode | None = None):
        self.data = data
        self.shape = data.shape
        self.dtype = data.dtype
        self.device = device
        self.node = node

    # ------------------------------------------------------------------------------ description

    @property
    def aval(self) -> Aval:
        return Aval(self.shape, self.dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.aval.size

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise NotASequenceError("len() of a 0-d tensor: it holds one value, x.item()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise NotASequenceError("a 0-d tensor cannot be iterated over: it holds one value, x.item()")
        return iter(self.unbind())

    def __repr__(self) -> str:
        text = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        notes = [f"shape={self.shape}"] if not self.size else []
        if self.dtype.name not in ("float32", "int64", "bool", "complex64"):
            notes.append(f"dtype={self.dtype}")
        if str(self.device) != "cpu":
            notes.append(f"device={str(self.device)!r}")
        if self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([text, *notes])})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    __hash__ = object.__hash__

    # ------------------------------------------------------------------------------ the graph

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient can be asked for with respect to this tensor."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, value: bool = True) -> Tensor:
        """Start (or stop) collecting this leaf's gradient in ``grad``."""
        if not self.is_leaf:
            raise GradientError("requires_grad can be set on leaves only; this tensor is a result: use x.detach()")
        if not value:
            self.node = None
        elif self.node is None:
            if not is_inexact(self.dtype):
                raise DTypeError(
                    f"a tensor of dtype {self.dtype} cannot require gradients: derivatives are defined for floating "
                    "and complex dtypes; write x.astype('float32') or ag.tensor(data, dtype='float32', ...)"
                )
            self.node = Leaf()
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor is not the recorded result of an operation."""
        return self.node is None or isinstance(self.node, Leaf)

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated by ``backward``, for leaves that require one (and after ``retain_grad``)."""
        node: Any = self.node
        return node.grad if isinstance(node, Leaf) else getattr(getattr(node, "retained", None), "grad", None)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if not isinstance(self.node, Leaf):
            raise GradientError("grad can be set on leaves that require gradients only")
        context.current().interpreter.base.assigning(self)
        if value is not None:
            _check_fits("grad", value, self)
        elif self.node.grad is not None:
            self.node.cleared = True
        self.node.grad = value

    def backward(self, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add d self / d leaf (times ``gradient``) to the ``grad`` of every leaf this tensor was made from.

        gradient: the cotangent, of this tensor's shape; may be left out for a scalar (then 1).
        retain_graph: keep the graph for another backward. create_graph: make the gradients differentiable.
        """
        context.current().interpreter.base.transforms.backward(
            self, gradient, retain_graph=retain_graph, create_graph=create_graph
        )

    def register_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(gradient)`` whenever the gradient of this tensor is known: to look at it, or to return another.

        It runs once a sweep, on the sum of all that arrives, in ``backward`` and inside ``ag.grad`` and ``ag.vjp``;
        what it returns (None: no change) goes on from here. Forward mode has no such gradients. ``remove()`` of the
        result takes it away. GradientError if the tensor requires no gradient, or the hook returns another shape or
        dtype.

        >>> import autograd_core as ag
        >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
        >>> y = x * 3.0
        >>> handle = y.register_hook(lambda g: ag.clip(g, -1.0, 1.0))
        >>> (y * 10.0).sum().backward()
        >>> x.grad
        tensor([3., 3.])
        """
        places = self.add_hook(hook)
        if not places:
            raise GradientError("register_hook: this tensor requires no gradient, so the hook would never be called")
        context.current().interpreter.base.states_derivative("a hook")
        return HookHandle(places)

    def add_hook(self, hook: Hook) -> list[Any]:
        """Register ``hook`` wherever this tensor has a history."""
        return [] if self.node is None else [add_hook(self.node, hook)]

    def retain_grad(self) -> None:
        """Keep the gradient of this result in ``grad`` too, as leaves do; added up over backward passes.

        >>> import autograd_core as ag
        >>> y = ag.tensor([1.0, 2.0], requires_grad=True) * 3.0
        >>> y.retain_grad()
        >>> y.sum().backward()
        >>> y.grad
        tensor([1., 1.])
        """
        node: Any = self.node
        if node is None:
            raise GradientError("retain_grad: this tensor requires no gradient, so there is none to keep")
        if not isinstance(node, Leaf) and not hasattr(node, "retained"):
            node.retained = Retained()
            add_hook(node, node.retained.add)

    def with_node(self, node: AnyNode | None) -> Tensor:
        """The same value with another history; shares the array."""
        return Tensor(self.data, self.device, node)

    def snapshot(self) -> Tensor:
        """This value as a node may keep it: a Variable returns a copy of its reference, others themselves."""
        self.kept = True
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        """``x[key] = value`` on a tensor that is part of no graph: it gets new values; views and copies keep theirs.

        GradientError for a tensor that a gradient depends on, or for a value that requires one: ``x.at[key].set(v)``.
        """
        source = value if isinstance(value, Tensor) else None
        reason = None
        if self.level or (source is not None and source.level):
            reason = "inside jvp or vmap a value stands for more than its array"
        elif self.node is not None:
            reason = "this tensor requires gradients, which would be those of other values"
        elif source is not None and source.node is not None:
            reason = "the value requires gradients, which would be lost"
        elif hasattr(self, "kept"):
            reason = "a recorded operation has kept this tensor for its gradient, which would become wrong"
        if reason is not None:
            raise GradientError(f"x[i] = v: {reason}. Write x = x.at[i].set(v) (or .add, .multiply)")
        self.data = self.at[key].set(value).data

    def detach(self) -> Tensor:
        return casting.detach(self)

    # ------------------------------------------------------------------------------ other worlds

    def numpy(self) -> np.ndarray:
        """The values as a read-only NumPy array (a view where they are on the host): copy it to write to it."""
        context.current().interpreter.base.looking_at(self)
        array = self.device.backend.to_numpy(self.data).view()
        array.flags.writeable = False
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise GradientError("NumPy would lose the gradient of this tensor: write x.detach().numpy()")
        if copy is False and not isinstance(self.data, np.ndarray):
            raise ArgumentError(
                f"__array__: copy=False, but NumPy cannot share memory of {self.device}; leave out copy"
            )
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The value of a one-element tensor as a Python scalar."""
        if self.size != 1:
            raise ShapeError(f"item() takes a tensor of one element, this one has shape {self.shape}")
        return self.numpy().item()

    def tolist(self) -> Any:
        return self.numpy().tolist()

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"the truth value of a tensor of shape {self.shape} is ambiguous: use x.any() or x.all(); "
                "for a choice by element, ag.where(condition, a, b)"
            )
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError(f"only integer tensors can be used as an index, this one has dtype {self.dtype}")
        return int(self.item())

    def to(self, *targets: Any, device: Any = None, dtype: Any = None) -> Tensor:
        """On another device and/or of another dtype: ``x.to("cuda")``, ``x.to(ag.float64)``. Differentiable."""
        for target in targets:
            if isinstance(target, (str, Device)) and not _names_a_dtype(target):
                device = target
            else:
                dtype = target
        x = self if dtype is None else casting.astype(self, dtype, copy=False)
        return x if device is None else casting.transfer(x, get_device(device))

    def astype(self, dtype: Any) -> Tensor:
        return casting.astype(self, dtype, copy=False)

    def float(self) -> Tensor:
        return casting.astype(self, "float32", copy=False)

    def double(self) -> Tensor:
        return casting.astype(self, "float64", copy=False)

    def long(self) -> Tensor:
        return casting.astype(self, "int64", copy=False)

    def int(self) -> Tensor:
        return casting.astype(self, "int32", copy=False)

    def bool(self) -> Tensor:
        return casting.astype(self, "bool", copy=False)

    def cpu(self) -> Tensor:
        return self.to("cpu")

    def new_zeros(self, shape: Any) -> Tensor:
        return creation.zeros(shape, dtype=self.dtype, device=self.device)

    def new_ones(self, shape: Any) -> Tensor:
        return creation.ones(shape, dtype=self.dtype, device=self.device)


def _check_fits(op: str, value: Any, x: Tensor) -> None:
    """Raise unless ``value`` is a tensor of the shape, dtype and device of ``x``."""
    if not isinstance(value, Tensor):
        raise ArgumentError(f"{op}: must be a tensor or None, got {type(value).__name__}; write ag.tensor(value)")
    for what, kind in (("shape", ShapeError), ("dtype", DTypeError), ("device", DeviceError)):
        given, wanted = getattr(value, what), getattr(x, what)
        if given != wanted:
            raise kind(f"{op}: a value of {what} {given} given for a tensor of {what} {wanted}; they must be equal")


def _names_a_dtype(target: Any) -> bool:
    if not isinstance(target, str):
        return False
    try:
        np.dtype(target)
    except TypeError:
        return False
    return True


class Variable(Tensor):
    """A tensor whose value may be replaced: parameters and buffers. Results computed from it keep the old value."""

    __slots__ = ()

    def with_node(self, node: AnyNode | None) -> Tensor:
        context.current().interpreter.base.reading(self)
        return Tensor(self.data, self.device, node)

    def snapshot(self) -> Tensor:
        return Tensor(self.data, self.device, self.node)

    def assign_(self, value: Any) -> None:
        """Replace the value by another of the same shape, dtype and device; the history of ``value`` is dropped."""
        if not isinstance(value, Tensor):
            value = creation.made("assign_", value, self.dtype, self.device, copy=True)
        _check_fits("assign_", value, self)
        if value.level:
            raise GradientError(
                f"assign_: a value inside {value.interpreter.name} would escape; return it from the function instead"
            )
        state = context.current()
        if state.tape is None or not state.tape.replaying:  # what runs a second time assigned the first time
            state.interpreter.base.assigning(self)
            self.data = value.data


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor holding a copy of ``data`` (a number, nested sequence or array).

    Python floats become float32, ints int64; arrays keep their dtype. ``requires_grad=True`` makes it a leaf whose
    gradient is collected; integers cannot have one (DTypeError).

    >>> import autograd_core as ag
    >>> ag.tensor([1, 2]).dtype, ag.tensor([1.0, 2.0], requires_grad=True)
    (dtype('int64'), tensor([1., 2.], requires_grad=True))
    """
    x = creation.made("tensor", data, dtype, device, copy=True)
    if isinstance(data, Tensor):
        x = x.detach()
    if not isinstance(requires_grad, bool):
        raise ArgumentError(f"tensor: requires_grad must be True or False, got {requires_grad!r}")
    return x.requires_grad_() if requires_grad else x
