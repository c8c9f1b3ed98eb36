"""Training steps as compiled functions that are compiled before the training's first step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd_core as ag
from autograd_core.tensor import Variable
from autograd_core.tree import flatten

TRIALS = 3  # calls after which a step is compiled: the first makes the optimizer's state, two more must agree


class CompiledStep:
    """A step of a training, compiled for each shape of batch before the first batch of that shape is learnt from.

    The trial calls that compiling takes are undone: parameters, buffers, the optimizer's state and the random generator
    are as before. So every step that counts is made by the same code, and a training that was interrupted and goes on
    gives the same bits as one that was not.
    """

    def __init__(self, step: Callable[..., Any], model: Any, optimizer: Any):
        self.step = ag.compile(step)
        self.model, self.optimizer = model, optimizer
        self.tried: set[tuple[Any, ...]] = set()

    def __call__(self, *batch: Any) -> Any:
        """``batch``: tensors or arrays, nested as the step takes them; what else is in it counts as its shape does."""
        leaves, structure = flatten(batch)
        kind = (repr(structure), *((x.shape, str(x.dtype)) if hasattr(x, "shape") else x for x in leaves))
        if kind not in self.tried:
            self._try(batch)
            self.tried.add(kind)
        return self.step(*batch)

    def _try(self, batch: tuple[Any, ...]) -> None:
        kept = [(variable, variable.detach()) for variable in self._variables()]
        generator = ag.random.default_generator()
        random = generator.state_dict()
        try:
            for _ in range(TRIALS):
                self.step(*batch)
        finally:
            generator.load_state_dict(random)
            for variable, value in kept:
                variable.assign_(value)
            self._begin_anew({id(variable) for variable, _ in kept})

    def _variables(self) -> list[Variable]:
        """Everything that a step may assign to."""
        states = [value for state in self.optimizer.state.values() for value in state.values()]
        found = [*self.model.parameters(), *self.model.buffers(), *states, self.optimizer.steps]
        return [x for x in found if isinstance(x, Variable)]

    def _begin_anew(self, known: set[int]) -> None:
        """State that the trial has made is again as it was made."""
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                made = {n: v for n, v in self.optimizer.state.get(parameter, {}).items() if id(v) not in known}
                if made:
                    fresh = self.optimizer.init_single(parameter, group)
                    for name, value in made.items():
                        value.assign_(fresh[name])
