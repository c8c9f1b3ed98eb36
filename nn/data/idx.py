"""IDX files: the format of MNIST and its relatives, read strictly.

An IDX file is two zero bytes, a code for the dtype, the number of axes, the size of each axis as a big-endian 32-bit
integer, and the values in C order, big-endian. Source: http://yann.lecun.com/exdb/mnist ("the IDX file format").
"""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib

import numpy as np

from autograd_core.errors import DataError

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 32  # what every NumPy holds
MAX_BYTES = 2**63 - 1
CHUNK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_RATIO = 1032  # a bit of DEFLATE stands for at most 129 bytes


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an IDX file, plain or gzip (told by its first bytes, not by its name).

    Returns an array with the file's shape and dtype (uint8, int8, int16, int32, float32 or float64) in native byte
    order. Nothing is allocated on the word of the header: its sizes are held against the length of the file, and
    a gzip stream is unpacked only as far as it really goes. Raises DataError, with the expected and the actual number
    of bytes, when the file is not IDX, is cut short, goes on after its last value, or has a damaged gzip stream;
    OSError when it cannot be opened.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        length = os.fstat(file.fileno()).st_size
        zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        if zipped:
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                return _read(_Stream(stream, f"{name} (unpacked)"), None, DEFLATE_RATIO * length)
        return _read(_Stream(file, name), length, length)


class _Stream:
    """A stream that counts what it gave and remembers what broke it."""

    def __init__(self, stream: io.BufferedReader | gzip.GzipFile, name: str) -> None:
        self.stream, self.name = stream, name
        self.count, self.fault = 0, ""

    def take(self, size: int) -> bytearray:
        """Up to ``size`` bytes; fewer at the end of the stream or at a fault."""
        data = bytearray()
        try:
            # read1 hands out all that was unpacked before a fault, where read would lose it.
            while len(data) < size and (chunk := self.stream.read1(min(size - len(data), CHUNK))):
                data += chunk
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self.fault = f"; the gzip stream is damaged or cut short: {error}"
        self.count += len(data)
        return data


def _read(source: _Stream, length: int | None, most: int) -> np.ndarray:
    """``length``: the bytes that the source holds, where known; ``most``: what it can hold at the very most."""
    dtype, shape = _header(source)
    total = source.count + math.prod(shape) * dtype.itemsize
    asks = f"{source.name}: the header asks for {dtype.name} values of shape {shape}, {total} bytes in all"
    if total > most or (length is not None and length != total):
        held = f"the file holds {length}" if length is not None else f"the file can hold at most {most}"
        raise DataError(f"{asks}, but {held}: {_advice(total > most)}")
    data = source.take(total - source.count)
    if source.count < total:
        raise DataError(f"{asks}, but {source.count} bytes could be read{source.fault}: {_advice(True)}")
    rest = source.take(CHUNK)  # to the end of a gzip stream, where its checksum stands
    if source.fault:
        raise DataError(f"{asks}, and {source.count} were read{source.fault}: {_advice(True)}")
    if rest:
        least = "at least " if len(rest) == CHUNK else ""
        raise DataError(f"{asks}, but the file holds {least}{source.count}: {_advice(False)}")
    values = np.frombuffer(data, dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _header(source: _Stream) -> tuple[np.dtype, tuple[int, ...]]:
    magic = source.take(4)
    if len(magic) < 4:
        raise DataError(
            f"{source.name}: an IDX file starts with 4 bytes of magic number, but {len(magic)} bytes could be "
            f"read{source.fault}"
        )
    if magic[:2] != b"\0\0" or magic[2] not in DTYPES or magic[3] > MAX_AXES:
        known = ", ".join(f"{code:#04x} {np.dtype(kind).name}" for code, kind in DTYPES.items())
        raise DataError(
            f"{source.name}: not an IDX file: it starts with the bytes {magic.hex(' ')}; expected 00 00, a dtype code "
            f"({known}) and a number of axes up to {MAX_AXES}"
        )
    dtype, axes = np.dtype(DTYPES[magic[2]]), magic[3]
    sizes = source.take(4 * axes)
    if len(sizes) < 4 * axes:
        raise DataError(
            f"{source.name}: the header of an IDX file with {axes} axes has {4 + 4 * axes} bytes, but {source.count} "
            f"bytes could be read{source.fault}"
        )
    shape = struct.unpack(f">{axes}i", sizes)
    # NumPy refuses such a shape even where another axis is 0 and no byte follows.
    if min(shape, default=0) < 0 or math.prod(size for size in shape if size) * dtype.itemsize > MAX_BYTES:
        raise DataError(f"{source.name}: the header states the impossible shape {shape} of {dtype.name} values")
    return dtype, shape


def _advice(short: bool) -> str:
    return "it was cut short; copy it again" if short else "it has bytes after its last value"
