"""Every error that the framework raises on bad input.

A message says what was asked, what was given (names, shapes, dtypes, devices) and what to write
instead. Each class also derives from the built-in exception that a NumPy user would have caught, so
``except ValueError`` keeps working.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class AutogradError(Exception):
    """Base class of every error raised by ``autograd_core``."""


class ShapeError(AutogradError, ValueError):
    """Operand shapes do not fit the operation, or an axis is out of range."""


class IndexingError(ShapeError, IndexError):
    """An index is out of range, or does not fit the shape that it is used on."""


class NotASequenceError(ShapeError, TypeError):
    """A 0-d tensor was asked for its length or its elements."""


class DTypeError(AutogradError, TypeError):
    """Operand dtypes do not fit the operation."""


class DeviceError(AutogradError, ValueError):
    """Operands lie on different devices, or a device does not exist. devices: where the operands lie."""

    devices: tuple[Any, ...] = ()


class BackendUnavailableError(DeviceError, ImportError):
    """A device is known by name, but cannot be used here; the message says why."""


class OutOfMemoryError(AutogradError, MemoryError):
    """A device has no memory left; the message lists the largest tensors that hold it."""


class LinAlgError(AutogradError, np.linalg.LinAlgError):
    """A matrix lacks what the operation needs: it is singular, not positive definite, or holds NaN."""


class GradientError(AutogradError, RuntimeError):
    """A derivative was asked for that cannot be given."""


class BatchingError(AutogradError, RuntimeError):
    """A function cannot be run for a whole batch at once by ``vmap``."""


class AnomalyError(AutogradError, FloatingPointError):
    """``detect_anomaly`` saw the first NaN or infinity.

    op: the operation; kind: "NaN" or "infinity"; direction: "forward", "tangent" (forward mode) or "backward"; origin:
    its line and module (``diagnostics.origins.Origin``), None where the forward pass was not watched.
    """

    def __init__(self, message: str, *, op: str = "", kind: str = "", direction: str = "", origin: object = None):
        super().__init__(message)
        self.op, self.kind, self.direction, self.origin = op, kind, direction, origin


class GradientCheckError(AutogradError, AssertionError):
    """A derivative disagrees with finite differences."""


class ArgumentError(AutogradError, ValueError):
    """An argument has a value that the function does not take."""


class DataError(AutogradError, ValueError):
    """Data in memory or in a file is malformed (labels out of range, a file cut short)."""


class StateDictError(AutogradError, KeyError):
    """A state dict does not fit the module or optimizer that loads it."""

    def __str__(self) -> str:  # KeyError would print the message's repr
        return self.args[0] if self.args else ""


class CompileError(AutogradError, RuntimeError):
    """A function does something that compiled code could not repeat, or would repeat wrongly."""


class CheckpointError(AutogradError, ValueError):
    """A saved file is malformed, truncated or hostile."""
