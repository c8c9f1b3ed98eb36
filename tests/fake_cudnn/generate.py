"""Writes names.json: what an installed front end of cuDNN offers, by name and parameter. No library, no driver needed.

python tests/fake_cudnn/generate.py          # in an environment with nvidia-cudnn-frontend
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import cudnn

NAMES = Path(__file__).with_name("names.json")
ENUMERATIONS = ("build_plan_policy", "data_type", "heur_mode", "numerical_note")
CLASSES = ("pygraph", "tensor")


def overloads(function: Any) -> list[list[str]]:
    """The parameters of each form, ``["image: tensor", "padding: list[int] ="]``, a sign of equality after each that
    may be left out; those without a name of their own are called arg0, arg1."""
    if inspect.isfunction(function):
        parameters = inspect.signature(function).parameters.values()
        return [[f"{p.name}: Any{'' if p.default is p.empty else ' ='}" for p in parameters if p.name != "self"]]
    found = re.findall(r"^(?:\d+\. )?\w+\((.*)\) -> ", function.__doc__ or "", re.MULTILINE)
    forms = [form for form in found if form != "*args, **kwargs"]
    return [[_written(p) for p in _parts(form) if not p.startswith("self:")] for form in forms]


def _parts(form: str) -> list[str]:
    """Split at the commas that no bracket surrounds."""
    parts, depth = [""], 0
    for letter in form:
        depth += (letter in "[(<") - (letter in "])>")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _written(part: str) -> str:
    name, _, rest = part.partition(":")
    kind, equals, _ = rest.partition(" =")
    return f"{name}: {kind.strip().replace('cudnn._compiled_module.', '')}{' =' if equals else ''}"


def members(kind: type) -> dict[str, Any]:
    return {
        name: overloads(getattr(kind, name))
        for name in ("__init__", *sorted(dir(kind)))
        if name == "__init__" or not name.startswith("_")
    }


def described() -> dict[str, Any]:
    functions = {
        name: overloads(value)
        for name, value in sorted(vars(cudnn).items())
        if inspect.isbuiltin(value) and not name.startswith("_")
    }
    return {
        "version": cudnn.__version__,
        "functions": functions,
        "enumerations": {name: list(getattr(cudnn, name).__members__) for name in ENUMERATIONS},
        "classes": {name: members(getattr(cudnn, name)) for name in CLASSES},
        "errors": ["cudnnGraphNotSupportedError"],
    }


def written(value: Any, depth: int = 3, indent: str = "") -> str:
    """JSON, a line for every function."""
    if not isinstance(value, dict) or not depth:
        return json.dumps(value)
    rows = [f"{indent} {json.dumps(k)}: {written(v, depth - 1, indent + ' ')}" for k, v in value.items()]
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}"


if __name__ == "__main__":
    NAMES.write_text(written(described()) + "\n")
