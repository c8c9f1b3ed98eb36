"""Machine code kept on disk: a folder of files named by a hash of what they were made from.

Whoever can write to the folder can run code as the user. So the folder must be the user's alone, a file not owned by
the user or writable by others is not read, and each file carries a checksum of its name and content: what is cut
short, altered or renamed counts as absent and is made again. Files hold object code and nothing that is interpreted.

Processes share the folder without locks: a file is written under another name and then moved to its place. When the
files take more than ``LARGEST`` bytes, those used longest ago go.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

DIRECTORY_VARIABLE = "AUTOGRAD_CORE_CACHE_DIR"
LARGEST = 512 << 20
KEPT_AFTER_TRIMMING = 0.75
WRITES_BETWEEN_TRIMMINGS = 500
DAY = 24 * 3600.0
MAGIC = b"autograd_core object 1\n"
CHECKSUM_BYTES = 32


def default_directory() -> Path:
    """The user's folder for cached data on this platform, or what AUTOGRAD_CORE_CACHE_DIR names."""
    chosen = os.environ.get(DIRECTORY_VARIABLE)
    if chosen:
        return Path(chosen) / "native"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        named = Path(os.environ.get("XDG_CACHE_HOME", ""))
        base = named if named.is_absolute() else Path.home() / ".cache"  # the standard ignores relative paths
    return base / "autograd_core" / "native"


def default_cache() -> Cache:
    """The cache in the default directory, one object however often it is asked for."""
    try:
        return _cache_at(default_directory())
    except RuntimeError:  # a user without a home
        return _cache_at(Path(tempfile.gettempdir()) / f"autograd_core-{getattr(os, 'getuid', int)()}")


@cache
def _cache_at(directory: Path) -> Cache:
    return Cache(directory)


class Cache:
    """The files in one folder. A folder that cannot be used is reported once, by a warning, and then left alone."""

    def __init__(self, directory: Path, largest: int = LARGEST):
        self.directory = directory
        self.largest = largest
        self._usable: bool | None = None
        self._writes = 0

    def get(self, name: str) -> bytes | None:
        """What was kept under this name, if it is there and intact."""
        if not self._ready():
            return None
        path = self.directory / name
        try:
            content = _read_own(path)
        except OSError:
            return None
        if content is None or not content.startswith(MAGIC):
            return None
        start = len(MAGIC) + CHECKSUM_BYTES
        data = content[start:]
        return data if content[len(MAGIC) : start] == _checksum(name, data) else None

    def put(self, name: str, data: bytes) -> None:
        """Keep it; a disk that is full or gone is no error."""
        if not self._ready():
            return
        try:
            handle, temporary = tempfile.mkstemp(prefix="new-", dir=self.directory)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(MAGIC + _checksum(name, data) + data)
                os.replace(temporary, self.directory / name)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            self._give_up(str(error))
            return
        if self._writes % WRITES_BETWEEN_TRIMMINGS == 0:
            self._trim()
        self._writes += 1

    def _trim(self) -> None:
        found = []
        with suppress(OSError), os.scandir(self.directory) as entries:
            for entry in entries:
                with suppress(OSError):  # another process may be trimming too
                    status = entry.stat(follow_symlinks=False)
                    if entry.name.startswith("new-") and status.st_mtime < time.time() - DAY:
                        os.unlink(entry.path)  # its writer did not live to move it
                    else:
                        found.append((status.st_mtime, status.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        if total <= self.largest:
            return
        for _, size, path in sorted(found):
            if total <= self.largest * KEPT_AFTER_TRIMMING:
                return
            with suppress(OSError):
                os.unlink(path)
            total -= size

    def _ready(self) -> bool:
        if self._usable is None:
            try:
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                fault = _fault(os.lstat(self.directory))
                self._usable = True
            except OSError as error:
                fault = str(error)
            if fault:
                self._give_up(fault)
        return bool(self._usable)

    def _give_up(self, fault: str) -> None:
        self._usable = False
        warnings.warn(
            f"compiled code cannot be kept in {self.directory}: {fault}; every process will compile anew. "
            f"Set {DIRECTORY_VARIABLE} to a directory of your own",
            RuntimeWarning,
            stacklevel=2,
        )


def _fault(folder: os.stat_result) -> str:
    """Why code from this folder may not be trusted; empty if it may."""
    if not stat.S_ISDIR(folder.st_mode):
        return "it is no directory"
    if not hasattr(os, "getuid"):
        return ""
    if folder.st_uid != os.getuid():
        return "it belongs to another user"
    if folder.st_mode & 0o077:
        return f"others may use it (mode {stat.S_IMODE(folder.st_mode):o}, 700 is needed)"
    return ""


def _read_own(path: Path) -> bytes | None:
    """The file's content if it is the user's own and only the user can write it. Its time of last use is noted."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return None
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            return None
        content = file.read()
    if status.st_mtime < time.time() - DAY:
        with suppress(OSError):
            os.utime(path)
    return content


def _checksum(name: str, data: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + data).digest()
