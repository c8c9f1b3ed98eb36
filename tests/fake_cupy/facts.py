"""What CuPy offers, read from names.json, and signatures built from it."""

from __future__ import annotations

import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("names.json").read_text())
VERSION: str = FACTS["version"]
NAMESPACES: dict[str, dict[str, Any]] = FACTS["namespaces"]
CLASSES: dict[str, dict[str, Any]] = FACTS["classes"]


@cache
def signature(where: str, name: str) -> inspect.Signature | None:
    """The parameters of a function, or of a method of a class; None where CuPy does not say."""
    entry = (NAMESPACES.get(where) or CLASSES[where])[name]
    names = entry.get("parameters") if isinstance(entry, dict) else None
    return None if names is None else _built(names)


def _built(names: list[str]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    made: list[inspect.Parameter] = []
    for name in names:
        if name == "/":
            made = [p.replace(kind=p.POSITIONAL_ONLY) for p in made]
        elif name == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
        elif name.startswith("**"):
            made.append(inspect.Parameter(name[2:], inspect.Parameter.VAR_KEYWORD))
        elif name.startswith("*"):
            made.append(inspect.Parameter(name[1:], inspect.Parameter.VAR_POSITIONAL))
            kind = inspect.Parameter.KEYWORD_ONLY
        else:
            default = None if name.endswith("=") else inspect.Parameter.empty
            made.append(inspect.Parameter(name.rstrip("="), kind, default=default))
    return inspect.Signature(made)


def check_arguments(where: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """TypeError unless CuPy's function takes these arguments."""
    known = signature(where, name)
    if known is None:
        return
    try:
        known.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{where}.{name}{known}: {error}") from None
