"""Loading a state dict: everything is checked, and every problem named, before the first value changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from autograd_core.errors import StateDictError
from autograd_core.ops import creation
from autograd_core.tensor import Tensor, Variable


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict(strict=False)`` found and left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load(owner: str, variables: Mapping[str, Variable], given: Any, strict: bool) -> IncompatibleKeys:
    """Assign the values in ``given`` to the ``variables`` of the same names."""
    if not isinstance(given, Mapping):
        raise StateDictError(f"{owner}.load_state_dict: takes a dict of names and tensors, got {type(given).__name__}")
    missing = [name for name in variables if name not in given]
    unexpected = [name for name in given if name not in variables]
    values = {name: _as_value(given[name]) for name in variables if name in given}
    problems = [_misfit(name, variables[name], value, given[name]) for name, value in values.items()]
    if strict:
        problems += [f"missing: {name} (shape {variables[name].shape})" for name in missing]
        problems += [f"unexpected: {_described(name, given[name])}" for name in unexpected]
    problems = [problem for problem in problems if problem]
    if problems:
        hint = " To load only what fits by name, pass strict=False." if strict and (missing or unexpected) else ""
        hint = _renaming(missing, unexpected) or hint
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise StateDictError(f"{owner}: the state dict does not fit, and nothing was loaded.{hint}{lines}")
    moved = {
        name: creation.asarray(value, device=variables[name].device, copy=None if isinstance(value, Tensor) else True)
        for name, value in values.items()
    }
    for name, value in moved.items():
        variables[name].assign_(value)
    return IncompatibleKeys(missing, unexpected)


def _renaming(missing: list[str], unexpected: list[str]) -> str:
    """How to write the keys where they differ from the names by a prefix alone."""
    for names, keys, write in (
        (missing, unexpected, "{{k.removeprefix({prefix!r}): v for k, v in state.items()}}"),
        (unexpected, missing, "{{{prefix!r} + k: v for k, v in state.items()}}"),
    ):
        prefix = next((key.removesuffix(names[0]) for key in keys if names and key.endswith(f".{names[0]}")), None)
        if prefix is not None and {prefix + name for name in names} == set(keys):
            where = "The keys" if names is missing else "The module's names"
            return f" {where} begin with {prefix!r}; load {write.format(prefix=prefix)}."
    return ""


def _as_value(value: Any) -> Tensor | np.ndarray | None:
    """A tensor as it is, what is an array as NumPy array, None for anything else."""
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "__array__") and hasattr(value, "dtype"):
        return np.asarray(value)
    return None


def _misfit(name: str, variable: Variable, value: Tensor | np.ndarray | None, given: Any) -> str:
    if value is None:
        return f"no tensor: {name} is a {type(given).__name__}, it must be a tensor or a NumPy array"
    if value.shape != variable.shape:
        return f"wrong shape: {name} is {value.shape} in the state dict, {variable.shape} in the module"
    if value.dtype != variable.dtype:
        return (
            f"wrong dtype: {name} is {value.dtype} in the state dict, {variable.dtype} in the module; "
            f"convert one: value.astype('{variable.dtype}') or module.to('{value.dtype}')"
        )
    return ""


def _described(name: Any, value: Any) -> str:
    shape = getattr(value, "shape", None)
    return str(name) if shape is None else f"{name} (shape {tuple(shape)})"
