"""The error codes that kernels store, and the exceptions that they become."""

from __future__ import annotations

from autograd_core.errors import AutogradError, CompileError, IndexingError

INDEX_OUT_OF_RANGE = 1


def failure(code: int) -> AutogradError:
    """The exception for a code."""
    if code == INDEX_OUT_OF_RANGE:
        return IndexingError(
            "an index is out of range for the axis it is used on; call the function without ag.compile to see which"
        )
    return CompileError(f"a compiled kernel found values that it cannot use (code {code})")
