"""Master weights: float16 and bfloat16 parameters that are updated in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autograd_core import context
from autograd_core.aval import DEFAULT_FLOAT
from autograd_core.errors import ArgumentError
from autograd_core.ops import casting, selection
from autograd_core.ops.optimizer_updates import scaled_p
from autograd_core.primitive import bind
from autograd_core.tensor import Tensor, Variable

from .clipping import _norm as norm_of
from .clipping import check_norm
from .optimizer import MEMBERS, Group, Optimizer

MASTER = "master_param"
HALF = 2  # bytes


class MasterWeights(Optimizer):
    """The steps of another optimizer, taken in float32 where parameters are float16 or bfloat16.

    A half parameter has a master, its value in float32, in the optimizer's state (``state[p]["master_param"]``). A step
    updates the master and rounds it into the parameter, so that updates smaller than the distance between two halves
    add up instead of being lost. Moments and other state are float32 too; gradients are widened. Parameters of other
    dtypes are updated as the wrapped optimizer does it.

    optimizer: one that has taken no step. It lends its rule and its groups: change options in the ``param_groups`` of
    the result. A parameter that somebody else assigns to (``load_state_dict``) is taken over into its master.
    With ``GradScaler`` gradients are unscaled in float32; clip them with ``clip_grad_norm_`` of this class then.

    Raises ArgumentError for an optimizer that has taken steps, or whose ``step`` is its own.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> from autograd_core.optim import SGD
    >>> w = nn.Parameter(ag.ones(1, dtype="bfloat16"))
    >>> optimizer = MasterWeights(SGD([w], lr=2.0**-10))
    >>> for _ in range(4):
    ...     optimizer.zero_grad()
    ...     w.sum().backward()
    ...     optimizer.step()
    >>> w.item(), optimizer.state[w]["master_param"].item()  # 1 - 2**-10 is no bfloat16
    (0.99609375, 0.99609375)
    """

    def __init__(self, optimizer: Optimizer):
        if not isinstance(optimizer, Optimizer) or type(optimizer).step is not Optimizer.step:
            raise ArgumentError(
                f"MasterWeights: {type(optimizer).__name__} has a step of its own, or is no optimizer; wrap one whose "
                "rule is apply_single, such as MasterWeights(optim.Adam(model.parameters()))"
            )
        if optimizer.state:
            raise ArgumentError(
                f"MasterWeights: this {type(optimizer).__name__} has taken steps; wrap it before the first one, and "
                "load_state_dict a saved state into the result"
            )
        self.rule = optimizer
        self.complex_parameters = optimizer.complex_parameters
        self.younger_options = optimizer.younger_options
        self.assumed_state = optimizer.assumed_state
        self._gradients: dict[Tensor, Tensor] = {}
        super().__init__([_group(group) for group in optimizer.param_groups], optimizer.defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        self.rule.check_options(options)

    def check_parameter(self, where: str, p: Any) -> None:
        self.rule.check_parameter(where, p)

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        if param.dtype.itemsize != HALF:
            return self.rule.init_single(param, group)
        master = casting.astype(param, DEFAULT_FLOAT)
        return {**self.rule.init_single(master, group), MASTER: master}

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        grad = self._gradients.get(param, grad)
        if MASTER not in state:
            return self.rule.apply_single(param, grad, state, group)
        own = {name: value for name, value in state.items() if name != MASTER}
        master, widened = state[MASTER], casting.astype(param, DEFAULT_FLOAT)
        is_current = casting.astype(master, param.dtype) == param
        master = selection.where(is_current, master, widened)
        master, new_state = self.rule.apply_single(master, casting.astype(grad, DEFAULT_FLOAT), own, group)
        return master, {**new_state, MASTER: master}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """As any optimizer's. Gradients that were unscaled or clipped here are used, and then forgotten."""
        try:
            return super().step(closure)
        finally:
            self._gradients.clear()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, and what was unscaled or clipped of them."""
        self._gradients.clear()
        super().zero_grad(set_to_none)

    def gradients(self) -> dict[Tensor, Tensor]:
        """What the next step takes for the gradient of each parameter that has one: float32 where that is a half."""
        found: dict[Tensor, Tensor] = {}
        for _, p in self._parameters():
            if p.grad is not None:
                wide = DEFAULT_FLOAT if p.dtype.itemsize == HALF else p.dtype
                found[p] = self._gradients[p] if p in self._gradients else casting.astype(p.grad, wide)
        return found

    def scale_gradients_(self, factor: Tensor) -> None:
        """Multiply what the next step takes for gradients; ``p.grad`` stays as it is."""
        with context.scope(recording=False):
            self._gradients = {
                p: bind(scaled_p, (g, casting.transfer(factor, g.device)), {}) for p, g in self.gradients().items()
            }

    def clip_grad_norm_(self, max_norm: float, norm_type: float = 2.0) -> Tensor:
        """``optim.clip_grad_norm_`` of what the next step takes for gradients; returns their norm before."""
        check_norm(max_norm, norm_type)
        with context.scope(recording=False):
            total = norm_of(list(self.gradients().values()), float(norm_type), self.steps.device)
            self.scale_gradients_(selection.minimum(max_norm / (total + 1e-6), 1.0))
        return total

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As any optimizer's. Where masters are missing, as in a state of the wrapped kind, parameters are taken."""
        super().load_state_dict(self._with_masters(state_dict))

    def _with_masters(self, state_dict: Any) -> Any:
        entries = state_dict.get("state") if isinstance(state_dict, Mapping) else None
        if not isinstance(entries, Mapping) or not _lists_parameters(state_dict.get("param_groups")):
            return state_dict  # which the reader of state dicts refuses in its own words
        halves: dict[Any, Variable] = {}
        for group, mine in zip(state_dict["param_groups"], self.param_groups, strict=False):
            halves |= {k: p for k, p in zip(group["params"], mine["params"]) if p.dtype.itemsize == HALF}
        filled = {
            key: {**entry, MASTER: casting.astype(halves[key].detach(), DEFAULT_FLOAT)}
            if isinstance(entry, Mapping) and entry and key in halves and MASTER not in entry
            else entry
            for key, entry in entries.items()
        }
        return {**state_dict, "state": filled}


def _lists_parameters(groups: Any) -> bool:
    """Whether these are the groups of a saved state, which say what its entries belong to."""
    return isinstance(groups, (list, tuple)) and all(
        isinstance(group, Mapping)
        and isinstance(group.get("params"), (list, tuple))
        and all(isinstance(key, (int, str)) for key in group["params"])
        for group in groups
    )


def _group(group: Group) -> Group:
    """A group as it was given to an optimizer."""
    names = group.get("param_names")
    options = {name: value for name, value in group.items() if name not in MEMBERS}
    return {**options, "params": list(zip(names, group["params"], strict=True)) if names else group["params"]}
