"""The front end of cuDNN over host memory, by NumPy, strict where the real one only assumes.

    with fake_cudnn.installed() as front_end:
        import cudnn                       # the fake

It offers what names.json lists for a release of ``nvidia-cudnn-frontend``, with those parameters, and refuses the rest:
calls in another order than the documented one, arrays that do not fit each other, addresses off their alignment,
missing workspace, a handle of another device, another stream than the current one. Beside the fake of CuPy.
"""

from __future__ import annotations

import ctypes
import enum
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.machinery import ModuleSpec
from itertools import count
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from fake_cupy.hardware import machine
from ml_dtypes import bfloat16

from . import convolutions
from .convolutions import ENGINES, Engine, Windows

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("names.json").read_text())
ENUMERATIONS = {name: enum.Enum(name, members) for name, members in FACTS["enumerations"].items()}
DTYPES = {"FLOAT": np.float32, "DOUBLE": np.float64, "HALF": np.float16, "BFLOAT16": bfloat16}
ALIGNMENT = 16


class cudnnGraphNotSupportedError(Exception):
    """No engine computes it."""


def require(condition: Any, why: str, kind: type[Exception] = RuntimeError) -> None:
    if not condition:
        raise kind(why)


# ------------------------------------------------------------------------------------------ what it takes


def checked(where: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """TypeError unless one form of the function takes these arguments."""
    forms = FACTS["functions"][name] if where == "functions" else FACTS["classes"][where][name]
    if not any(_takes(form, args, kwargs) for form in forms):
        raise TypeError(f"{name}(): incompatible function arguments, of {args} {kwargs}; there are {forms}")


def _takes(form: Sequence[str], args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    given = dict(kwargs)
    parameters = [re.fullmatch(r"(\w+): (.*?)( =)?", p) for p in form]
    if len(args) > len(parameters):
        return False
    for at, found in enumerate(parameters):
        assert found is not None
        name, kind, optional = found.groups()
        if at < len(args):
            value = args[at]
            if name in given:
                return False
        elif name in given and not re.fullmatch(r"arg\d+", name):
            value = given.pop(name)
        elif optional:
            continue
        else:
            return False
        if not _is(value, kind):
            return False
    return not given


def _is(value: Any, kind: str) -> bool:
    if kind.startswith("list["):
        return isinstance(value, (list, tuple)) and all(_is(x, kind[5:-1]) for x in value)
    if kind.startswith("Optional["):
        return value is None or _is(value, kind[9:-1])
    known: dict[str, Any] = {"int": int, "bool": bool, "str": str, "tensor": Tensor, **ENUMERATIONS}
    return kind in ("Any", "object") or (kind in known and type(value) is known[kind])


class Checked:
    """An object whose methods are those of a class of the front end."""

    KIND = ""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name in ("KIND", "state"):
            return object.__getattribute__(self, name)
        if name not in FACTS["classes"][self.KIND]:
            raise AttributeError(f"{self.KIND} has no {name} (nvidia-cudnn-frontend {FACTS['version']})")
        method = object.__getattribute__(self, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            checked(self.KIND, name, args, kwargs)
            return method(*args, **kwargs)

        return called


class Tensor(Checked):
    KIND = "tensor"

    def __init__(self, graph: Graph, dim: Sequence[int] = (), stride: Sequence[int] = (), data_type: Any = None):
        self._graph, self._dim, self._stride, self._type = graph, list(dim), list(stride), data_type
        self._uid, self._output = 0, False

    def set_output(self, given: bool) -> Tensor:
        self._output = given
        return self

    def set_data_type(self, given: Any) -> Tensor:
        self._type = given
        return self

    def set_dim(self, given: Sequence[int]) -> Tensor:
        self._dim = list(given)
        return self

    def set_stride(self, given: Sequence[int]) -> Tensor:
        self._stride = list(given)
        return self

    def set_uid(self, given: int) -> Tensor:
        self._graph._name(self, given)
        return self

    def _dtype(self) -> np.dtype:
        return np.dtype(DTYPES[self._type.name])

    def _at(self, address: int) -> np.ndarray:
        span = prod(self._dim) * self._dtype().itemsize
        return np.frombuffer((ctypes.c_byte * span).from_address(address), self._dtype()).reshape(self._dim)


# ------------------------------------------------------------------------------------------ graphs

STAGES = ("declared", "validated", "lowered", "planned", "supported", "built")


class Graph(Checked):
    """One convolution, with a bias or without; made, and given arguments, as the front end's is."""

    KIND = "pygraph"

    def __init__(self, front_end: FrontEnd, handle: Any, types: dict[str, Any]):
        self._front_end, self._handle, self._types = front_end, handle, types
        self._uids: dict[int, Tensor] = {}
        self._stage = "declared"
        self._operation: tuple[str, list[Tensor], Windows] | None = None
        self._added: Tensor | None = None
        self._result: Tensor | None = None
        self._engines: list[Engine] = []

    def _name(self, tensor: Tensor, uid: int) -> None:
        require(self._uids.get(uid, tensor) is tensor, f"uid {uid} has been already assigned to another tensor.")
        self._uids[uid] = tensor
        tensor._uid = uid

    def _goes_on(self, stage: str) -> None:
        """To a stage from the one before."""
        before = STAGES[STAGES.index(stage) - 1]
        require(self._stage == before, f"{stage} after {self._stage}, not {before}", cudnnGraphNotSupportedError)
        self._stage = stage

    def tensor(self, dim: Any, stride: Any, data_type: Any, uid: int) -> Tensor:
        made = Tensor(self, dim, stride, data_type)
        self._name(made, uid)
        return made

    def _convolved(self, kind: str, operands: list[Tensor], how: dict[str, Any]) -> Tensor:
        require(self._operation is None, "one convolution is all that this knows", NotImplementedError)
        windows = Windows(*(how[name] for name in ("pre_padding", "post_padding", "stride", "dilation")))
        self._operation = kind, operands, windows
        self._result = Tensor(self)
        return self._result

    def conv_fprop(self, image: Tensor, weight: Tensor, **how: Any) -> Tensor:
        return self._convolved("forward", [image, weight], how)

    def conv_dgrad(self, loss: Tensor, filter: Tensor, **how: Any) -> Tensor:
        return self._convolved("input", [loss, filter], how)

    def conv_wgrad(self, image: Tensor, loss: Tensor, **how: Any) -> Tensor:
        return self._convolved("weight", [image, loss], how)

    def bias(self, input: Tensor, bias: Tensor) -> Tensor:
        require(input is self._result and self._operation[0] == "forward", "no bias for that", NotImplementedError)
        self._added, self._result = bias, Tensor(self)
        return self._result

    def validate(self) -> None:
        y = self._result
        require(y is not None and y._output and y._uid, "nothing comes out")
        require(y._dim and y._stride, "For dgrad node, output dimension inferencing is not possible.", ValueError)
        for tensor in self._uids.values():
            steps = [prod(tensor._dim[i + 1 :]) for i in range(len(tensor._dim))]
            require(tensor._stride == steps and min(tensor._dim) > 0, f"{tensor._dim} does not lie row by row")
            require(len(tensor._dim) in (4, 5), f"{len(tensor._dim)} axes", cudnnGraphNotSupportedError)
            require(tensor._type.name in DTYPES, f"{tensor._type}", cudnnGraphNotSupportedError)
        require(len({t._type for t in self._uids.values()}) == 1, "mixed types", cudnnGraphNotSupportedError)
        sums = "DOUBLE" if y._type.name == "DOUBLE" else "FLOAT"
        for name in ("intermediate_data_type", "compute_data_type"):
            require(self._types[name].name == sums, f"{name} of {y._type}", cudnnGraphNotSupportedError)
        self._goes_on("validated")

    def _shapes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Image, weight and output."""
        kind, (first, second), _ = self._operation
        y = self._result
        return {"forward": (first, second, y), "input": (y, second, first), "weight": (first, y, second)}[kind]

    def build_operation_graph(self) -> None:
        (x, w, y), windows = (t._dim for t in self._shapes()), self._operation[2]
        require(y[:2] == [x[0], w[0]], "channels of the output")
        require(x[1] % w[1] == 0 and w[0] % (x[1] // w[1]) == 0, "(0 != xDimA[1] % wDimA[1])")
        require(y[2:] == windows.counts(x[2:], w[2:]), "is_valid_spatial_dim(...)")
        added = self._added
        require(added is None or added._dim == [1, y[1], *[1] * (len(y) - 2)], "the bias has one element a channel")
        self._goes_on("lowered")

    def create_execution_plans(self, modes: Any) -> None:
        require(modes, "no heuristic")
        self._goes_on("planned")
        self._engines = list(ENGINES)

    def deselect_numeric_notes(self, notes: Any) -> None:
        require(self._stage == "planned", f"deselected when {self._stage}")
        self._engines = [e for e in self._engines if not e.notes & {note.name for note in notes}]

    def deselect_workspace_greater_than(self, most: int) -> None:
        require(self._stage == "planned", f"deselected when {self._stage}")
        self._engines = [e for e in self._engines if e.workspace <= most]

    def check_support(self) -> None:
        self._front_end.asked += 1
        refused = self._front_end.refuses
        found = [e for e in self._engines if not refused(self._operation[0], e)]
        require(found, "[cudnn_frontend] Error: No execution plans support the graph.", cudnnGraphNotSupportedError)
        self._engines = found
        self._goes_on("supported")

    def build_plans(self) -> None:
        require(machine.queue.capture is None, "an engine is built while a stream is captured")
        self._goes_on("built")
        self._front_end.built.append(self._engines[0].name)

    def get_workspace_size(self) -> int:
        require(self._stage == "built", "Plan index -1 is invalid.")
        return self._engines[0].workspace

    # -------------------------------------------------------------------------------- running

    def execute(self, addresses: dict[int, int], workspace: int, handle: int) -> None:
        require(self._stage == "built", "not built")
        require(handle == self._handle, "the handle of another graph")
        device, stream = self._front_end.handles[handle]
        require(device == machine.local.device, "a handle of another device")
        current = machine.local.streams.get(device)
        require(current is not None and current.ptr == stream, "another stream than the current one")
        require(set(addresses) == set(self._uids), f"{set(addresses)} are not {set(self._uids)}")
        for address in addresses.values():
            require(type(address) is int and address and not address % ALIGNMENT, f"{address} is no place for an array")
        engine = self._engines[0]
        if engine.workspace:
            require(workspace and not workspace % ALIGNMENT, "no workspace")
        touched = []
        if machine.queue.capture is not None:
            result = self._result._uid
            sizes = {uid: prod(t._dim) * np.dtype(DTYPES[t._type.name]).itemsize for uid, t in self._uids.items()}
            touched = [machine.access(a, sizes[uid], writes=uid == result) for uid, a in addresses.items()]
            if engine.workspace:
                touched.append(machine.access(workspace, engine.workspace, writes=True))
        run = partial(self._run, engine, dict(addresses), workspace)
        machine.launch(f"cudnn_{self._operation[0]}", run, others=touched)

    def _run(self, engine: Engine, addresses: dict[int, int], workspace: int) -> None:
        if engine.workspace:
            ctypes.memset(workspace, 0xA5, engine.workspace)  # it must be ours to write
        kind, operands, windows = self._operation
        y = self._result._at(addresses[self._result._uid])
        if engine.factors is None:
            y[...] = np.nan
            return
        wide = np.float64 if y.dtype == np.float64 else np.float32
        arrays = [t._at(addresses[t._uid]).astype(wide) for t in operands]
        factors = [engine.factors(a) if wide is np.float32 else a for a in arrays]
        image, weight, _ = (t._dim for t in self._shapes())
        groups = image[1] // weight[1]
        if kind == "forward":
            found = convolutions.forward(*factors, windows, groups)
            if self._added is not None:
                found = found + self._added._at(addresses[self._added._uid]).astype(wide)
        elif kind == "input":
            found = convolutions.of_image(*factors, image[2:], windows, groups)
        else:
            found = convolutions.of_weight(*factors, weight[2:], windows, groups)
        y[...] = found


# ------------------------------------------------------------------------------------------ the module


class FrontEnd(ModuleType):
    """asked: how often whether there is an engine; built: the engine of every plan; handles: device and stream of each;
    refuses: which engines a kind of convolution is not computed by. library: its version; None without one."""

    def __init__(self, version: str = FACTS["version"], library: int | None = 92800):
        super().__init__("cudnn")
        self.__spec__ = ModuleSpec("cudnn", None)
        self.__version__ = version
        self.loaded = library
        self.asked = 0
        self.built: list[str] = []
        self.handles: dict[int, tuple[int, int]] = {}
        self.refuses: Callable[[str, Engine], bool] = lambda kind, engine: False
        self._numbers = count(1000)

    def __getattr__(self, name: str) -> Any:
        if name in FACTS["enumerations"]:
            return ENUMERATIONS[name]
        if name in FACTS["errors"]:
            return cudnnGraphNotSupportedError
        if name == "pygraph":
            return self._pygraph
        if name not in FACTS["functions"]:
            raise AttributeError(f"module 'cudnn' has no attribute {name!r} (nvidia-cudnn-frontend {FACTS['version']})")
        return partial(self._called, name)

    def _called(self, name: str, *args: Any, **kwargs: Any) -> Any:
        checked("functions", name, args, kwargs)
        require(self.loaded is not None, f"Unable to find symbol of {name}")
        return getattr(self, f"_{name}")(*args, **kwargs)

    def _pygraph(self, *args: Any, **kwargs: Any) -> Graph:
        checked("pygraph", "__init__", args, kwargs)
        require(kwargs.get("handle") in self.handles, "no handle")
        return Graph(self, kwargs.pop("handle"), kwargs)

    def _backend_version(self) -> int:
        return self.loaded or 0

    def _create_handle(self) -> int:
        made = next(self._numbers)
        self.handles[made] = machine.local.device, 0
        return made

    def _destroy_handle(self, handle: int) -> None:
        del self.handles[handle]

    def _set_stream(self, handle: int, stream: int) -> None:
        self.handles[handle] = self.handles[handle][0], stream


@contextmanager
def installed(version: str = FACTS["version"], library: int | None = 92800) -> Iterator[FrontEnd]:
    """``import cudnn`` gives the fake inside, of that version, with that library."""
    before = sys.modules.get("cudnn")
    sys.modules["cudnn"] = made = FrontEnd(version, library)
    try:
        yield made
    finally:
        del sys.modules["cudnn"]
        if before is not None:
            sys.modules["cudnn"] = before
