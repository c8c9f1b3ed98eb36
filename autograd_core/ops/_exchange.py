"""What the array API standard asks of an array beside operators: its namespace, its device, the way out by DLPack.

And copies and pickles of tensors, which go the same ways.
"""

from __future__ import annotations

import sys
from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..backend import Device, get_device
from ..errors import ArgumentError, GradientError
from ..primitive import Value
from .casting import transfer

if TYPE_CHECKING:
    from types import ModuleType

    from ..tensor import Tensor

State = tuple[Any, dict[str, Any]]  # attributes, and what slots hold

API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")


class Exchange(Value):
    """Mixed into Tensor."""

    __slots__ = ()
    data: Any
    device: Device

    def __array_namespace__(self, /, *, api_version: str | None = None) -> ModuleType:
        """The module with the functions of the standard: ``autograd_core``."""
        if api_version is not None and api_version not in API_VERSIONS:
            raise ArgumentError(
                f"__array_namespace__: version {api_version!r} of the array API is not offered; "
                f"there are {', '.join(API_VERSIONS)}"
            )
        return sys.modules[__name__.partition(".")[0]]

    def __copy__(self) -> Tensor:
        return self._with_array(self.data, cast(State, object.__getstate__(self)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """Another tensor on the same device, whose values were there when what makes them had been enqueued."""
        attributes, slots = cast(State, object.__getstate__(self))
        others = {name: value for name, value in slots.items() if name != "data"}
        return self._with_array(self.device.xp.copy(self.data, order="C"), deepcopy((attributes, others), memo))

    def _with_array(self, data: Any, state: State) -> Any:
        made = object.__new__(type(self))
        made.__setstate__((state[0], {**state[1], "data": data}))
        return made

    def __getstate__(self) -> State:
        """For pickles: values as an array on the host, whichever device they are on and return to."""
        attributes, slots = cast(State, object.__getstate__(self))
        backend = self.device.backend
        data = backend.to_numpy(self.data) if isinstance(self.data, backend.array_types) else self.data
        return attributes, {**slots, "data": data}

    def __setstate__(self, state: State) -> None:
        attributes, slots = state
        for name, value in {**(attributes or {}), **slots}.items():
            setattr(self, name, value)
        if isinstance(self.data, np.ndarray):
            self.data = self.device.asarray(self.data)

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tensor:
        """The same values on ``device``; ``x.to(device)``. Differentiable."""
        if stream is not None:
            raise ArgumentError(f"to_device: copies wait for their data, no stream can be chosen, got {stream!r}")
        return transfer(self, get_device(device))

    def __dlpack_device__(self) -> tuple[int, int]:
        """Where the values lie, as DLPack numbers devices."""
        self._require_dlpack()
        kind, index = self.data.__dlpack_device__()
        return int(kind), int(index)

    def __dlpack__(
        self,
        /,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A capsule of the values: a copy, or, for ``copy=False``, the tensor's own memory marked as read-only.

        Tensors are immutable, but not every library heeds the mark, so memory is shared on demand alone.
        """
        if self.level or self.node is not None:
            raise GradientError("__dlpack__: another library would lose the derivative of this tensor: pass x.detach()")
        self._require_dlpack()
        options = {"stream": stream, "max_version": max_version, "dl_device": dl_device}
        if copy is not False:
            export = getattr(self.device.backend, "to_dlpack", type(self.data).__dlpack__)
            return export(self.data, copy=True, **options)
        shared = self.data.view()
        try:
            shared.flags.writeable = False
        except AttributeError:
            raise BufferError(
                f"__dlpack__: arrays on {self.device} cannot be marked as read-only, so they are exported as copies; "
                "leave out copy=False"
            ) from None
        return shared.__dlpack__(copy=False, **options)

    def _require_dlpack(self) -> None:
        if not hasattr(self.data, "__dlpack__"):
            raise BufferError(f"__dlpack__: arrays on {self.device} do not speak DLPack; write x.to('cpu') first")
