"""What stacks of layers are given: the sizes of their layers, and what makes their activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograd_core.errors import ArgumentError

from ..linear import check_positive
from ..module import Module


def layer_sizes(model: str, sizes: Any, meaning: str) -> tuple[int, ...]:
    """``sizes`` as a tuple of two or more positive ints. meaning: what they name, with an example."""
    if not isinstance(sizes, tuple | list) or len(sizes) < 2:
        raise ArgumentError(f"{model}: sizes must name {meaning}, got {sizes!r}")
    check_positive(model, **{f"sizes[{i}]": size for i, size in enumerate(sizes)})
    return tuple(sizes)


def made(model: str, name: str, maker: Callable[[], Module]) -> Module:
    """The module that ``maker`` makes, a class such as nn.ReLU."""
    if not callable(maker) or isinstance(maker, Module):
        raise ArgumentError(f"{model}: {name} must be what makes a module, such as nn.ReLU, got {maker!r:.80}")
    return maker()
