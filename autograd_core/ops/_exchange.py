"""What the array API standard asks of an array beside operators: its namespace, its device, the way out by DLPack."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..backend import get_device
from ..errors import ArgumentError, GradientError
from ..primitive import Value
from .casting import transfer

if TYPE_CHECKING:
    from types import ModuleType

    from ..tensor import Tensor

API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")


class Exchange(Value):
    """Mixed into Tensor."""

    __slots__ = ()
    data: Any

    def __array_namespace__(self, /, *, api_version: str | None = None) -> ModuleType:
        """The module with the functions of the standard: ``autograd_core``."""
        if api_version is not None and api_version not in API_VERSIONS:
            raise ArgumentError(
                f"__array_namespace__: version {api_version!r} of the array API is not offered; "
                f"there are {', '.join(API_VERSIONS)}"
            )
        return sys.modules[__name__.partition(".")[0]]

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
