"""An optimizer's state as a dict in PyTorch's layout, and back: everything is checked before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_core import context
from autograd_core.errors import ArgumentError, StateDictError
from autograd_core.ops import creation
from autograd_core.tensor import Tensor, Variable

from .options import plain

if TYPE_CHECKING:
    from .optimizer import Optimizer

# Options by which PyTorch chooses among implementations of one formula; they say nothing about the result.
IMPLEMENTATION_OPTIONS = frozenset({"capturable", "differentiable", "foreach", "fused", "initial_lr"})


def take(optimizer: Optimizer) -> dict[str, Any]:
    """``Optimizer.state_dict``: tensors are snapshots, later steps do not change them."""
    groups = []
    state: dict[int, dict[str, Tensor]] = {}
    index = 0
    for group in optimizer.param_groups:
        packed = {name: value for name, value in group.items() if name not in ("params", "lr")}
        packed["lr"] = _current_rate(optimizer, group["lr"])
        packed["params"] = list(range(index, index + len(group["params"])))
        groups.append(packed)
        for param in group["params"]:
            if param in optimizer.state:
                state[index] = {name: value.snapshot() for name, value in optimizer.state[param].items()}
            index += 1
    saved = {"state": state, "param_groups": groups, "steps": int(optimizer.steps)}
    stateful = {i: lr.state_dict() for i, lr in _stateful_rates(optimizer).items()}
    return {**saved, "schedules": stateful} if stateful else saved


def _stateful_rates(optimizer: Optimizer) -> dict[int, Any]:
    """The schedules that are more than a function of the step, by the group that they are for."""
    rates = {i: group["lr"] for i, group in enumerate(optimizer.param_groups)}
    return {i: lr for i, lr in rates.items() if hasattr(lr, "load_state_dict")}


def _current_rate(optimizer: Optimizer, lr: Any) -> float:
    return float(lr(optimizer.steps) if callable(lr) else lr)


def load(optimizer: Optimizer, state_dict: Mapping[str, Any]) -> None:
    """``Optimizer.load_state_dict``."""
    reading = _Reading(optimizer, state_dict)
    if reading.problems:
        listed = "".join(f"\n  - {problem}" for problem in reading.problems)
        raise StateDictError(
            f"{type(optimizer).__name__}.load_state_dict: the state does not fit this optimizer; nothing was changed:"
            f"{listed}\nMake the optimizer with the same kind, groups and parameters as the one that was saved."
        )
    saved = state_dict.get("schedules", {})
    for i, lr in _stateful_rates(optimizer).items():
        if i in saved:
            lr.load_state_dict(saved[i])
    for group, options in zip(optimizer.param_groups, reading.options, strict=True):
        rate = group["lr"]
        if isinstance(rate, Variable):  # which somebody assigns to
            rate.assign_(creation.asarray(options["lr"], dtype=rate.dtype, device=rate.device))
            options["lr"] = rate
        group.update(options)
    for _, param in optimizer._parameters():
        new = reading.state.get(param)
        if new is None:
            optimizer.state.pop(param, None)
        else:
            _store(optimizer.state.setdefault(param, {}), new)
    optimizer.steps.assign_(reading.steps)


def _store(state: dict[str, Variable], new: dict[str, Tensor]) -> None:
    """Into the variables that exist where they fit: a compiled step holds on to them."""
    for name in state.keys() - new.keys():
        del state[name]
    for name, value in new.items():
        if name in state and state[name].device is value.device:
            state[name].assign_(value)
        else:
            state[name] = Variable(value.data, value.device)


class _Reading:
    """A state dict read against an optimizer: what to store, and a list of problems."""

    def __init__(self, optimizer: Optimizer, state_dict: Any):
        self.optimizer = optimizer
        self.problems: list[str] = []
        self.options: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self.steps = 0
        if not isinstance(state_dict, Mapping):
            self.problems.append(f"a state dict is a dict, got a {type(state_dict).__name__}")
            return
        for key in ("param_groups", "state"):
            if key not in state_dict:
                self.problems.append(f"the key {key!r} is missing; found {sorted(map(str, state_dict))[:8]}")
        if self.problems:
            return
        self._read_groups(state_dict["param_groups"])
        if not self.problems:
            self._read_states(state_dict["state"])
            self._read_steps(state_dict)

    def _read_groups(self, saved: Any) -> None:
        ours = self.optimizer.param_groups
        if not isinstance(saved, (list, tuple)) or not all(isinstance(group, Mapping) for group in saved):
            self.problems.append("'param_groups' must be a list of dicts")
            return
        if len(saved) != len(ours):
            self.problems.append(f"it has {len(saved)} parameter group(s), this optimizer {len(ours)}")
            return
        self.indices: dict[Any, Variable] = {}
        for i, (group, mine) in enumerate(zip(saved, ours, strict=True)):
            self._read_members(f"group {i}", group, mine)
            self._read_options(f"group {i}", group, mine)

    def _read_members(self, where: str, group: Mapping[str, Any], mine: dict[str, Any]) -> None:
        indices = group.get("params")
        if not isinstance(indices, (list, tuple)) or not all(isinstance(k, (int, str)) for k in indices):
            self.problems.append(f"{where}: 'params' must be a list of indices")
            return
        if len(indices) != len(mine["params"]):
            self.problems.append(f"{where} has {len(indices)} parameters, here {len(mine['params'])}")
            return
        names, own = group.get("param_names"), mine.get("param_names")
        if names is not None and own is not None and list(names) != own:
            moved = [f"{a!r} is {b!r} here" for a, b in zip(names, own) if a != b][:3]
            self.problems.append(f"{where}: the parameters have other names ({', '.join(moved)}, ...)")
        for key, param in zip(indices, mine["params"], strict=True):
            if key in self.indices:
                self.problems.append(f"{where}: index {key!r} appears twice in 'params'")
            self.indices[key] = param

    def _read_options(self, where: str, group: Mapping[str, Any], mine: dict[str, Any]) -> None:
        known = self.optimizer.defaults.keys()
        options = {k: v for k, v in group.items() if k in known}
        for name in sorted(known - group.keys()):
            if name in self.optimizer.younger_options:
                options[name] = self.optimizer.defaults[name]
            else:
                self.problems.append(f"{where}: the option {name!r} is missing")
        unexpected = group.keys() - known - {"params", "param_names"} - IMPLEMENTATION_OPTIONS
        for name in sorted(map(str, unexpected)):
            self.problems.append(f"{where}: this optimizer has no option {name!r}; it has {sorted(known)}")
        for name, value in options.items():
            if isinstance(value, list):
                options[name] = tuple(value)
            elif name == "lr" and not isinstance(value, Tensor) and hasattr(value, "__array__"):
                options[name] = plain(np.asarray(value))
            elif name != "lr" and not _same_kind(value, mine[name]):
                self.problems.append(f"{where}: {name} is {value!r}, here it is {mine[name]!r}")
        if callable(mine["lr"]):
            options["lr"] = mine["lr"]
        if not self.problems:
            try:
                self.optimizer.check_options(options)
            except ArgumentError as error:
                self.problems.append(f"{where}: {error}")
        self.options.append(options)

    def _read_states(self, saved: Any) -> None:
        if not isinstance(saved, Mapping):
            self.problems.append(f"'state' must be a dict, got a {type(saved).__name__}")
            return
        unknown = [key for key in saved if key not in self.indices]
        if unknown:
            self.problems.append(f"'state' has entries {unknown[:8]}, which no group lists")
        named = {id(p): name for name, p in self.optimizer._parameters()}
        options_of = {
            id(p): options
            for group, options in zip(self.optimizer.param_groups, self.options, strict=True)
            for p in group["params"]
        }
        for key, param in self.indices.items():
            entry = saved.get(key, {})
            if not isinstance(entry, Mapping):
                self.problems.append(f"the state of parameter {named[id(param)]} is not a dict")
                continue
            given = {name: value for name, value in entry.items() if value is not None}
            if given:
                self._read_state(named[id(param)], param, given, options_of[id(param)])

    def _read_state(self, where: str, param: Variable, given: dict[str, Any], options: dict[str, Any]) -> None:
        with context.scope(recording=False):
            expected = self.optimizer.init_single(param, options)
        given = {**{k: v for k, v in self.optimizer.assumed_state.items() if k in expected}, **given}
        for name in sorted(expected.keys() - given.keys()):
            self.problems.append(f"parameter {where}: the state {name!r} is missing")
        for name in sorted(map(str, given.keys() - expected.keys())):
            self.problems.append(f"parameter {where}: unexpected state {name!r}; expected {sorted(expected)}")
        read = {}
        for name in expected.keys() & given.keys():
            value = self._fitted(f"parameter {where}: the state {name!r}", given[name], expected[name])
            if value is not None:
                read[name] = value
        self.state[param] = {name: read[name] for name in expected if name in read}

    def _fitted(self, where: str, value: Any, expected: Tensor) -> Tensor | None:
        """``value`` in the dtype and on the device of ``expected``, or None and a problem."""
        try:
            array = value if isinstance(value, Tensor) else creation.asarray(np.asarray(value), copy=True)
        except (TypeError, ValueError) as error:  # our own errors among them
            self.problems.append(f"{where} cannot become a tensor: {error}")
            return None
        if array.shape != expected.shape:
            self.problems.append(f"{where} has shape {array.shape}, here {expected.shape}")
        elif array.dtype != expected.dtype and (array.dtype.kind == "b" or array.dtype.kind == "c"):
            self.problems.append(f"{where} has dtype {array.dtype}, here {expected.dtype}")
        else:
            return creation.asarray(array.detach(), dtype=expected.dtype, device=expected.device)
        return None

    def _read_steps(self, state_dict: Mapping[str, Any]) -> None:
        """PyTorch keeps no such count: there the furthest parameter's says it."""
        counts = [entry["step"] for entry in self.state.values() if "step" in entry]
        steps = state_dict.get("steps")
        if steps is None:
            if counts:
                steps = max(int(count) for count in counts)
            elif any(callable(group["lr"]) for group in self.optimizer.param_groups):
                self.problems.append(
                    "'steps' is missing, and the schedule needs it: add state['steps'] = number of steps"
                )
                return
        steps = 0 if steps is None else steps
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
            self.problems.append(f"'steps' must be a non-negative int, got {steps!r}")
            return
        self.steps = steps


def _same_kind(a: Any, b: Any) -> bool:
    """Options may be numbers, or names of which None stands for one, or anything else of one type."""
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (a, b))
    return numbers or type(a) is type(b) or all(x is None or isinstance(x, str) for x in (a, b))
