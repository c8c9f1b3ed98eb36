"""Deep belief networks: restricted Boltzmann machines on top of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from autograd_core.context import no_grad
from autograd_core.errors import ArgumentError
from autograd_core.tensor import Tensor

from ..activation import Sigmoid
from ..container import ModuleList, Sequential
from ..linear import Linear
from ..module import Module
from ..parameter import Parameter
from .rbm import RBM
from .sizes import layer_sizes


class DeepBeliefNet(Module):
    """A stack of RBMs, each trained on what the one below says of the data.

    Machine i has sizes[i] visible and sizes[i + 1] hidden units. Train ``machines[0]`` on the data, then
    ``machines[i]`` on ``features(data, depth=i)``, each by :meth:`RBM.divergence`: where a machine begins with the
    weights below it, turned about, this raises a lower bound on the log-likelihood. The result generates
    (:meth:`sample`), or is the beginning of a classifier (:meth:`unrolled`).

    x: (N, sizes[0]); output: (N, sizes[-1]), the features of the top. ``visible``: the units that x is made of,
    "bernoulli" or "gaussian".

    Sources: Hinton, Osindero and Teh, A fast learning algorithm for deep belief nets, 2006; Bengio et al., Greedy
    layer-wise training of deep networks, 2007.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.models import DeepBeliefNet
    >>> net = DeepBeliefNet((784, 500, 200))
    >>> net(ag.ones((2, 784))).shape, net.unrolled(10)(ag.ones((2, 784))).shape
    ((2, 200), (2, 10))
    """

    def __init__(self, sizes: Sequence[int], *, visible: str = "bernoulli", device: Any = None, dtype: Any = None):
        self.sizes = layer_sizes("DeepBeliefNet", sizes, "data and layers, as in (784, 500, 200)")
        kinds = [visible, *["bernoulli"] * (len(self.sizes) - 2)]
        shapes = zip(self.sizes[:-1], self.sizes[1:], kinds, strict=True)
        self.machines: Any = ModuleList([RBM(a, b, visible=kind, device=device, dtype=dtype) for a, b, kind in shapes])

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)

    def features(self, x: Tensor, depth: int | None = None) -> Tensor:
        """p(h = 1 | below) of machine ``depth - 1``, from x upwards by means; depth 0 is x itself, None the top."""
        depth = len(self.machines) if depth is None else depth
        if isinstance(depth, bool) or not isinstance(depth, int) or not 0 <= depth <= len(self.machines):
            raise ArgumentError(f"DeepBeliefNet: depth must be an int from 0 to {len(self.machines)}, got {depth!r}")
        for machine in list(self.machines)[:depth]:
            x = machine(x)
        return x

    def sample(self, x: Tensor, steps: int = 1) -> Tensor:
        """Means of x's units drawn from the model: (N, sizes[0]) -> (N, sizes[0]).

        ``steps`` rounds of Gibbs sampling in the top machine, begun at the features of x, then once downwards.
        """
        *below, top = self.machines
        with no_grad():
            v = top.gibbs(self.features(x, len(below)), steps)
            for machine in reversed(below):
                v = machine.reconstruct(v)
        return v.detach()

    def unrolled(self, classes: int) -> Sequential:
        """An MLP with sigmoid units whose hidden layers have copies of the machines' weights; its last layer, of
        ``classes`` scores, is drawn as ``nn.Linear`` does."""
        weight = self.machines[0].weight
        layers: list[Module] = []
        for machine in self.machines:
            layer = Linear(machine.visible_units, machine.hidden_units, device=weight.device, dtype=weight.dtype)
            layer.weight.assign_(machine.weight.detach())
            cast(Parameter, layer.bias).assign_(machine.hidden_bias.detach())
            layers += [layer, Sigmoid()]
        return Sequential(*layers, Linear(self.sizes[-1], classes, device=weight.device, dtype=weight.dtype))

    def extra_repr(self) -> str:
        return f"sizes={self.sizes}"
