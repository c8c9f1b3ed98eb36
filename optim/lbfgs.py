"""L-BFGS: steps of Newton's kind, from the last few changes of the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import context
from autograd_core.errors import ArgumentError, DeviceError, StateDictError
from autograd_core.scalars import is_real
from autograd_core.tensor import Tensor

from .line_search import Point, strong_wolfe
from .optimizer import Group, Optimizer, assign, parts

SEARCHES = (None, "strong_wolfe")


@dataclass
class Memory:
    """What one iteration leaves to the next. All tensors are flat: the parameters, one after another, as one vector."""

    func_evals: int = 0
    n_iter: int = 0
    d: Tensor | None = None  # the last direction, and how far it was followed
    t: float = 0.0
    old_dirs: list[Tensor] = field(default_factory=list)  # changes of the gradient, oldest first
    old_stps: list[Tensor] = field(default_factory=list)  # and the changes of the parameters that made them
    ro: list[float] = field(default_factory=list)  # 1 / (change of gradient . change of parameters)
    H_diag: float = 1.0  # the inverse Hessian is this number, before what is remembered corrects it
    prev_flat_grad: Tensor | None = None
    prev_loss: float = math.inf


class LBFGS(Optimizer):
    """L-BFGS: the gradient times an estimate of the inverse Hessian, made of the last ``history_size`` iterations.

    y = g - g_before, s = t d;  d = -H g by the two-loop recursion over all (y, s) remembered, from
    H_0 = (y.s / y.y) I;  param = param + t d. In the first iteration d = -g, t = min(1, 1 / sum|g|) lr.

    A ``step`` is up to ``max_iter`` iterations, on one and the same loss: the whole data set, or a large batch.
    closure: clears the gradients, computes the loss, calls ``backward``, returns the loss; it may be compiled.
    lr: t, or with a line search the first t that is tried. max_eval: calls of the closure in a step, 1.25 max_iter
    unless given. It ends early where no element of the gradient is above ``tolerance_grad``, or the loss or all
    parameters change by less than ``tolerance_change``. line_search_fn: None, or "strong_wolfe", which is slower an
    iteration and far safer. Eager: how often it calls the closure depends on values. One group; parameters of any
    floating or complex dtype, on one device.

    State: ``memory``, 2 history_size + 2 vectors of all parameters; as in PyTorch it is saved as that of the first
    parameter. PyTorch's maths and arguments. Raises ArgumentError for arguments out of range, a second group and a step
    without a closure. Source: Liu and Nocedal, On the limited memory BFGS method for large scale optimization, 1989.

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([-1.0, 2.0]))
    >>> optimizer = LBFGS([w], max_iter=50, line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()  # the loss before the step
    104.0
    >>> [round(x, 3) for x in w.tolist()]
    [1.0, 1.0]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ):
        if max_eval is None:
            max_eval = max(1, max_iter * 5 // 4) if isinstance(max_iter, int) else 1
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        self.memory = Memory()
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        for name in ("max_iter", "max_eval", "history_size"):
            if isinstance(options[name], bool) or not isinstance(options[name], int) or options[name] < 1:
                raise ArgumentError(f"LBFGS: {name} must be an int of at least 1, got {options[name]!r}")
        self.check_range(options, "tolerance_grad", low=0.0)
        self.check_range(options, "tolerance_change", low=0.0)
        if options["line_search_fn"] not in SEARCHES:
            raise ArgumentError(
                f"LBFGS: line_search_fn must be None or 'strong_wolfe', got {options['line_search_fn']!r}"
            )

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Refused once there is a group: all parameters are one vector here."""
        if self.param_groups:
            raise ArgumentError("LBFGS: all parameters are one vector, in one group; give one list of parameters")
        super().add_param_group(group)

    # ------------------------------------------------------------------------------ the step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to ``max_iter`` iterations; returns the loss before them, and calls ``closure`` for every loss it needs.

        An error in the closure puts the parameters back to where the iteration began.
        """
        if closure is None:
            raise ArgumentError(
                "LBFGS.step: give a closure: a function that clears the gradients, computes the loss, calls backward "
                "and returns the loss; it is called several times in a step"
            )
        self.check_closure(closure)
        (group,) = self.param_groups
        self.check_options(group)
        device = group["params"][0].device
        if any(p.device is not device for p in group["params"]):
            raise DeviceError("LBFGS: the parameters lie on several devices; all are one vector, so move them to one")
        with context.scope(recording=False):
            loss, gradient = self._evaluate(closure)
            if all(p.grad is None for p in group["params"]):
                self._warn_no_gradients()
                return loss
            self._iterate(closure, group, float(loss), gradient)
            self.steps.assign_(self.steps + 1)
        return loss

    def _iterate(self, closure: Callable[[], Any], group: Group, loss: float, gradient: Tensor) -> None:
        memory, lr, used = self.memory, float(self._rate(0, group["lr"])), 1
        for iteration in range(1, group["max_iter"] + 1):
            if _largest(gradient) <= group["tolerance_grad"]:
                break
            direction = self._next_direction(gradient, group["history_size"])
            memory.prev_flat_grad, memory.prev_loss = gradient, loss
            memory.t = lr if memory.n_iter > 1 else lr * min(1.0, 1.0 / float(ag.abs(gradient).sum()))
            slope = float(_dot(gradient, direction))
            if slope > -group["tolerance_change"]:
                break
            path = _Path(self, closure, direction)
            calls = 0
            try:
                if group["line_search_fn"] is not None:
                    start, most = Point(0.0, loss, slope, gradient), group["max_eval"] - used
                    found, calls = strong_wolfe(path.point, start, memory.t, size=_largest(direction), most=most)
                    memory.t, loss, _, gradient = found
                    path.go(memory.t)
                else:
                    path.go(memory.t)
                    # the next step may be for another batch: this one's last loss is not worked out
                    if iteration < group["max_iter"]:
                        value, gradient = self._evaluate(closure)
                        loss, calls = float(value), 1
            except BaseException:
                path.go(0.0)
                raise
            used += calls
            if used >= group["max_eval"] or abs(loss - memory.prev_loss) < group["tolerance_change"]:
                break
            if _largest(direction) * abs(memory.t) <= group["tolerance_change"]:
                break

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Any, Tensor]:
        """The loss where the parameters are, and its gradient, flat."""
        with context.enable_grad():
            loss = closure()
        if not is_real(loss) and not (isinstance(loss, Tensor) and loss.size == 1):
            given = f"a tensor of shape {loss.shape}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise ArgumentError(f"LBFGS.step: the closure must return the loss, one number; it returned {given}")
        self.memory.func_evals += 1
        flat = []
        for p in self.param_groups[0]["params"]:
            g = p.grad
            if g is None:
                g = ag.zeros_like(p.detach())
            elif g.shape != p.shape or g.dtype != p.dtype or g.device is not p.device:
                self._refuse_gradient(p, g)
            flat.append(_flat(g))
        return loss, ag.concat(flat)

    def _next_direction(self, gradient: Tensor, history_size: int) -> Tensor:
        """Remember what the last iteration has taught, and give the direction of the next: -H gradient."""
        memory = self.memory
        memory.n_iter += 1
        if memory.d is not None and memory.prev_flat_grad is not None:
            y, s = gradient - memory.prev_flat_grad, memory.d * memory.t
            curvature = float(_dot(y, s))
            # a negative one would make H indefinite, and its direction lead uphill
            if curvature > 1e-10:
                memory.old_dirs.append(y)
                memory.old_stps.append(s)
                memory.ro.append(1.0 / curvature)
                for kept in (memory.old_dirs, memory.old_stps, memory.ro):
                    del kept[:-history_size]
                memory.H_diag = curvature / float(_dot(y, y))
        q, along = -gradient, []
        remembered = list(zip(memory.old_dirs, memory.old_stps, memory.ro, strict=True))
        for y, s, ro in reversed(remembered):
            along.append(_dot(s, q) * ro)
            q = q - y * along[-1]
        d = q * memory.H_diag
        for (y, s, ro), amount in zip(remembered, reversed(along), strict=True):
            d = d + s * (amount - _dot(y, d) * ro)
        memory.d = d
        return d

    # ------------------------------------------------------------------------------ saving

    def state_dict(self) -> dict[str, Any]:
        """As any optimizer's; the memory is the state of the first parameter, as in PyTorch."""
        saved = super().state_dict()
        if self.memory.func_evals:
            saved["state"] = {0: {f.name: _copied(getattr(self.memory, f.name)) for f in fields(Memory)}}
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As any optimizer's, from ``state_dict()`` here or in PyTorch."""
        entries = state_dict.get("state") if isinstance(state_dict, Mapping) else None
        entry: Any = next(iter(entries.values()), {}) if isinstance(entries, Mapping) else {}
        memory = self._read_memory(entry) if isinstance(entry, Mapping) else Memory()
        super().load_state_dict({**state_dict, "state": {}} if isinstance(entries, Mapping) else state_dict)
        self.memory = memory

    def _read_memory(self, entry: Mapping[str, Any]) -> Memory:
        """A saved memory, checked against the parameters."""
        params = self.param_groups[0]["params"]
        size = sum(p.size * (2 if p.dtype.kind == "c" else 1) for p in params)
        template = _flat(params[0].detach())
        problems: list[str] = []

        def vector(name: str, value: Any) -> Tensor:
            array = np.asarray(value.numpy() if isinstance(value, Tensor) else value)
            if array.shape != (size,):
                problems.append(f"{name!r} has shape {array.shape}; all parameters together are ({size},)")
            return ag.asarray(array, dtype=template.dtype, device=template.device, copy=True)

        memory = Memory()
        for name, value in entry.items():
            if value is None or name not in {f.name for f in fields(Memory)}:
                continue  # PyTorch keeps working space among its state
            try:
                if name in ("old_dirs", "old_stps"):
                    setattr(memory, name, [vector(name, x) for x in value])
                elif name in ("d", "prev_flat_grad"):
                    setattr(memory, name, vector(name, value))
                elif name == "ro":
                    memory.ro = [float(x) for x in value]
                else:
                    setattr(memory, name, type(getattr(memory, name))(value))
            except (TypeError, ValueError) as error:  # our own errors among them
                problems.append(f"{name!r} cannot be read: {error}")
        if not len(memory.old_dirs) == len(memory.old_stps) == len(memory.ro):
            problems.append("'old_dirs', 'old_stps' and 'ro' must be of one length")
        if problems:
            listed = "".join(f"\n  - {problem}" for problem in problems)
            raise StateDictError(f"LBFGS.load_state_dict: the state does not fit; nothing was changed:{listed}")
        return memory


class _Path:
    """The parameters, and a direction to move all of them in."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any], direction: Tensor):
        self.optimizer, self.closure, self.direction = optimizer, closure, direction
        self.start = [p.detach() for p in optimizer.param_groups[0]["params"]]

    def go(self, t: float) -> None:
        """Move the parameters to start + t * direction."""
        offset = 0
        for p, x in zip(self.optimizer.param_groups[0]["params"], self.start, strict=True):
            flat = _flat(x)
            moved = flat + self.direction[offset : offset + flat.size] * t
            offset += flat.size
            if p.dtype.kind == "c":
                moved = ag.view_as_complex(moved.reshape((-1, 2)))
            assign(p, moved.reshape(p.shape))

    def point(self, t: float) -> Point:
        """The loss at start + t * direction; one that is not finite counts as infinite."""
        self.go(t)
        value, gradient = self.optimizer._evaluate(self.closure)
        loss = float(value)
        slope = float(_dot(gradient, self.direction))
        return Point(t, loss if math.isfinite(loss) else math.inf, slope, gradient)


def _flat(x: Tensor) -> Tensor:
    return parts(x).reshape(-1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return ag.vecdot(a, b)


def _largest(x: Tensor) -> float:
    return float(ag.abs(x).max()) if x.size else 0.0


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value
