"""A learning rate that falls where a metric stops getting better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autograd_core.backend import get_device
from autograd_core.errors import ArgumentError, StateDictError
from autograd_core.ops import creation
from autograd_core.scalars import is_real
from autograd_core.tensor import Tensor, Variable

from .following import placed

COUNTS = ("num_bad_epochs", "cooldown_counter", "last_epoch")


class ReduceLROnPlateau:
    """A learning rate that is multiplied by ``factor`` when a metric has not got better for ``patience`` epochs.

    Give it to an optimizer as ``lr``, and call ``step(metric)`` after every epoch, or let ``nn.training.fit`` do so:
    ``fit(..., loggers=[lambda epoch, row: plateau.step(row["val_loss"])])``. The rate is a variable that steps read, so
    that compiled ones go on as they are. It is saved and loaded with the optimizer that it was given to.

    mode: "min" where lower is better, "max" where higher. threshold: a metric is better only by so much, as a part of
    the best so far ("rel") or as it is ("abs", ``threshold_mode``). cooldown: epochs after a reduction that do not
    count. min_lr: the lowest rate. eps: a change smaller than that is not made. A metric that is NaN is not better.
    device: where the rate lies; unless given, where the optimizers are that read it.

    PyTorch's rules and arguments, the rate in the place of the optimizer. Raises ArgumentError for arguments out of
    range.

    >>> import autograd_core as ag
    >>> from autograd_core import nn, optim
    >>> plateau = ReduceLROnPlateau(0.1, factor=0.5, patience=1)
    >>> optimizer = optim.SGD([nn.Parameter(ag.zeros(2))], lr=plateau)
    >>> for loss in (3.0, 2.0, 2.0, 2.0, 2.0):
    ...     plateau.step(loss)
    >>> plateau.rate
    0.05
    """

    def __init__(
        self,
        lr: float,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
        *,
        device: Any = None,
    ):
        numbers = {
            "lr": (lr, math.inf),
            "factor": (factor, 1.0),
            "patience": (patience, math.inf),
            "threshold": (threshold, math.inf),
            "cooldown": (cooldown, math.inf),
            "min_lr": (min_lr, math.inf),
            "eps": (eps, math.inf),
        }
        for name, (value, limit) in numbers.items():
            if not is_real(value) or not 0.0 <= value < limit:
                raise ArgumentError(f"ReduceLROnPlateau: {name} must be a number in [0, {limit:g}), got {value!r}")
        for name, word, known in (("mode", mode, ("min", "max")), ("threshold_mode", threshold_mode, ("rel", "abs"))):
            if word not in known:
                raise ArgumentError(f"ReduceLROnPlateau: {name} must be {known[0]!r} or {known[1]!r}, got {word!r}")
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.factor, self.min_lr, self.eps = factor, min_lr, eps
        self.patience, self.cooldown = patience, cooldown
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self.rate = float(lr)  # as it is now
        self._device = None if device is None else get_device(device)
        self._rates: list[Variable] = []  # the same, wherever an optimizer has asked for it

    def __call__(self, step: Any) -> Any:
        """The rate, whatever the number of steps: as a variable to an optimizer, else as a float."""
        if not isinstance(step, Tensor):
            return self.rate
        device = self._device or step.device
        for rate in self._rates:
            if rate.device is device:
                return rate
        self._rates.append(placed(self.rate, "float64", device))
        return self._rates[-1]

    def step(self, metric: Any) -> None:
        """Take note of the metric (a number or a 0-d tensor), and lower the rate if it is time."""
        try:
            value = float(metric)
        except (TypeError, ValueError):  # our own error for a tensor of several elements among them
            given = f"a tensor of shape {metric.shape}" if isinstance(metric, Tensor) else repr(metric)
            raise ArgumentError(
                "ReduceLROnPlateau.step: metric must be one number, such as an epoch's row['val_loss'], got "
                f"{given:.80}"
            ) from None
        self.last_epoch += 1
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            rate = self.rate
            lower = max(rate * self.factor, self.min_lr)
            if rate - lower > self.eps:
                self._assign(lower)

    def _is_better(self, value: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        relative = self.best * (1.0 - sign * self.threshold)
        bar = relative if self.threshold_mode == "rel" else self.best - sign * self.threshold
        return value < bar if self.mode == "min" else value > bar

    def _assign(self, rate: float) -> None:
        self.rate = rate
        for held in self._rates:
            held.assign_(creation.asarray(rate, dtype="float64", device=held.device))

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs, under PyTorch's names: numbers alone. The arguments are not among it."""
        return {"best": self.best, "_last_lr": [self.rate]} | {name: getattr(self, name) for name in COUNTS}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()``, ours or PyTorch's of one group. Raises StateDictError and changes nothing."""
        if not isinstance(state_dict, Mapping):
            raise StateDictError(
                f"ReduceLROnPlateau.load_state_dict: a state is a dict, got a {type(state_dict).__name__}"
            )
        missing = [k for k in ("best", "_last_lr", *COUNTS) if k not in state_dict]
        if missing:
            raise StateDictError(
                f"ReduceLROnPlateau.load_state_dict: {missing} are missing; found {sorted(state_dict)}"
            )
        try:
            best, rates = float(state_dict["best"]), [float(rate) for rate in state_dict["_last_lr"]]
            counts = {name: int(state_dict[name]) for name in COUNTS}
        except (TypeError, ValueError) as error:
            raise StateDictError(
                "ReduceLROnPlateau.load_state_dict: 'best' and the counts are numbers, '_last_lr' a list of them; got "
                f"{dict(state_dict)!r:.200} ({error})"
            ) from None
        if not all(0.0 <= rate < math.inf for rate in rates):
            raise StateDictError(f"ReduceLROnPlateau.load_state_dict: '_last_lr' {rates} is no learning rate")
        if len(rates) != 1:
            raise StateDictError(
                f"ReduceLROnPlateau.load_state_dict: the state has rates of {len(rates)} groups, and this is one; make "
                "one for each group"
            )
        self.best = best
        for name, count in counts.items():
            setattr(self, name, count)
        self._assign(rates[0])

    def __repr__(self) -> str:
        return f"ReduceLROnPlateau({self.rate}, {self.mode!r}, {self.factor}, {self.patience})"
