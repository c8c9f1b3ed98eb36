"""Optimizer: parameters in groups, state for each parameter, and the step over all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, NoReturn

import numpy as np

from autograd_core import context
from autograd_core.aval import is_inexact
from autograd_core.backend import Device
from autograd_core.errors import ArgumentError, DeviceError, DTypeError, GradientError, ShapeError
from autograd_core.ops import casting, complex_numbers, creation
from autograd_core.ops._apply import examine
from autograd_core.scalars import is_real
from autograd_core.tensor import Tensor, Variable

from . import state_dict as states
from .counted import Changes, States
from .following import number_in, placed
from .options import has_arrays, plain, shown
from .rules import Group

State = dict[str, Variable]

# These keys of a group say which parameters it holds; the others are options.
MEMBERS = ("params", "param_names")
# Options that are either on or off, in whichever optimizer has them.
SWITCHES = ("amsgrad", "centered", "decoupled_weight_decay", "maximize", "nesterov")


class Optimizer:
    """Base of all optimizers: a subclass writes ``init_single`` and ``apply_single``, for one parameter at a time.

    params: an iterable of parameters, of (name, parameter) pairs, or of groups, which are dicts
        ``{"params": ..., "lr": ...}`` whose other keys override the defaults.
    defaults: the options and their values where a group says nothing; ``lr`` among them.

    ``lr`` is a number, a 0-d tensor, or a schedule: a function of the number of steps taken so far (a 0-d int64 tensor)
    that returns a number or a 0-d tensor. ``param_groups[i]["lr"]`` may be changed at any time; a tensor's value is
    looked at when it is given, and a variable may be assigned to. ``state[param]`` holds the state tensors; ``steps``
    counts the steps.

    Raises ArgumentError for no parameters, duplicates, immutable tensors and options out of range; GradientError for
    parameters that are results of operations; DTypeError for parameters that cannot have a gradient.

    >>> class SignSGD(Optimizer):
    ...     def __init__(self, params, lr=1e-3):
    ...         super().__init__(params, {"lr": lr})
    ...
    ...     def init_single(self, param, group):
    ...         return {}
    ...
    ...     def apply_single(self, param, grad, state, group):
    ...         return param - group["lr"] * ag.sign(grad), {}
    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = SignSGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5, -1.5])
    """

    complex_parameters = True  # apply_single is then given real and imaginary parts, as a last axis of 2
    younger_options: frozenset[str] = frozenset()  # options that saved states may lack; the default stands for them
    assumed_state: Mapping[str, float] = {}  # values of state tensors that saved states may lack

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]):
        self.defaults = dict(defaults)
        self.param_groups: list[Group] = []
        self._changes = Changes()
        self.state = {}
        self._rates: dict[int, tuple[float, Variable]] = {}
        self._seen_options: dict[int, list[Any]] = {}
        watched = [name for name in self.defaults if name != "lr"]
        self._options = itemgetter(*watched, "params", "params")  # two at least: of one it would give no tuple
        self._warned = False
        for group in self._as_groups(params):
            self.add_param_group(group)
        first = self.param_groups[0]["params"][0]
        self.steps = variable(creation.asarray(0, dtype="int64", device=first.device))

    # ------------------------------------------------------------------------------ for subclasses

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        """The state of a parameter before its first step: tensors of its shape, or 0-d."""
        raise NotImplementedError

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The parameter and its state after a step, as a pure function of tensors.

        ``group["lr"]`` is a 0-d float64 tensor here, on the parameter's device. The result is cast to the parameter's
        dtype where it differs.
        """
        raise NotImplementedError

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise ArgumentError for option values that make no sense; a subclass extends this."""
        for name in SWITCHES:
            if name in options and not isinstance(options[name], bool):
                raise ArgumentError(f"{self._title}: {name} must be True or False, got {shown(options[name])}")
        lr = options["lr"]
        if isinstance(lr, Tensor):
            if lr.shape != ():
                raise ArgumentError(f"{self._title}: lr must be one number, got a tensor of shape {lr.shape}")
            if lr.dtype.kind in "bc":
                raise ArgumentError(f"{self._title}: lr must be a real number, got a tensor of dtype {lr.dtype}")
            examine(lr, lambda value: self.check_range({"lr": value.item()}, "lr", low=0.0))
        elif not callable(lr):
            self.check_range(options, "lr", low=0.0)

    def check_range(self, options: Mapping[str, Any], name: str, low: float, high: float = float("inf")) -> None:
        """Raise ArgumentError unless the option is a number in [low, high)."""
        value = options[name]
        if not is_real(value) or not low <= value < high:
            raise ArgumentError(f"{self._title}: {name} must be a number in [{low:g}, {high:g}), got {shown(value)}")

    def check_betas(self, options: Mapping[str, Any]) -> None:
        """Raise ArgumentError unless ``betas`` are two numbers in [0, 1), as for running means."""
        betas = options["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ArgumentError(f"{self._title}: betas must be two numbers, such as (0.9, 0.999), got {shown(betas)}")
        for i, beta in enumerate(betas):
            self.check_range({f"betas[{i}]": beta}, f"betas[{i}]", low=0.0, high=1.0)

    @property
    def state(self) -> dict[Tensor, State]:
        """The state of each parameter that has taken a step: tensors by name, which may be replaced between steps."""
        return self._state

    @state.setter
    def state(self, states: Mapping[Tensor, State]) -> None:
        self._changes.count += 1
        self._state = States(states, self._changes)

    # ------------------------------------------------------------------------------ parameters

    def _as_groups(self, params: Iterable[Any]) -> list[Group]:
        if isinstance(params, Tensor):
            raise ArgumentError(f"{self._title}: params must be a list, got one tensor; write [w]")
        if isinstance(params, Mapping):
            raise ArgumentError(
                f"{self._title}: params must be a list, got a dict; write [{{'params': [...], 'lr': ...}}] for a "
                "group, "
                "list(named.items()) for named parameters"
            )
        if isinstance(params, str) or not isinstance(params, Iterable):
            hint = "; write model.parameters()" if hasattr(params, "parameters") else ""
            raise ArgumentError(f"{self._title}: params must be an iterable of parameters, got {_kind(params)}{hint}")
        self._refuse_sets(params)
        entries = list(params)
        if not entries:
            raise ArgumentError(
                f"{self._title}: the list of parameters is empty. Does the model have parameters, and was a generator "
                "such as model.parameters() used up before?"
            )
        if any(isinstance(entry, dict) for entry in entries):
            for entry in entries:
                if not isinstance(entry, dict):
                    raise ArgumentError(f"{self._title}: params mixes groups (dicts) and {_kind(entry)}; use one form")
            return entries
        return [{"params": entries}]

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Optimise more parameters, with options of their own: ``{"params": [...], "lr": 1e-4}``.

        The usual call when layers are unfrozen in mid-training. Raises as the constructor does, and changes nothing
        then.
        """
        if not isinstance(group, Mapping) or "params" not in group:
            raise ArgumentError(f"{self._title}: a group is a dict with the key 'params', got {group!r:.80}")
        unknown = sorted(group.keys() - self.defaults.keys() - set(MEMBERS))
        if unknown:
            raise ArgumentError(
                f"{self._title}: a group has unknown options {unknown}; known are {sorted(self.defaults)}"
            )
        params, names = self._read_params(group["params"])
        options = {**self.defaults, **{k: v for k, v in group.items() if k not in MEMBERS}}
        options = {name: plain(value) for name, value in options.items()}
        self.check_options(options)
        self.param_groups.append({"params": params, **({"param_names": names} if names else {}), **options})

    def _read_params(self, given: Any) -> tuple[list[Variable], list[str]]:
        if isinstance(given, str) or not isinstance(given, Iterable):
            hint = "; write model.parameters()" if hasattr(given, "parameters") else ""
            raise ArgumentError(
                f"{self._title}: a group's 'params' must be a list of parameters, got {_kind(given)}{hint}"
            )
        self._refuse_sets(given)
        entries: list[Any] = [given] if isinstance(given, Tensor) else list(given)
        if not entries:
            raise ArgumentError(f"{self._title}: a group has no parameters")
        seen = {id(p): f"parameter {where}" for where, p in self._parameters()}
        params: list[Variable] = []
        names: list[str] = []
        for i, entry in enumerate(entries):
            where = str(len(seen))
            if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
                names.append(entry[0])
                where, entry = repr(entry[0]), entry[1]
            if len(names) not in (0, i + 1):
                raise ArgumentError(f"{self._title}: give a name to every parameter of a group, or to none")
            self.check_parameter(where, entry)
            if id(entry) in seen:
                raise ArgumentError(
                    f"{self._title}: parameter {where} was given before, as {seen[id(entry)]}; each is updated once: "
                    "leave the second out"
                )
            seen[id(entry)] = f"parameter {where}"
            params.append(entry)
        return params, names

    def _refuse_sets(self, given: Any) -> None:
        if isinstance(given, (set, frozenset)):
            raise ArgumentError(
                f"{self._title}: params is a set, whose order is another in every run, and saved states go by the "
                "order; write a list"
            )

    def check_parameter(self, where: str, p: Any) -> None:
        if not isinstance(p, Tensor):
            raise ArgumentError(
                f"{self._title}: parameter {where} is {_kind(p)}, not a tensor; write nn.Parameter(...)"
            )
        if not p.is_leaf:
            raise GradientError(
                f"{self._title}: parameter {where} of shape {p.shape} is the result of an operation, so assigning to "
                "it "
                "would not change what it was computed from; pass the leaf it was made from, or "
                "nn.Parameter(x.detach())"
            )
        if not isinstance(p, Variable):
            raise ArgumentError(
                f"{self._title}: parameter {where} of shape {p.shape} is an immutable tensor; write w = "
                "nn.Parameter(w) "
                "and use that w in the model"
            )
        if not is_inexact(p.dtype):
            raise DTypeError(
                f"{self._title}: parameter {where} has dtype {p.dtype}; only floating dtypes have gradients"
            )
        if p.dtype.kind == "c" and not self.complex_parameters:
            raise DTypeError(
                f"{self._title}: parameter {where} has dtype {p.dtype}; {self._title} is for real ones: optimise its "
                "real and imaginary parts as two parameters"
            )

    def _parameters(self) -> Iterator[tuple[str, Variable]]:
        """Every parameter with what messages call it."""
        index = 0
        for group in self.param_groups:
            names = group.get("param_names")
            for i, p in enumerate(group["params"]):
                name = names[i] if names else getattr(p.node, "name", None)
                yield str(index) if name is None else repr(name), p
                index += 1

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (``set_to_none=False``: fill those that exist with zeros)."""
        for _, p in self._parameters():
            if p.grad is not None:
                p.grad = None if set_to_none else creation.zeros_like(p.grad)

    # ------------------------------------------------------------------------------ the step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; the others, and their state, stay as they are.

        closure: a function that clears the gradients, computes the loss, calls ``backward`` and returns the loss, which
        ``step`` then returns.

        Raises ShapeError, DTypeError or DeviceError, before any parameter changes, where a gradient does not fit its
        parameter. Warns (once) when no parameter has a gradient.
        """
        loss = None
        if closure is not None:
            self.check_closure(closure)
            with context.enable_grad():
                loss = closure()
        context.current().interpreter.base.uses(self)
        self._follow(self.param_groups[0]["params"][0].device)
        with context.scope(recording=False):
            for i, group in enumerate(self.param_groups):
                self._notice_changes(i, group)
            work = [(group, self._ready(group)) for group in self.param_groups]
            if not any(ready for _, ready in work):
                self._warn_no_gradients()
                return loss
            rates = [self._rate(i, group["lr"]) for i, group in enumerate(self.param_groups)]
            for (group, ready), lr in zip(work, rates, strict=True):
                options = {**group, "lr": lr}
                for param, grad, state in ready:
                    if lr.device is not param.device:
                        options["lr"] = lr = casting.transfer(lr, param.device)
                    new_param, new_state = self._applied(param, grad, state, options)
                    assign(param, new_param)
                    for name, value in new_state.items():
                        assign(state[name], value)
            self.steps.assign_(self.steps + 1)
        return loss

    def check_closure(self, closure: Any) -> None:
        """Raise ArgumentError for what is no function."""
        if not callable(closure):
            raise ArgumentError(
                f"{self._title}.step: closure must be a function that clears the gradients, computes the loss, calls "
                f"backward and returns the loss; got {_kind(closure)}"
            )

    def _follow(self, device: Device) -> None:
        """Have the count of steps and the rates there, where the parameters have been moved."""
        if self.steps.device is device:
            return
        steps = number_in(self.steps)
        if steps is not None:
            self.steps = placed(steps, "int64", device)
            self._rates.clear()
            self._changes.count += 1

    def _applied(self, param: Tensor, grad: Tensor, state: State, group: Group) -> tuple[Tensor, dict[str, Tensor]]:
        """``apply_single``, for complex parameters on their real and imaginary parts, which are updated as two."""
        if param.dtype.kind != "c":
            return self.apply_single(param, grad, state, group)
        new_param, new_state = self.apply_single(
            parts(param), parts(grad), {name: parts(value) for name, value in state.items()}, group
        )
        whole = complex_numbers.view_as_complex
        return whole(new_param), {
            name: whole(value) if state[name].dtype.kind == "c" else value for name, value in new_state.items()
        }

    def _notice_changes(self, index: int, group: Group) -> None:
        """Options may be changed between steps: check them again, and add the state that they call for."""
        arrays = False
        for name, value in group.items():
            if isinstance(value, (np.generic, np.ndarray, tuple, Tensor)):
                group[name] = plain(value)
                arrays = arrays or has_arrays(group[name])
        options = [group[name] for name in self.defaults if name != "lr"]
        if arrays:
            lr = group["lr"]
            options = [id(x) if has_arrays(x) else x for x in (*options, *([lr] if isinstance(lr, Tensor) else []))]
        if options == self._seen_options.get(index):
            return
        self.check_options(group)
        for param in group["params"]:
            state = self.state.get(param)
            if state is not None:
                fresh = self.init_single(param, group)
                state.update({name: variable(value) for name, value in fresh.items() if name not in state})
        self._seen_options[index] = options

    def _ready(self, group: Group) -> list[tuple[Variable, Tensor, State]]:
        """The group's parameters that have a gradient, with it and their state; all checked."""
        ready = []
        base = context.current().interpreter.base
        for param in group["params"]:
            grad = param.grad
            if grad is None:
                continue
            base.reading(param)  # before its gradient: a compiled step finds that by the parameter it belongs to
            if grad.shape != param.shape or grad.dtype != param.dtype or grad.device is not param.device:
                self._refuse_gradient(param, grad)
            state = self.state.get(param)
            if state is None:
                self.state[param] = {k: variable(v) for k, v in self.init_single(param, group).items()}
                state = self.state[param]
            elif any(value.device is not param.device for value in state.values()):
                raise DeviceError(
                    f"{self._title}: parameter {self.describe(param)} is on {param.device}, its optimizer state is "
                    "not: "
                    "the model moved. Move it before the first step, or write "
                    "optimizer.load_state_dict(optimizer.state_dict()) after moving it"
                )
            ready.append((param, grad, state))
        return ready

    def _refuse_gradient(self, param: Variable, grad: Tensor) -> NoReturn:
        given = f"{grad.dtype}{list(grad.shape)} on {grad.device}"
        wanted = f"{param.dtype}{list(param.shape)} on {param.device}"
        kind = ShapeError if grad.shape != param.shape else DTypeError if grad.dtype != param.dtype else DeviceError
        raise kind(
            f"{self._title}.step: parameter {self.describe(param)} is {wanted}, its gradient {given}. Was the "
            "parameter "
            "moved or converted after backward? Call optimizer.zero_grad() and backward again"
        )

    def _rate(self, index: int, lr: Any) -> Tensor:
        """The learning rate of a group as a 0-d float64 tensor."""
        if callable(lr):
            lr = lr(self.steps)
        if isinstance(lr, Tensor):
            if lr.shape != ():
                raise ArgumentError(f"{self._title}: a schedule returns one number, got a tensor of shape {lr.shape}")
            return casting.astype(lr, "float64")
        known = self._rates.get(index)
        if known is None or known[0] != lr:
            self.check_range({"lr": lr}, "lr", low=0.0)
            value = creation.asarray(float(lr), dtype="float64", device=self.steps.device)
            if known is None:
                known = (lr, variable(value))
            else:
                known[1].assign_(value)
                if not context.current().interpreter.base.in_place:
                    return known[1]  # assigned when what captures has come to its end, if it does
            self._rates[index] = (lr, known[1])
        return known[1]

    def compile_guard(self) -> list[Any]:
        """What a compiled step was compiled for: all options but learning rates that are numbers, which it is given."""
        seen: list[Any] = [self._changes.count]
        for i, group in enumerate(self.param_groups):
            lr, known = group["lr"], self._rates.get(i)
            is_number = (known is not None and known[0] is lr) or not (callable(lr) or isinstance(lr, Tensor))
            if is_number and known is not None and known[0] is not lr:
                self._rate(i, lr)
            seen.append("a number" if is_number else id(lr))
            seen += map(id, group["params"])
            seen += self._options(group)
        return seen

    def forget(self, is_lost: Callable[[Any], bool]) -> None:
        """Make anew, in the next step, state that got no value because a compiled function could not be captured."""
        for param in [p for p, state in self.state.items() if any(map(is_lost, state.values()))]:
            del self.state[param]
        self._rates = {i: known for i, known in self._rates.items() if not is_lost(known[1])}

    def _warn_no_gradients(self) -> None:
        if self._warned:
            return
        self._warned = True
        count = sum(1 for _ in self._parameters())
        warnings.warn(
            f"{self._title}.step: none of the {count} parameters has a gradient, nothing was updated. Call "
            "loss.backward() before step(), and zero_grad() after it; check that the loss depends on these parameters",
            stacklevel=3,
        )

    def describe(self, param: Tensor) -> str:
        """What messages call a parameter: its name, or its position among all of them."""
        return next(name for name, p in self._parameters() if p is param)

    # ------------------------------------------------------------------------------ saving

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed training needs, in PyTorch's layout.

        ``{"state": {index: {name: tensor}}, "param_groups": [{"params": [index, ...], "lr": ...}], "steps": int}``,
        where index counts the parameters through all groups. A schedule is code, not state: in its place stands the
        current learning rate. ``ag.save_checkpoint`` writes it to a file.
        """
        return states.take(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from ``state_dict()`` of an optimizer of the same kind over the same parameters, ours or PyTorch's.

        Tensors may be ours, NumPy arrays, or anything that NumPy converts. Options of the groups are taken over, but a
        schedule given as ``lr`` stays. Raises StateDictError with a list of all that does not fit, and changes nothing.
        """
        states.load(self, state_dict)

    @property
    def _title(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = [f"{self._title} ("]
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{k}={v!r}" for k, v in group.items() if k not in MEMBERS)
            lines.append(f"  group {i}: {len(group['params'])} parameters, {options}")
        return "\n".join([*lines, ")"])


def variable(value: Tensor) -> Variable:
    """A place to assign to, holding ``value``."""
    return Variable(value.data, value.device)


def assign(target: Variable, value: Tensor) -> None:
    """Give ``target`` another value, rounded to its dtype."""
    target.assign_(value if value.dtype == target.dtype else casting.astype(value, target.dtype))


def parts(value: Tensor) -> Tensor:
    """A complex tensor as its real and imaginary parts, in a last axis of 2; any other as it is."""
    return complex_numbers.view_as_real(value) if value.dtype.kind == "c" else value


def _kind(obj: Any) -> str:
    return f"a {type(obj).__name__}"
