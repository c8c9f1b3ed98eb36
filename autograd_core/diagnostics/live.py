"""The tensors that are alive on a device, largest first, and what each is: who holds the memory.

Nothing is kept for this: the garbage collector knows every tensor and every recorded operation. Looking takes
milliseconds to seconds, so it is for errors and questions.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..backend import Device
from ..graph import Leaf, Node, Piece
from ..tensor import Tensor
from .origins import Origin, origin_of


class LiveTensor(NamedTuple):
    """Memory that one tensor, or several that share it, keep alive.

    what: in words, such as "result of matmul", "parameter encoder.weight", "gradient of parameter encoder.weight",
    "kept by relu for its derivative"; place: the line that made it, and the module, where ``record_origins`` watched;
    node: whether a recorded operation made or keeps it.
    """

    nbytes: int
    shape: tuple[int, ...]
    dtype: Any
    what: str
    place: str
    node: bool


def live_tensors(device: Device) -> list[LiveTensor]:
    """What is alive on ``device``, each piece of memory once, largest first."""
    objects = gc.get_objects()  # anybody's: isinstance would ask some of them what they are, and they might do anything
    of_ours = [x for x in objects if issubclass(type(x), Tensor)]
    tensors = [x for x in of_ours if getattr(x, "device", None) is device and _has_value(x)]
    names = _parameter_names(objects)
    described: dict[int, tuple[int, LiveTensor]] = {}
    keepers = _keepers(x for x in objects if type(x) is Node)
    gradients = {
        id(_memory(x.node.grad)): f"gradient of {names.get(id(x), 'a variable')}"
        for x in tensors
        if isinstance(x.node, Leaf) and x.node.grad is not None and _has_value(x.node.grad)
    }
    for x in tensors:
        key = id(_memory(x))
        found = _described(x, names.get(id(x)), gradients.get(key), keepers.get(key))
        if key not in described or found[0] > described[key][0]:
            described[key] = found
    return sorted((tensor for _, tensor in described.values()), key=lambda tensor: -tensor.nbytes)


def _described(x: Tensor, name: str | None, gradient: str | None, keeper: Node | None) -> tuple[int, LiveTensor]:
    """How much the description tells beside others of the same memory, and the description."""
    node: Any = x.node.node if type(x.node) is Piece else x.node
    maker: Node | None = None
    if name is not None:
        rank, what = 4, name
    elif gradient is not None:
        rank, what = 3, gradient
    elif type(node) is Node:
        rank, what, maker = 2, f"result of {_op(node)}", node
    elif keeper is not None:
        rank, what, maker = 1, f"kept by {_op(keeper)} for its derivative", keeper
    else:
        rank, what = 0, "variable" if isinstance(node, Leaf) else "held by the program"
    nbytes = int(getattr(_memory(x), "nbytes", x.nbytes))
    place = "" if maker is None else _place(origin_of(maker))
    return rank, LiveTensor(nbytes, x.shape, x.dtype, what, place, maker is not None)


def _has_value(x: Tensor) -> bool:
    """Not what a function that is being captured makes."""
    return isinstance(x.data, x.device.backend.array_types)


def _memory(x: Tensor) -> Any:
    """The array that owns the memory."""
    base = getattr(x.data, "base", None)
    return x.data if base is None or not hasattr(base, "nbytes") else base


def _op(node: Node) -> str:
    return node.pullback.primitive.name


def _place(origin: Origin | None) -> str:
    if origin is None:
        return ""
    inside = f" in module {origin.within}" if origin.within else ""
    return f"called at {origin.place}{inside}"


def _keepers(nodes: Iterable[Node]) -> dict[int, Node]:
    """Memory -> a recorded operation that keeps it for its derivative."""
    found: dict[int, Node] = {}
    for node in nodes:
        for x in node.saved or ():
            if isinstance(x, Tensor) and not x.level and _has_value(x):
                found.setdefault(id(_memory(x)), node)
    return found


def _parameter_names(objects: Iterable[Any]) -> dict[int, str]:
    """Tensor -> "parameter path" or "buffer path", as seen from the outermost module that it belongs to."""
    modules = [x for x in objects if hasattr(type(x), "named_modules") and hasattr(type(x), "named_parameters")]
    below = {id(part) for module in modules for path, part in module.named_modules() if path}
    found: dict[int, str] = {}
    for module in modules:
        if id(module) not in below:
            for kind, named in (("parameter", module.named_parameters()), ("buffer", module.named_buffers())):
                found.update((id(x), f"{kind} {path}") for path, x in named)
    return found
