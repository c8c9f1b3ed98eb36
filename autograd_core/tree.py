"""Nested containers (tuple, list, dict, named tuple) of leaves, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import ArgumentError

LEAF = object()


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves from left to right (dicts by sorted key) and the structure that ``unflatten`` needs."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Any, leaves: list[Any]) -> Any:
    if isinstance(tree, dict):
        keys = sorted_keys(tree)
        return (dict, keys, [_flatten(tree[k], leaves) for k in keys])
    if isinstance(tree, (tuple, list)):
        return (type(tree), None, [_flatten(child, leaves) for child in tree])
    if tree is None:
        return None
    leaves.append(tree)
    return LEAF


def sorted_keys(tree: dict[Any, Any]) -> list[Any]:
    """The order in which a dict's entries are leaves."""
    return sorted(tree, key=lambda key: (type(key).__name__, key))


def unflatten(structure: Any, leaves: list[Any]) -> Any:
    """The inverse of ``flatten``."""
    it = iter(leaves)
    result = _unflatten(structure, it)
    if next(it, LEAF) is not LEAF:
        raise ArgumentError("unflatten: more leaves than the structure holds")
    return result


def _unflatten(structure: Any, leaves: Any) -> Any:
    if structure is LEAF:
        return next(leaves)
    if structure is None:
        return None
    kind, keys, children = structure
    built = [_unflatten(child, leaves) for child in children]
    if kind is dict:
        return dict(zip(keys, built, strict=True))
    if hasattr(kind, "_fields"):
        return kind(*built)
    return kind(built)


def tree_map(fn: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """``fn`` applied to corresponding leaves of trees of one structure."""
    leaves, structure = flatten(tree)
    columns = [leaves]
    for other in others:
        more, its_structure = flatten(other)
        if its_structure != structure:
            raise ArgumentError("tree_map: the trees differ in structure")
        columns.append(more)
    return unflatten(structure, [fn(*row) for row in zip(*columns, strict=True)])
