"""Checkpoints: nested dicts and lists of tensors, numbers and text in one safetensors file.

Tensors are stored under their path in the tree (``model.conv1.weight``), so that any reader of safetensors finds them.
The rest of the tree stands in the metadata as JSON. There, to tell apart what JSON cannot, every object has one key,
which says what it is: {"tensor": name}, {"dict": [[key, value], ...]}, {"tuple": [...]}, {"float": "nan"}.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..backend import get_device
from ..errors import ArgumentError, CheckpointError
from ..ops import creation
from ..tensor import Tensor
from .safetensors import PathLike, load_arrays, save

KEY = "autograd_core.tree"
MAX_DEPTH = 100


def save_checkpoint(path: PathLike, tree: Any) -> None:
    """Write a tree of tensors and plain values to one safetensors file, whole or not at all.

    tree: dicts (with text or int keys), lists and tuples of Tensors, NumPy arrays, bool, int, float, str and None.
    ``load_checkpoint`` gives it back exactly, arrays as tensors. Raises ArgumentError, naming the place in the tree,
    for anything else; otherwise as ``save``.

    >>> import autograd_core as ag, tempfile
    >>> path = tempfile.mkdtemp() + "/run.safetensors"
    >>> ag.save_checkpoint(path, {"model": {"w": ag.tensor([1.0, 2.0])}, "epoch": 3, "betas": (0.9, 0.999)})
    >>> ag.load_checkpoint(path)
    {'model': {'w': tensor([1., 2.])}, 'epoch': 3, 'betas': (0.9, 0.999)}
    >>> sorted(ag.load(path))
    ['model.w']
    """
    tensors: dict[str, Any] = {}
    skeleton = _pack(tree, (), tensors)
    try:
        text = json.dumps(skeleton, allow_nan=False)
    except ValueError as error:  # Python refuses to print integers of thousands of digits
        raise ArgumentError(f"save_checkpoint: a value of the tree cannot be written: {error}") from None
    save(path, tensors, metadata={KEY: text})


def _pack(node: Any, path: tuple[Any, ...], tensors: dict[str, Any]) -> Any:
    if len(path) > MAX_DEPTH:
        raise ArgumentError(
            f"save_checkpoint: {_place(path[:4])}... is nested more than {MAX_DEPTH} deep, or in itself"
        )
    if node is None or isinstance(node, bool):
        return node
    if isinstance(node, (Tensor, np.ndarray)):
        return {"tensor": _store(node, path, tensors)}
    if type(node) in (int, str):
        return _text(node, path) if type(node) is str else node
    if isinstance(node, float):
        return float(node) if math.isfinite(node) else {"float": repr(float(node))}
    if isinstance(node, Mapping):
        for key in node:
            if type(key) not in (str, int):
                raise ArgumentError(f"save_checkpoint: {_place(path)} has the key {key!r}; keys must be text or ints")
        return {"dict": [[_text(k, path), _pack(v, (*path, k), tensors)] for k, v in node.items()]}
    if type(node) in (list, tuple):
        packed = [_pack(child, (*path, i), tensors) for i, child in enumerate(node)]
        return packed if type(node) is list else {"tuple": packed}
    raise ArgumentError(
        f"save_checkpoint: {_place(path)} is a {type(node).__name__}; a checkpoint holds tensors, arrays, bool, int, "
        "float, "
        "str, None, and dicts, lists and tuples of them. Convert it, as in int(x)"
    )


def _text(key: str | int, path: tuple[Any, ...]) -> str | int:
    if isinstance(key, str):
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise ArgumentError(
                f"save_checkpoint: the text {key!r} at {_place(path)} cannot be written as UTF-8: {error.reason}"
            ) from None
    return key


def _store(value: Any, path: tuple[Any, ...], tensors: dict[str, Any]) -> str:
    """The name that a tensor is stored under: its path, numbered where two paths read the same."""
    wanted = name = ".".join(map(str, path)) or "tensor"
    number = 1
    while name in tensors or name == "__metadata__":
        number += 1
        name = f"{wanted}#{number}"
    tensors[name] = value
    return name


def _place(path: tuple[Any, ...]) -> str:
    return "tree" + "".join(f"[{key!r}]" for key in path)


def load_checkpoint(path: PathLike, device: Any = None) -> Any:
    """The tree that ``save_checkpoint`` wrote, with its tensors on ``device``.

    Raises CheckpointError as ``load`` does, and for a file that holds no tree.
    """
    device = get_device(device)
    arrays, metadata = load_arrays(path)
    if KEY not in metadata:
        raise CheckpointError(
            f"{os.fspath(path)} holds tensors alone, no checkpoint: read it with ag.load, write checkpoints with "
            "ag.save_checkpoint"
        )
    try:
        skeleton = json.loads(metadata[KEY])
        return _unpack(skeleton, lambda name: creation.asarray(arrays[name], device=device))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(
            f"{os.fspath(path)}: the metadata {KEY!r} does not describe a tree ({type(error).__name__}: "
            f"{error!s:.100}); "
            "expected what ag.save_checkpoint writes"
        ) from None


def _unpack(node: Any, tensor: Callable[[str], Any], depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if isinstance(node, list):
        return [_unpack(child, tensor, depth + 1) for child in node]
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensor(content)
    if kind == "float":
        return float(content)
    if kind == "tuple":
        return tuple(_unpack(child, tensor, depth + 1) for child in content)
    if kind == "dict":
        return {_key(k): _unpack(v, tensor, depth + 1) for k, v in content}
    raise ValueError(f"unknown kind {kind!r:.40}")


def _key(key: Any) -> str | int:
    if type(key) not in (str, int):
        raise TypeError(f"a key is text or an int, found {key!r:.40}")
    return key
