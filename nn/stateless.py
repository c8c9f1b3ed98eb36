"""A module as a function of its parameters, for ``ag.grad``, ``ag.jvp``, ``ag.vmap`` and their like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.tensor import Tensor

from .module import Module


def functional_call(
    module: Module, parameters: Mapping[str, Tensor], args: Any = (), kwargs: Mapping[str, Any] | None = None
) -> Any:
    """``module(*args, **kwargs)`` with other tensors in place of the parameters and buffers that are named.

    parameters: path -> tensor of the same shape, as in ``dict(module.named_parameters())``; what is not named stays as
    it is. A parameter that several modules share is replaced under all its paths. args: a tuple, or one argument.
    The module is as before afterwards, also if it raises; another thread must not call it meanwhile. ArgumentError for
    a path that the module does not have, ShapeError for another shape. PyTorch's ``torch.func.functional_call``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> model = nn.Linear(2, 1, bias=False)
    >>> loss = lambda p, x: nn.functional_call(model, p, x).sum()
    >>> ag.grad(loss)({"weight": ag.ones((1, 2))}, ag.tensor([[3.0, 4.0]]))
    {'weight': tensor([[3., 4.]])}
    """
    with _replaced(module, parameters):
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))


@contextmanager
def _replaced(module: Module, parameters: Mapping[str, Tensor]) -> Iterator[None]:
    places = [
        (owner.__dict__, name, tensor)
        for path, tensor in parameters.items()
        for owner, name in _places(module, path, tensor)
    ]
    before = [(attributes, name, attributes[name]) for attributes, name, _ in places]
    try:
        for attributes, name, tensor in places:
            attributes[name] = tensor
        yield
    finally:
        for attributes, name, value in before:
            attributes[name] = value


def _places(module: Module, path: str, tensor: Any) -> Sequence[tuple[Module, str]]:
    """Where the parameter or buffer at ``path`` stands, by every name that it has."""
    owner_path, _, name = path.rpartition(".")
    owner = dict(module.named_modules(remove_duplicate=False)).get(owner_path)
    old = None if owner is None else owner.__dict__.get(name)
    if not isinstance(old, Tensor):
        known = ", ".join([path for path, _ in (*module.named_parameters(), *module.named_buffers())]) or "none"
        raise ArgumentError(f"functional_call: {type(module).__name__} has no tensor {path!r}; it has: {known}")
    if getattr(tensor, "shape", None) != old.shape:
        given = getattr(tensor, "shape", type(tensor).__name__)
        raise ShapeError(f"functional_call: {path} has shape {old.shape}, got {given}")
    return [(m, n) for m in module.modules() for n, value in list(m.__dict__.items()) if value is old]
