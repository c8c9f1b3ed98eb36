"""Every layer that PyTorch has too, a family a file; ``CASES`` is all of them."""

from importlib import import_module
from pathlib import Path

from .case import LayerCase

CASES: list[LayerCase] = [
    case
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if path.stem not in ("__init__", "case")
    for case in import_module(f".{path.stem}", __name__).CASES
]
