"""Tensors in files: the safetensors format, written whole or not at all, and read with suspicion.

A file is 8 bytes of header length (little-endian), a JSON header {name: {dtype, shape, data_offsets}}, and the data,
which the tensors cover without gaps. Nothing in it can run. The official library writes, parses and judges files; here
is what it leaves to its users: replacing a file without a moment in which neither version is whole, and saying what is
wrong.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..backend import get_device
from ..errors import ArgumentError, CheckpointError, DTypeError
from ..ops import creation
from ..tensor import Tensor

DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
RESERVED = "__metadata__"
MAX_HEADER = 100_000_000  # the format's own limit
MAX_NDIM = 64  # NumPy's

PathLike = str | os.PathLike[str]

# ----------------------------------------------------------------------------------------- writing


def save(path: PathLike, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors to a safetensors file.

    tensors: name -> Tensor or NumPy array, of any shape and strides; names are any text but "__metadata__". Dtypes:
    bool, integers, float16, bfloat16, float32, float64, complex64. metadata: text beside them, for ``load_metadata``.

    The file is replaced whole: an interrupted save leaves the old one as it was. For nested dicts with numbers among
    the tensors there is ``save_checkpoint``. Raises ArgumentError or DTypeError for what the format cannot hold,
    CheckpointError when writing fails.

    >>> import autograd_core as ag, tempfile
    >>> path = tempfile.mkdtemp() + "/weights.safetensors"
    >>> ag.save(path, {"w": ag.tensor([1.0, 2.0])})
    >>> ag.load(path)
    {'w': tensor([1., 2.])}
    """
    if not isinstance(tensors, Mapping):
        raise ArgumentError(
            f"save: tensors must be a dict of name -> tensor, as model.state_dict(), got a {type(tensors).__name__}"
        )
    arrays = {_checked_name(name): _host_array(name, value) for name, value in tensors.items()}
    text = {
        _checked_text("a metadata key", k): _checked_text(f"metadata[{k!r}]", v) for k, v in (metadata or {}).items()
    }
    target = _target(path)
    temporary = target.with_name(f".{target.name[:50]}.{os.urandom(8).hex()}.tmp")
    try:
        _write(temporary, arrays, text)
        _copy_mode(target, temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"save: {path} could not be written, nothing was replaced: {getattr(error, 'strerror', None) or error}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _target(path: PathLike) -> Path:
    """The file to replace: through a link, so that "latest" stays one."""
    try:
        target = os.path.realpath(path)
    except ValueError as error:
        raise CheckpointError(f"save: {os.fspath(path)!r} is no path: {error}") from None
    if os.path.isdir(target):
        raise CheckpointError(f"save: {path} is a folder; give the name of a file in it, such as weights.safetensors")
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise CheckpointError(f"save: {path}: the folder {folder} does not exist; make it first")
    return Path(target)


def _write(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """A new file, on the disk when this returns, that the library can open."""
    path.touch(exist_ok=False)  # with the permissions that the user's umask gives, which the library does not heed
    mode = path.stat().st_mode
    save_file(arrays, path, metadata=metadata or None)
    path.chmod(mode)
    with safe_open(path, framework="np"):
        pass
    _sync(path)


def _copy_mode(source: Path, target: Path) -> None:
    if source.exists():
        target.chmod(stat.S_IMODE(source.stat().st_mode))


def _sync(path: Path) -> None:
    """Have the system put a file, or a folder's list of names, on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # some systems do not open folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checked_text(what: str, text: Any) -> str:
    if not isinstance(text, str):
        raise ArgumentError(f"save: {what} must be text, got a {type(text).__name__}; for numbers use save_checkpoint")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"save: {what} {text!r} cannot be written as UTF-8: {error.reason}") from None
    return text


def _checked_name(name: Any) -> str:
    if name == RESERVED:
        raise ArgumentError(f"save: the name {RESERVED!r} is taken by the format; choose another")
    return _checked_text(f"the tensor name {name!r}", name)


def _host_array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, Mapping):
        raise ArgumentError(f"save: {name!r} is a dict; nested dicts are for save_checkpoint")
    if not isinstance(value, (Tensor, np.ndarray, np.generic)):
        raise ArgumentError(
            f"save: {name!r} must be a tensor or NumPy array, got a {type(value).__name__}; numbers are for "
            "save_checkpoint"
        )
    array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.name not in DTYPES.values():
        raise DTypeError(
            f"save: {name!r} has dtype {array.dtype}, which a safetensors file cannot hold; {_instead(array)}"
        )
    return np.ascontiguousarray(array).reshape(array.shape)


def _instead(array: np.ndarray) -> str:
    if array.dtype.kind == "c":
        return "save its real and imaginary parts as two tensors"
    return "cast it to one of " + ", ".join(DTYPES.values())


# ----------------------------------------------------------------------------------------- reading


def load(path: PathLike, device: Any = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, whoever wrote it: name -> tensor, on ``device``.

    Raises CheckpointError, which says what was expected and what was found, for a file that is missing, cut short,
    malformed or hostile, and for dtypes that NumPy lacks; reads no more memory than the file is long. bfloat16 needs
    the package ml-dtypes.

    >>> import autograd_core as ag, tempfile
    >>> path = tempfile.mkdtemp() + "/weights.safetensors"
    >>> ag.save(path, {"w": ag.zeros((2, 1)), "step": ag.tensor(3)})
    >>> sorted(ag.load(path))
    ['step', 'w']
    """
    device = get_device(device)
    return {name: creation.asarray(array, device=device) for name, array in load_arrays(path)[0].items()}


def load_metadata(path: PathLike) -> dict[str, str]:
    """The text beside the tensors in a safetensors file; reads no tensor. Raises CheckpointError as ``load`` does.

    >>> import autograd_core as ag, tempfile
    >>> path = tempfile.mkdtemp() + "/weights.safetensors"
    >>> ag.save(path, {"w": ag.zeros(2)}, metadata={"licence": "CC0"})
    >>> ag.load_metadata(path)
    {'licence': 'CC0'}
    """
    return load_arrays(path, only_metadata=True)[1]


def load_arrays(path: PathLike, *, only_metadata: bool = False) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the metadata of a file. Raises CheckpointError."""
    _require_file(path)
    try:
        with safe_open(path, framework="np") as file:
            names = [] if only_metadata else sorted(file.keys())
            return {name: _read(path, file, name) for name in names}, dict(file.metadata() or {})
    except SafetensorError as error:
        reason = _explanation(path) or str(error)
    except OSError as error:
        reason = f"it cannot be read: {error.strerror or error}"
    raise CheckpointError(f"{os.fspath(path)} is not a readable safetensors file: {reason}")


def _require_file(path: PathLike) -> None:
    """Opening a pipe would wait for ever, and a device may have no end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{os.fspath(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if stat.S_ISDIR(mode):
        raise CheckpointError(f"{os.fspath(path)} is a folder; give the name of a safetensors file in it")
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"{os.fspath(path)} is no regular file, but a pipe, socket or device")


def _read(path: PathLike, file: Any, name: str) -> np.ndarray:
    view = file.get_slice(name)
    code, shape = view.get_dtype(), tuple(view.get_shape())
    what = f"{os.fspath(path)}: the tensor {name!r}"
    if code not in DTYPES:
        raise CheckpointError(f"{what} has dtype {code}; expected one of {', '.join(DTYPES)}")
    if len(shape) > MAX_NDIM or any(n > np.iinfo(np.intp).max for n in shape):
        raise CheckpointError(f"{what} has a shape that no array can have: {shape!s:.100}")
    if code == "BF16" and not _knows_bfloat16():
        raise CheckpointError(f"{what} is bfloat16, which NumPy lacks; install ml-dtypes")
    try:
        array = file.get_tensor(name)
    except ValueError as error:  # no data, but axes whose product overflows
        raise CheckpointError(f"{what} has a shape that no array can have, {shape}: {error}") from None
    # a byte other than 0 and 1 in a boolean array has no defined meaning to NumPy
    return array.view(np.uint8) != 0 if code == "BOOL" else array


def _knows_bfloat16() -> bool:
    try:
        import ml_dtypes  # noqa: F401  (optional: it gives NumPy the dtype)
    except ImportError:
        return False
    return True


# ------------------------------------------------------------------------------------- explaining


def _explanation(path: PathLike) -> str | None:
    """What is wrong with a file that the library refused, or None where this knows no better."""
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        return _wrong_frame(file, size) or _wrong_header(file, size)


def _wrong_frame(file: BinaryIO, size: int) -> str | None:
    if size < 8:
        return f"it has {size} bytes, expected at least 8 (the length of the header)"
    length = int.from_bytes(file.read(8), "little")
    if length > size - 8:
        if length > MAX_HEADER:
            return f"its first 8 bytes claim a header of {length} bytes; this is another format, or a damaged file"
        return f"its header should have {length} bytes, but only {size - 8} follow: the file was cut short"
    if length > MAX_HEADER:
        return f"its header has {length} bytes, expected at most {MAX_HEADER}"
    return None


def _wrong_header(file: BinaryIO, size: int) -> str | None:
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        return f"its header is not JSON: {error}"
    if not isinstance(header, dict):
        return f"its header is a JSON {type(header).__name__}, expected an object"
    data = size - 8 - length
    spans = []
    for name, entry in header.items():
        if name == RESERVED:
            if not isinstance(entry, dict) or not all(isinstance(v, str) for v in entry.values()):
                return f"its {RESERVED} is not an object of texts"
            continue
        problem = _wrong_entry(entry, data)
        if problem:
            return f"the tensor {name!r} {problem}"
        spans.append((*entry["data_offsets"], name))
    return _wrong_cover(sorted(spans), data)


def _wrong_entry(entry: Any, data: int) -> str | None:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        return f"is described by {entry!r:.80}, expected dtype, shape and data_offsets"
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        return f"has dtype {code!r:.40}; expected one of {', '.join(DTYPES)}"
    if not _are_counts(shape):
        return f"has shape {shape!r:.80}, expected a list of non-negative integers"
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        return f"has data_offsets {offsets!r:.80}, expected [begin, end]"
    begin, end = offsets
    if end > data:
        return f"should end at byte {end} of the data, which has {data} bytes: the file was cut short"
    size = _item_size(code)
    for n in shape:
        size *= n
    if size != end - begin:
        return f"of dtype {code} and shape {shape!r:.80} takes {size} bytes, but data_offsets give it {end - begin}"
    return None


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and n >= 0 for n in values)


def _item_size(code: str) -> int:
    return 2 if code == "BF16" else np.dtype(DTYPES[code]).itemsize


def _wrong_cover(spans: list[tuple[int, int, str]], data: int) -> str | None:
    position = 0
    for begin, end, name in spans:
        if begin != position:
            kind = "overlaps the one before it" if begin < position else "leaves a gap before it"
            return f"the tensor {name!r} {kind}: it begins at byte {begin} of the data, expected {position}"
        position = end
    if position != data:
        return f"its tensors take {position} bytes, but {data} bytes of data follow the header"
    return None
