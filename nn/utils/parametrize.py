"""Parametrizations: a parameter as a function of others, computed anew whenever it is read.

The module becomes one of a subclass of its own, on which the parameter's name is a property; what it is computed from
lies below ``module.parametrizations``, and so in the state dict: ``parametrizations.weight.original``, or
``original0``, ``original1``, ... where there are several. Names and layout as in ``torch.nn.utils.parametrize``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.tensor import Tensor

from ..container import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Buffer, Parameter


class ParametrizationList(ModuleList):
    """The functions through which one parameter is made, first to last, and what they start from."""

    def __init__(self, parametrization: Module, original: Parameter | Buffer):
        super().__init__([parametrization])
        inverse = getattr(parametrization, "right_inverse", None)
        values = original.detach() if inverse is None else inverse(original.detach())
        self.is_tensor = isinstance(values, Tensor)
        if isinstance(values, Tensor):
            self.original = original
            original.assign_(values)
            return
        self.n_originals = len(values)
        for i, value in enumerate(values):
            made = Parameter(value, original.requires_grad) if isinstance(original, Parameter) else Buffer(value)
            setattr(self, f"original{i}", made)

    def originals(self) -> list[Any]:
        """The tensors that the parameter is made from."""
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.n_originals)]

    def forward(self) -> Tensor:
        first, *others = self
        value = first(*self.originals())
        for parametrization in others:
            value = parametrization(value)
        return value

    def right_inverse(self, value: Tensor) -> None:
        """Change the originals so that the parameter becomes ``value``; ArgumentError where that cannot be said."""
        given: Any = value.detach()
        for parametrization in reversed(list(self)):
            if not hasattr(parametrization, "right_inverse"):
                raise ArgumentError(
                    f"{type(parametrization).__name__} has no right_inverse, so that the parameter cannot be assigned; "
                    "assign what it is made from"
                )
            given = parametrization.right_inverse(given)
        for original, changed in zip(self.originals(), [given] if isinstance(given, Tensor) else given, strict=True):
            original.assign_(changed)


def register_parametrization(module: Any, tensor_name: str, parametrization: Module) -> Any:
    """Make ``module.<tensor_name>`` the result of ``parametrization``, a module, of what it was; returns ``module``.

    Where ``parametrization.right_inverse`` exists, its result is where the originals start: with it the value stays as
    it is. Registered again, functions follow each other. ArgumentError if there is no such parameter or buffer,
    ShapeError if the result has another shape.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return ag.triu(x) + ag.triu(x, k=1).T
    >>> layer = nn.utils.parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all()), list(layer.state_dict())
    (True, ['bias', 'parametrizations.weight.original'])
    """
    if not isinstance(parametrization, Module):
        raise ArgumentError(
            f"register_parametrization: a parametrization is an nn.Module, got {type(parametrization).__name__}"
        )
    if is_parametrized(module, tensor_name):
        value = getattr(module, tensor_name).detach()
        functions = module.parametrizations[tensor_name]
        _check_shape(tensor_name, value, parametrization(value))
        functions.append(parametrization)
        if all(hasattr(function, "right_inverse") for function in functions):
            functions.right_inverse(value)
        return module
    original = module.__dict__.get(tensor_name)
    if not isinstance(original, (Parameter, Buffer)):
        known = ", ".join(name for name, _ in module.named_parameters(recurse=False)) or "none"
        raise ArgumentError(
            f"register_parametrization: {type(module).__name__} has no parameter or buffer {tensor_name!r}; "
            f"it has: {known}"
        )
    before = original.detach()
    functions = ParametrizationList(parametrization, original)
    _check_shape(tensor_name, before, functions())
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = functions
    _retype(module)
    return module


def _check_shape(name: str, before: Tensor, after: Tensor) -> None:
    if before.shape != after.shape:
        raise ShapeError(
            f"register_parametrization: {name} has shape {before.shape}, its parametrization gives {after.shape}"
        )


def _retype(module: Any) -> None:
    """Give ``module`` the class that its parametrizations ask for: a new one, as copies may share the present one."""
    kind = type(module)
    original = getattr(kind, "_parametrized", kind)
    names = list(module.parametrizations)
    if not names:
        delattr(module, "parametrizations")
        module.__class__ = original
        return
    members = {"__doc__": original.__doc__, "_parametrized": original, **{name: _property(name) for name in names}}
    module.__class__ = type(f"Parametrized{original.__name__}", (original,), members)


def _property(name: str) -> property:
    return property(
        lambda module: module.parametrizations[name](),
        lambda module, value: module.parametrizations[name].right_inverse(value),
        doc=f"{name}, as its parametrizations make it.",
    )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether ``module`` has parametrizations; with ``tensor_name``, whether that parameter has."""
    functions = module.__dict__.get("parametrizations")
    if not isinstance(functions, ModuleDict):
        return False
    return bool(len(functions)) if tensor_name is None else tensor_name in functions


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Make ``module.<tensor_name>`` a parameter of its own again; returns ``module``.

    Its value is the present one, or with leave_parametrized=False the original (ArgumentError if there are several).
    """
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(f"remove_parametrizations: {type(module).__name__}.{tensor_name} has no parametrization")
    functions = module.parametrizations[tensor_name]
    originals: Sequence[Any] = functions.originals()
    value = getattr(module, tensor_name).detach()
    if not leave_parametrized and len(originals) > 1:
        raise ArgumentError(
            f"remove_parametrizations: {tensor_name} is made from {len(originals)} tensors; leave_parametrized=True "
            "keeps its value"
        )
    if len(originals) == 1:
        kept = originals[0]
        if leave_parametrized:
            kept.assign_(value)
    else:
        first = originals[0]
        kept = Parameter(value, first.requires_grad) if isinstance(first, Parameter) else Buffer(value)
    del module.parametrizations[tensor_name]
    _retype(module)
    setattr(module, tensor_name, kept)
    return module
