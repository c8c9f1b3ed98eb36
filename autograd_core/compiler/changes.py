"""How often an attribute of any module was set: what compiled functions ask before they trust what they know."""

from __future__ import annotations

count = 0


def note() -> None:
    """An attribute of a module was set: compiled functions look again at what their Python code would do."""
    global count
    count += 1
