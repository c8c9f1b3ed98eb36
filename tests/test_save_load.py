"""Files hold what was saved, whole or not at all, and a hostile file is refused in words."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.numpy import load_file, save_file

import autograd_core as ag
from autograd_core.interop import safetensors as module

DTYPES = [name for name in module.DTYPES.values() if name != "bfloat16"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))

# the fixture's folder is shared by all examples, which overwrite one file in it
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_identical(found: Any, expected: np.ndarray) -> None:
    found = found.numpy() if isinstance(found, ag.Tensor) else found
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype.newbyteorder("="))
    np.testing.assert_array_equal(found, expected)


# ------------------------------------------------------------------------------------- round trips


@in_one_folder
@given(
    arrays=st.dictionaries(
        TEXT.filter(lambda name: name != "__metadata__"),
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
        ),
        max_size=4,
    ),
    metadata=st.dictionaries(TEXT, TEXT, max_size=3),
)
def test_any_arrays_under_any_names_come_back(tmp_path: Path, arrays: dict, metadata: dict) -> None:
    path = tmp_path / "weights"
    ag.save(path, arrays, metadata)
    loaded = ag.load(path)
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert_identical(loaded[name], array)
    assert ag.load_metadata(path) == metadata
    for name, array in load_file(path).items():
        assert_identical(array, arrays[name])
    assert os.listdir(tmp_path) == ["weights"]


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x.T,
        lambda x: x[::-1, ::2],
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: x[:, :0],
        lambda x: x.astype(">f8"),
        lambda x: np.asfortranarray(x),
    ],
    ids=["transposed", "reversed", "broadcast", "empty", "big-endian", "fortran"],
)
def test_arrays_that_are_not_laid_out_in_rows(tmp_path: Path, look: Any) -> None:
    array = look(np.arange(12.0).reshape(3, 4))
    ag.save(tmp_path / "x", {"x": array, "t": ag.asarray(array)})
    assert_identical(ag.load(tmp_path / "x")["x"], array)
    assert_identical(ag.load(tmp_path / "x")["t"], array)


def test_bfloat16_comes_back_where_numpy_has_it(tmp_path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([[1.5, -2.0, np.inf]], ml_dtypes.bfloat16)
    ag.save(tmp_path / "x", {"x": array})
    assert_identical(ag.load(tmp_path / "x")["x"], array)


def test_bfloat16_without_ml_dtypes_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(file_of({"x": entry("BF16", [1], 0, 2)}, b"\0\0"))
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ag.CheckpointError, match="'x' is bfloat16, which NumPy lacks; install ml-dtypes"):
        ag.load(tmp_path / "x")


def test_tensors_that_require_gradients_and_results_are_saved_by_value(tmp_path: Path) -> None:
    w = ag.tensor([1.0, 2.0], requires_grad=True)
    ag.save(tmp_path / "x", {"w": w, "y": w * 2})
    loaded = ag.load(tmp_path / "x")
    assert (loaded["w"].tolist(), loaded["y"].tolist()) == ([1.0, 2.0], [2.0, 4.0])
    assert not loaded["w"].requires_grad


def test_tensors_are_loaded_to_a_device(tmp_path: Path) -> None:
    ag.save(tmp_path / "x", {"w": ag.ones(2)})
    assert str(ag.load(tmp_path / "x", device="numpy")["w"].device) == "numpy"
    with pytest.raises(ag.DeviceError, match="no backend is named 'abacus'"):
        ag.load(tmp_path / "x", device="abacus")


def test_files_of_the_official_library_and_of_pytorch_are_read(tmp_path: Path) -> None:
    save_file({"w": np.ones((2, 3), "float32")}, tmp_path / "numpy")
    assert_identical(ag.load(tmp_path / "numpy")["w"], np.ones((2, 3), "float32"))
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    save_torch({"w": torch.ones(2, 3)}, tmp_path / "torch")
    assert_identical(ag.load(tmp_path / "torch")["w"], np.ones((2, 3), "float32"))


# ------------------------------------------------------------------------------------- checkpoints


def same(a: Any, b: Any) -> bool:
    """Equal in value, type and order, with NaN equal to itself and 0.0 different from -0.0."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        b = b.numpy() if isinstance(b, ag.Tensor) else b
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(same, a.values(), b.values()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b)


trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | npst.arrays(st.sampled_from(["float32", "int64", "bool"]), st.sampled_from([(), (0,), (2, 2)])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["a", "b", "a.b", ""]) | st.integers(0, 2), inner, max_size=3)
    ),
    max_leaves=8,
)


@in_one_folder
@given(tree=trees)
def test_any_tree_comes_back_as_it_was(tmp_path: Path, tree: Any) -> None:
    ag.save_checkpoint(tmp_path / "run", tree)
    assert same(tree, ag.load_checkpoint(tmp_path / "run"))


def test_tensors_of_a_checkpoint_have_their_path_as_name(tmp_path: Path) -> None:
    ag.save_checkpoint(
        tmp_path / "run", {"model": {"fc.weight": ag.ones(2)}, "optimizer": {"state": {0: {"step": ag.tensor(3)}}}}
    )
    assert sorted(load_file(tmp_path / "run")) == ["model.fc.weight", "optimizer.state.0.step"]


def test_paths_that_read_the_same_are_kept_apart(tmp_path: Path) -> None:
    tree = {"a": {"b": np.array(1)}, "a.b": np.array(2), "a.b#2": np.array(3), "__metadata__": np.array(4)}
    ag.save_checkpoint(tmp_path / "run", tree)
    assert same(tree, ag.load_checkpoint(tmp_path / "run"))


def self_containing() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"model": [object()]}, r"tree\['model'\]\[0\] is a object; a checkpoint holds"),
        ({"n": np.int64(3)}, r"tree\['n'\] is a int64.*int\(x\)"),
        ({"k": {(1, 2): 3}}, r"tree\['k'\] has the key \(1, 2\); keys must be text or ints"),
        ({"k": {True: 3}}, "has the key True"),
        ({"s": {1, 2}}, "is a set"),
        ({"t": "\ud800"}, "cannot be written as UTF-8"),
        ({"\ud800": 1}, "cannot be written as UTF-8"),
        ({"n": 10**5000}, "cannot be written"),
        (self_containing(), "nested more than 100 deep, or in itself"),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_named_by_its_place(tmp_path: Path, tree: Any, message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        ag.save_checkpoint(tmp_path / "run", tree)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "skeleton",
    [
        "",
        "{",
        "[" * 100_000,
        '{"tensor": "missing"}',
        '{"tensor": 3}',
        '{"tensor": ["w"]}',
        '{"pickle": "cos"}',
        '{"tensor": "w", "dict": []}',
        "{}",
        '{"dict": [["a"]]}',
        '{"dict": [[["a"], 1]]}',
        '{"dict": 3}',
        '{"float": "one"}',
        '{"float": {}}',
        '{"tuple": null}',
        '{"tuple":[' * 200 + "]}" * 200,
        "1" * 10_000,
    ],
    ids=range(17),
)
def test_a_damaged_tree_is_refused(tmp_path: Path, skeleton: str) -> None:
    ag.save(tmp_path / "run", {"w": ag.ones(1)}, {"autograd_core.tree": skeleton})
    with pytest.raises(ag.CheckpointError, match="does not describe a tree"):
        ag.load_checkpoint(tmp_path / "run")


def test_plain_weights_are_no_checkpoint(tmp_path: Path) -> None:
    ag.save(tmp_path / "w", {"w": ag.ones(1)})
    with pytest.raises(ag.CheckpointError, match=r"holds tensors alone, no checkpoint: read it with ag\.load"):
        ag.load_checkpoint(tmp_path / "w")


# ------------------------------------------------------------------------------- whole or not at all


@pytest.mark.parametrize("broken", ["save_file", "safe_open", "_sync"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
def test_an_interrupted_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, error: BaseException
) -> None:
    ag.save(tmp_path / "x", {"w": ag.tensor([1.0])})

    def interrupt(*args: Any, **kwargs: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, broken, interrupt)
        with pytest.raises(ag.CheckpointError if isinstance(error, OSError) else type(error)) as caught:
            ag.save(tmp_path / "x", {"w": ag.tensor([2.0])})
    if isinstance(error, OSError):
        assert "nothing was replaced: No space left on device" in str(caught.value)
    assert ag.load(tmp_path / "x")["w"].tolist() == [1.0]
    assert os.listdir(tmp_path) == ["x"]


def test_a_process_killed_while_saving_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    program = (
        "import sys, numpy as np, autograd_core as ag\n"
        "for i in range(10**6):\n"
        "    ag.save(sys.argv[1], {'w': np.full(200_000, i)})\n"
        "    print(i, flush=True)\n"
    )
    for delay in (0.0, 0.003, 0.011):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        values = ag.load(path)["w"].numpy()
        assert values.shape == (200_000,)
        assert (values == values[0]).all()
        assert values[0] >= 2


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "step-1", tmp_path / "latest"
    ag.save(real, {"w": ag.tensor([1.0])})
    os.chmod(real, 0o640)
    link.symlink_to(real)
    ag.save(link, {"w": ag.tensor([2.0])})
    assert link.is_symlink()
    assert ag.load(real)["w"].tolist() == [2.0]
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    ag.save(tmp_path / "x", {"w": ag.tensor([1.0])})
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("tensors", "metadata", "kind", "message"),
    [
        (
            [1, 2],
            None,
            ag.ArgumentError,
            r"tensors must be a dict of name -> tensor, as model.state_dict\(\), got a list",
        ),
        ({"a": {"b": np.ones(1)}}, None, ag.ArgumentError, "'a' is a dict; nested dicts are for save_checkpoint"),
        ({"a": 3.0}, None, ag.ArgumentError, "'a' must be a tensor or NumPy array, got a float"),
        ({3: np.ones(1)}, None, ag.ArgumentError, "the tensor name 3 must be text"),
        ({"__metadata__": np.ones(1)}, None, ag.ArgumentError, "taken by the format"),
        ({"\ud800": np.ones(1)}, None, ag.ArgumentError, "cannot be written as UTF-8"),
        ({"a": np.ones(1, complex)}, None, ag.DTypeError, "complex128, .*real and imaginary parts"),
        ({"a": np.array(["x"])}, None, ag.DTypeError, "'a' has dtype <U1, which a safetensors file cannot hold"),
        ({"a": np.array([object()])}, None, ag.DTypeError, "'a' has dtype object"),
        ({"a": np.ones(1)}, {"epoch": 3}, ag.ArgumentError, r"metadata\['epoch'\] must be text, got a int"),
        ({"a": np.ones(1)}, {3: "x"}, ag.ArgumentError, "a metadata key must be text"),
    ],
)
def test_what_a_file_cannot_hold_is_refused(
    tmp_path: Path, tensors: Any, metadata: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        ag.save(tmp_path / "x", tensors, metadata)
    assert not os.listdir(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "is a folder; give the name of a file in it"),
        (tmp_path / "no" / "x", "the folder .* does not exist"),
        (tmp_path / ("x" * 300), "could not be written, nothing was replaced: File name too long"),
        ("nul\0", "is no path: .*embedded null"),
    ):
        with pytest.raises(ag.CheckpointError, match=message):
            ag.save(path, {"w": ag.ones(1)})


# ----------------------------------------------------------------------------------- hostile files


def entry(dtype: Any, shape: Any, begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def file_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


ONE = entry("F32", [1], 0, 4)
HUGE = 2**62

HOSTILE = {
    "empty": (b"", "it has 0 bytes, expected at least 8"),
    "shorter than a length": (b"abc", "it has 3 bytes, expected at least 8"),
    "header cut short": (struct.pack("<Q", 100) + b"{}", "header should have 100 bytes, but only 2 follow"),
    "header claims much": (struct.pack("<Q", 2**63) + b"{}", "claim a header of 9223372036854775808 bytes"),
    "a zip file": (b"PK\x03\x04" + bytes(60), "its header should have 67324752 bytes, but only 56 follow"),
    "header not JSON": (file_of(b"nope"), "header is not JSON"),
    "header not UTF-8": (file_of(b'{"\xff": 1}'), "header is not JSON"),
    "header nested deep": (file_of(b'{"__metadata__":' + b'{"a":' * 100_000), "header is not JSON"),
    "header a list": (file_of([1]), "header is a JSON list, expected an object"),
    "entry a number": (file_of({"a": 3}), "'a' is described by 3, expected dtype, shape and data_offsets"),
    "entry incomplete": (file_of({"a": {"dtype": "F32"}}), "expected dtype, shape and data_offsets"),
    "metadata a number": (file_of({"__metadata__": {"k": 1}}), "__metadata__ is not an object of texts"),
    "dtype unknown": (file_of({"a": entry("F99", [1], 0, 4)}, b"1234"), "'a' has dtype 'F99'; expected one of BOOL"),
    "dtype without NumPy's like": (file_of({"a": entry("F8_E4M3", [4], 0, 4)}, b"1234"), "'a' has dtype F8_E4M3;"),
    "dtype a list": (file_of({"a": entry(["F32"], [1], 0, 4)}, b"1234"), "'a' has dtype"),
    "shape negative": (file_of({"a": entry("F32", [-1], 0, 4)}, b"1234"), r"shape \[-1\], expected a list of non-neg"),
    "shape fractional": (file_of({"a": entry("F32", [1.0], 0, 4)}, b"1234"), r"shape \[1.0\], expected"),
    "shape too large": (file_of({"a": entry("F32", [3], 0, 4)}, b"1234"), "takes 12 bytes, but data_offsets give it 4"),
    "shape overflows": (file_of({"a": entry("F32", [HUGE, HUGE], 0, 4)}, b"1234"), "takes 85070591730234615865843651"),
    "shape of nothing overflows": (file_of({"a": entry("F32", [0, HUGE, HUGE], 0, 0)}), "no array can have"),
    "shape of many axes": (file_of({"a": entry("F32", [1] * 100, 0, 4)}, b"1234"), "no array can have"),
    "data cut short": (
        file_of({"a": entry("F32", [2], 0, 8)}, b"1234"),
        "should end at byte 8 of the data, which has 4",
    ),
    "data too long": (file_of({"a": ONE}, b"12345678"), "tensors take 4 bytes, but 8 bytes of data follow"),
    "data of no tensor": (file_of({}, b"1234"), "tensors take 0 bytes, but 4"),
    "offsets reversed": (file_of({"a": entry("F32", [1], 4, 0)}, b"1234"), r"data_offsets \[4, 0\], expected"),
    "offsets negative": (file_of({"a": entry("F32", [1], -4, 0)}, b"1234"), r"data_offsets \[-4, 0\], expected"),
    "offsets of text": (file_of({"a": entry("F32", [1], "0", "4")}, b"1234"), "data_offsets .*expected"),
    "offsets past all": (file_of({"a": entry("F32", [1], 2**64 - 4, 2**64)}, b"1234"), "should end at byte"),
    "overlap": (file_of({"a": ONE, "b": ONE}, b"12345678"), "'b' overlaps the one before it: it begins at byte 0"),
    "gap": (file_of({"a": entry("F32", [1], 4, 8)}, b"12345678"), "'a' leaves a gap before it"),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_that_is_malformed_says_what_is_wrong_with_it(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(ag.CheckpointError, match=message) as caught:
        ag.load(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500


def test_booleans_other_than_0_and_1_are_true(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(file_of({"a": entry("BOOL", [4], 0, 4)}, b"\x00\x01\x02\xff"))
    mask = ag.load(tmp_path / "x")["a"]
    assert mask.numpy().view(np.uint8).tolist() == [0, 1, 1, 1]


def test_paths_that_are_no_files_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path, "is a folder; give the name of a safetensors file in it"),
        (tmp_path / "missing", "cannot be read: No such file or directory"),
        (tmp_path / "pipe", "is no regular file, but a pipe"),
        ("nul\0", "cannot be read: .*embedded null"),
    ):
        with pytest.raises(ag.CheckpointError, match=message):
            ag.load(path)


def sample() -> bytes:
    header = {
        "__metadata__": {"autograd_core.tree": '{"dict": [["w", {"tensor": "w"}], ["n", {"float": "inf"}]]}'},
        "w": entry("F32", [2, 1], 0, 8),
        "flag": entry("BOOL", [3], 8, 11),
        "none": entry("I64", [0, 3], 11, 11),
    }
    return file_of(header, bytes(range(11)))


SAMPLE = sample()


def read_everything(path: Path) -> None:
    """Either a dict of sound tensors, or our error; anything else fails the test."""
    for read in (ag.load, ag.load_checkpoint, ag.load_metadata):
        try:
            found = read(path)
        except ag.CheckpointError:
            continue
        if read is ag.load:
            for tensor in found.values():
                assert tensor.nbytes <= len(SAMPLE)
                tensor.tolist()


@in_one_folder
@given(flips=st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_no_changed_bytes_get_past_the_checks(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    content = bytearray(SAMPLE)
    for place, value in flips:
        content[place] = value
    (tmp_path / "x").write_bytes(content)
    read_everything(tmp_path / "x")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(SAMPLE)
    ag.load(path)
    for length in range(len(SAMPLE)):
        path.write_bytes(SAMPLE[:length])
        with pytest.raises(ag.CheckpointError, match=r"cut short|expected at least 8"):
            ag.load(path)


LEAVES = st.none() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["F32", "BF16", "BOOL", ""])
KEYS = st.sampled_from(["a", "dtype", "shape", "data_offsets", "__metadata__"])


@in_one_folder
@given(
    header=st.recursive(
        LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
    ),
    data=st.binary(max_size=16),
)
def test_no_made_up_header_gets_past_the_checks(tmp_path: Path, header: Any, data: bytes) -> None:
    (tmp_path / "x").write_bytes(file_of(header, data))
    read_everything(tmp_path / "x")


@in_one_folder
@given(content=st.binary(max_size=64))
def test_no_random_bytes_get_past_the_checks(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    read_everything(tmp_path / "x")
