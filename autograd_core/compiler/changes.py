"""Whether attributes of modules were set: what compiled functions ask before they trust what they know.

A flag that has its old value again counts as if it had never been set: a training that evaluates the model after every
epoch goes from ``train()`` to ``eval()`` and back, and is not captured again for that.
"""

from __future__ import annotations

from threading import Lock

count = 0  # of attributes set
flags = 0  # a sum over the flags that differ from what they were at first

_lock = Lock()


def note() -> None:
    """An attribute of a module was set: compiled functions look again at what their Python code would do."""
    global count
    count += 1


def note_flag(owner: object, name: str, old: bool, new: bool) -> None:
    """An attribute that was True or False is so again, or the opposite."""
    global flags
    if old is not new:
        with _lock:  # a lost sum would make two states look like one
            flags += hash((id(owner), name)) * (1 if new else -1)
