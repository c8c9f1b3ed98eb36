"""Dynamic loss scaling: gradients that would vanish in float16, made larger and back again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from autograd_core import context
from autograd_core.aval import DEFAULT_FLOAT
from autograd_core.backend import Device
from autograd_core.errors import ArgumentError, DTypeError, GradientError, StateDictError
from autograd_core.ops import casting, creation, selection
from autograd_core.ops.comparison import logical_not, logical_or
from autograd_core.ops.optimizer_updates import scaled_p
from autograd_core.ops.rounding import isfinite
from autograd_core.primitive import bind
from autograd_core.scalars import is_real, is_whole
from autograd_core.tensor import Tensor, Variable

from .clipping import _norm as norm_of
from .following import number_in, placed
from .master_weights import MasterWeights
from .optimizer import variable

SAVED = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")


class GradScaler:
    """Multiplies the loss before ``backward`` and divides the gradients before the step; skips steps that overflowed.

    After ``growth_interval`` steps in a row without infinity or NaN in the gradients the scale is multiplied by
    ``growth_factor``; a step with one changes nothing but the scale, which is multiplied by ``backoff_factor``.
    device: of the scale; unless given, that of the outputs which are scaled first, and again after ``load_state_dict``.
    enabled: False makes every method do nothing but its part without scaling.

    PyTorch's methods, rules and state dict. Other than there the scale and the decision are tensors, and a step is
    skipped by choosing old values: the host does not wait, and a whole compiled step has it all inside, ``update``
    included. float16 parameters need ``MasterWeights``, which is where their gradients are divided; bfloat16 has the
    range of float32 and needs no scale. Raises ArgumentError for factors out of range.
    Source: Micikevicius et al., Mixed precision training, 2018.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> from autograd_core.optim import SGD, MasterWeights
    >>> w = nn.Parameter(ag.ones(2, dtype="float16"))
    >>> optimizer, scaler = MasterWeights(SGD([w], lr=0.5)), GradScaler(init_scale=1024.0, growth_interval=2)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     scaler.scale((w * w).sum()).backward()
    ...     scaler.step(optimizer)
    ...     scaler.update()
    >>> w.detach(), scaler.get_scale()
    (tensor([0., 0.], dtype=float16), 2048.0)
    """

    def __init__(
        self,
        device: Any = None,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        self._enabled = enabled
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)
        _positive("init_scale", init_scale)
        self._is_free = self._follows = device is None  # it follows until it has been somewhere
        self._scale = variable(creation.asarray(float(init_scale), dtype=DEFAULT_FLOAT, device=device))
        self._successes = variable(creation.asarray(0, dtype="int32", device=device))
        self._found: dict[Any, Tensor] = {}  # by optimizer, since the last update: whether a gradient is not finite
        self._stepped: list[Any] = []

    # ------------------------------------------------------------------------------ a step

    def scale(self, outputs: Any) -> Any:
        """``outputs``, a tensor or nested lists and tuples of tensors, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            self._follow(outputs.device)
            return outputs * casting.transfer(self._scale.detach(), outputs.device)
        if isinstance(outputs, (list, tuple)):
            return type(outputs)([self.scale(x) for x in outputs])
        raise ArgumentError(f"GradScaler.scale: outputs must be tensors, got a {type(outputs).__name__}")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of the optimizer's parameters by the scale, to look at them or to clip them.

        Called by ``step`` where it has not been. With ``MasterWeights`` it is the float32 gradients of the masters that
        are divided. Raises GradientError when called twice before ``update``, after ``step``, or where no parameter has
        a gradient; DTypeError for float16 gradients without masters.
        """
        if not self._enabled:
            return
        if optimizer in self._stepped:
            raise GradientError("GradScaler.unscale_: called after step(); call update() at the end of each iteration")
        if optimizer in self._found:
            raise GradientError("GradScaler.unscale_: called twice for one optimizer; call update() in between")
        self._notice()
        self._follow(optimizer.param_groups[0]["params"][0].device)
        with context.scope(recording=False):
            inverse = casting.astype(1.0 / casting.astype(self._scale, "float64"), DEFAULT_FLOAT)
            if isinstance(optimizer, MasterWeights):
                self._found[optimizer] = self._not_finite(list(optimizer.gradients().values()))
                optimizer.scale_gradients_(inverse)
                return
            owners = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            for p in owners:
                if p.grad.dtype == "float16":
                    raise DTypeError(
                        f"GradScaler.unscale_: parameter {optimizer.describe(p)} has a float16 gradient, which would "
                        "vanish when it is divided by the scale; write optim.MasterWeights(optimizer)"
                    )
            self._found[optimizer] = self._not_finite([p.grad for p in owners])
            for p in owners:
                p.grad = bind(scaled_p, (p.grad, casting.transfer(inverse, p.device)), {})

    def _not_finite(self, gradients: list[Tensor]) -> Tensor:
        """Whether there is an infinity or NaN among them; the largest magnitude is one if any is."""
        if not gradients:
            raise GradientError(
                "GradScaler: no parameter of this optimizer has a gradient; call scaler.scale(loss).backward() first"
            )
        return logical_not(isfinite(norm_of(gradients, math.inf, self._scale.device)))

    def step(self, optimizer: Any, closure: Callable[[], Any] | None = None) -> Any:
        """``optimizer.step()`` with divided gradients; parameters and state stay as they are if one is not finite.

        Returns what the optimizer's step returns. Raises GradientError when called twice before ``update``,
        ArgumentError for a closure, and what ``unscale_`` raises.
        """
        if not self._enabled:
            return optimizer.step(closure)
        if closure is not None:
            raise ArgumentError("GradScaler.step: a closure cannot be unscaled between its backward and the step")
        if optimizer in self._stepped:
            raise GradientError("GradScaler.step: called twice for one optimizer; call update() in between")
        if optimizer not in self._found:
            self.unscale_(optimizer)
        with context.scope(recording=False):
            optimizer._follow(optimizer.param_groups[0]["params"][0].device)
            before = _Values(optimizer)
            result = optimizer.step()
            before.take_back(self._found[optimizer])
        self._stepped.append(optimizer)
        return result

    def update(self, new_scale: Any = None) -> None:
        """Once at the end of each iteration: the scale grows, shrinks or stays, as the steps since the last call went.

        new_scale: this instead, a number or a 0-d tensor. Raises GradientError where no step has been.
        """
        if not self._enabled:
            return
        self._notice()
        with context.scope(recording=False):
            if new_scale is not None:
                self._assign_scale(new_scale)
            elif not self._found:
                raise GradientError("GradScaler.update: no gradients were looked at; call step(optimizer) before it")
            else:
                self._adapt(reduce(logical_or, self._found.values()))
        self._found.clear()
        self._stepped.clear()

    def _adapt(self, overflowed: Tensor) -> None:
        scale, successes = self._scale.detach(), self._successes + 1
        is_due = successes == self._growth_interval
        grown = scale * self._growth_factor
        kept = selection.where(is_due & isfinite(grown), grown, scale)
        self._scale.assign_(selection.where(overflowed, scale * self._backoff_factor, kept))
        restarts = logical_or(overflowed, is_due)
        self._successes.assign_(selection.where(restarts, creation.zeros_like(successes), successes))

    def _assign_scale(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            _positive("new_scale", value)
            value = creation.asarray(float(value), dtype=DEFAULT_FLOAT, device=self._scale.device)
        elif value.shape != ():
            raise ArgumentError(f"GradScaler.update: new_scale must be one number, got a tensor of shape {value.shape}")
        self._scale.assign_(casting.astype(casting.transfer(value.detach(), self._scale.device), DEFAULT_FLOAT))

    # ------------------------------------------------------------------------------ options

    def get_scale(self) -> float:
        """The scale; the host waits for it. 1 where scaling is not enabled."""
        return float(self._scale) if self._enabled else 1.0

    def is_enabled(self) -> bool:
        return self._enabled

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        if not is_real(new_factor) or not 1.0 < new_factor < math.inf:
            raise ArgumentError(f"GradScaler: growth_factor must be a number above 1, got {new_factor!r}")
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        if not is_real(new_factor) or not 0.0 < new_factor < 1.0:
            raise ArgumentError(f"GradScaler: backoff_factor must be a number between 0 and 1, got {new_factor!r}")
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        if not is_whole(new_interval) or new_interval < 1:
            raise ArgumentError(f"GradScaler: growth_interval must be an int of at least 1, got {new_interval!r}")
        self._growth_interval = new_interval

    def _follow(self, device: Device) -> None:
        if self._follows and self._scale.device is not device:
            scale, successes = number_in(self._scale), number_in(self._successes)
            if scale is None or successes is None:
                return
            self._scale, self._successes = placed(scale, DEFAULT_FLOAT, device), placed(successes, "int32", device)
        self._follows = False

    def _notice(self) -> None:
        context.current().interpreter.base.uses(self)

    def compile_guard(self) -> list[Any]:
        """What a compiled step was compiled for: all but the scale, which it is given."""
        return [self._enabled, self._growth_factor, self._backoff_factor, self._growth_interval]

    def abandon(self, is_made: Callable[[Any], bool]) -> None:
        """Forget the iteration that a compiled function was in when it could not be captured."""
        if any(map(is_made, self._found.values())):
            self._found.clear()
            self._stepped.clear()

    # ------------------------------------------------------------------------------ saving

    def state_dict(self) -> dict[str, Any]:
        """The scale, its options and the count of good steps, in PyTorch's layout; empty where it is not enabled."""
        if not self._enabled:
            return {}
        values = (
            self.get_scale(),
            self._growth_factor,
            self._backoff_factor,
            self._growth_interval,
            int(self._successes),
        )
        return dict(zip(SAVED, values, strict=True))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from ``state_dict()``, ours or PyTorch's. StateDictError, and nothing changes, for other keys."""
        if not self._enabled:
            return
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(SAVED):
            given = (
                sorted(map(str, state_dict)) if isinstance(state_dict, Mapping) else f"a {type(state_dict).__name__}"
            )
            raise StateDictError(
                f"GradScaler.load_state_dict: expected the keys {sorted(SAVED)}, got {given}; an empty "
                "one was saved by a scaler that was not enabled"
            )
        fresh = GradScaler(
            self._scale.device,
            *(state_dict[name] for name in ("scale", "growth_factor", "backoff_factor", "growth_interval")),
        )
        self._growth_factor, self._backoff_factor = fresh._growth_factor, fresh._backoff_factor
        self._growth_interval = fresh._growth_interval
        self._follows = self._is_free
        self._scale.assign_(fresh._scale.detach())
        self._successes.assign_(fresh._successes.detach() + int(state_dict["_growth_tracker"]))


class _Values:
    """What an optimizer's step may change, as it was before."""

    def __init__(self, optimizer: Any):
        self.optimizer = optimizer
        self.groups = {p: group for group in optimizer.param_groups for p in group["params"] if p.grad is not None}
        self.states = {p: _detached(optimizer.state.get(p, {})) for p in self.groups}
        self.parameters = {p: p.detach() for p in self.groups}
        self.steps = optimizer.steps.detach()

    def take_back(self, where: Tensor) -> None:
        """The old values, if ``where`` is true; state that the step has made gets its first ones."""
        for p, group in self.groups.items():
            before, now = self.states[p], self.optimizer.state.get(p, {})
            if now.keys() - before.keys():
                made = self.optimizer.init_single(self.parameters[p], group)
                before = {**{name: made[name] for name in now.keys() - before.keys()}, **before}
            for name, value in now.items():
                _choose(value, before[name], where)
            _choose(p, self.parameters[p], where)
        _choose(self.optimizer.steps, self.steps, where)


def _detached(state: Mapping[str, Variable]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in state.items()}


def _choose(target: Variable, old: Tensor, where: Tensor) -> None:
    target.assign_(selection.where(casting.transfer(where, target.device), old, target.detach()))


def _positive(name: str, value: Any) -> None:
    if not is_real(value) or not 0 < value < math.inf:
        raise ArgumentError(f"GradScaler: {name} must be a positive number, got {value!r}")
