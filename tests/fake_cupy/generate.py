"""Writes names.json: what an installed CuPy offers, by name and parameter. No driver is needed.

python tests/fake_cupy/generate.py          # in an environment with CuPy and ml_dtypes (for bfloat16)
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import cupy
import cupyx
import numpy as np

NAMES = Path(__file__).with_name("names.json")
NAMESPACES = {
    "cupy": cupy,
    "cupy.linalg": cupy.linalg,
    "cupy.fft": cupy.fft,
    "cupy.lib.stride_tricks": cupy.lib.stride_tricks,
    "cupyx": cupyx,
    "cupy.cuda": cupy.cuda,
    "cupy.cuda.runtime": cupy.cuda.runtime,
    "cupy.cuda.driver": cupy.cuda.driver,
}
CLASSES = {
    "cupy.ndarray": cupy.ndarray,
    "cupy.RawKernel": cupy.RawKernel,
    "cupy.RawModule": cupy.RawModule,
    "cupy.cuda.Device": cupy.cuda.Device,
    "cupy.cuda.Event": cupy.cuda.Event,
    "cupy.cuda.Function": cupy.cuda.Function,
    "cupy.cuda.Graph": cupy.cuda.Graph,
    "cupy.cuda.MemoryPointer": cupy.cuda.MemoryPointer,
    "cupy.cuda.MemoryPool": cupy.cuda.MemoryPool,
    "cupy.cuda.PinnedMemoryPool": cupy.cuda.PinnedMemoryPool,
    "cupy.cuda.Stream": cupy.cuda.Stream,
}


def parameters(function: Any) -> list[str] | None:
    """``["a", "axis=", "*", "copy="]``, a sign of equality after each that may be left out; None where not known."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return _documented(function)
    written: list[str] = []
    kinds = [p.kind for p in signature.parameters.values()]
    for i, p in enumerate(signature.parameters.values()):
        if p.kind is p.VAR_POSITIONAL:
            written.append(f"*{p.name}")
        elif p.kind is p.VAR_KEYWORD:
            written.append(f"**{p.name}")
        else:
            if p.kind is p.KEYWORD_ONLY and not {p.KEYWORD_ONLY, p.VAR_POSITIONAL} & set(kinds[:i]):
                written.append("*")
            written.append(p.name + ("=" if p.default is not p.empty else ""))
            if p.kind is p.POSITIONAL_ONLY and p.POSITIONAL_ONLY not in kinds[i + 1 :]:
                written.append("/")
    return written


def _documented(function: Any) -> list[str] | None:
    """The parameters that Cython writes into the first line of a docstring."""
    lines = (getattr(function, "__doc__", None) or "").strip().splitlines()
    found = re.match(r"[\w.]+\((.*)\)", lines[0]) if lines else None
    if found is None:
        return None
    written = []
    for part in filter(None, (p.strip() for p in found[1].split(","))):
        name, equals, _ = part.partition("=")
        name = name.split(":")[0].split()[-1]
        if name != "self":
            written.append(name + ("=" if equals else ""))
    return written


def described(value: Any) -> Any:
    if isinstance(value, cupy.ufunc):
        return {"ufunc": [value.nin, value.nout], "types": value.types}
    if isinstance(value, ModuleType):
        return "module"
    if isinstance(value, type) and issubclass(value, np.generic):
        return f"numpy.{value.__name__}"
    if isinstance(value, type):
        return "class"
    if callable(value):
        return {"parameters": parameters(value)}
    return "value"


def members(kind: type) -> dict[str, Any]:
    """Methods with their parameters, properties without."""
    found: dict[str, Any] = {}
    for name in dir(kind):
        if not name.startswith("_") or name in ("__dlpack__", "__dlpack_device__", "__init__"):
            value = inspect.getattr_static(kind, name)
            is_method = callable(getattr(kind, name)) and not isinstance(value, property)
            names = parameters(getattr(kind, name)) if is_method else None
            found[name] = (
                {"parameters": [n for n in names if n != "self"] if names else names} if is_method else "value"
            )
    return found


def main() -> None:
    facts = {
        "version": cupy.__version__,
        "namespaces": {
            where: {name: described(getattr(module, name)) for name in sorted(dir(module)) if not name.startswith("_")}
            for where, module in NAMESPACES.items()
        },
        "classes": {where: members(kind) for where, kind in CLASSES.items()},
    }
    facts["namespaces"]["cupy.cuda.runtime"] = {  # hundreds of constants that nobody needs by name
        name: value
        for name, value in facts["namespaces"]["cupy.cuda.runtime"].items()
        if value != "value" or name.startswith(("streamCaptureMode", "memcpy", "cudaDevAttrMultiProcessor"))
    }
    lines = json.dumps(facts, indent=1, sort_keys=True)
    lines = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s*\n\s*", " ", m[1]) + "]", lines)
    NAMES.write_text(lines + "\n")


if __name__ == "__main__":
    main()
