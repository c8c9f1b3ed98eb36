"""IDX files, the digits, folders of images."""

import gzip
import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograd_core.errors import ArgumentError, AutogradError, DataError
from autograd_core.nn import data

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    """The IDX form of an array, written from the format's description and not with the reader's own tables."""
    code = CODES[array.dtype.str[1:]]
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@settings(max_examples=150)
@given(
    array=st.sampled_from(sorted(CODES)).flatmap(
        lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    ),
    zipped=st.booleans(),
)
def test_idx_round_trip(tmp_path_factory, array, zipped):
    path = tmp_path_factory.getbasetemp() / "round-trip.idx"
    path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    read = data.read_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()  # bytes, so that NaNs and signed zeros count
    assert read.flags.writeable


SAMPLE = idx_bytes(np.arange(600, dtype=np.int16).reshape(20, 30))
ZIPPED = gzip.compress(SAMPLE)


def header(code, *sizes):
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", r"4 bytes of magic number, but 0 bytes", id="empty"),
        pytest.param(b"\0\0\x08", r"4 bytes of magic number, but 3 bytes", id="no magic"),
        pytest.param(b"\x89PNG1234", r"not an IDX file.* 89 50 4e 47; expected 00 00", id="another format"),
        pytest.param(header(0x0A, 1) + b"1", r"00 00 0a 01; expected .*0x08 uint8.*0x0e float64", id="dtype code"),
        pytest.param(header(0x08, *[1] * 33) + b"1", r"number of axes up to 32", id="too many axes"),
        pytest.param(header(0x08, 3, 3)[:-2], r"with 2 axes has 12 bytes, but 10 bytes", id="header cut"),
        pytest.param(SAMPLE[:-1], r"int16 values of shape \(20, 30\), 1212 bytes in all, but .* 1211: .*cut", id="cut"),
        pytest.param(SAMPLE + b"x", r"1212 bytes in all, but the file holds 1213: .*after its last", id="trailing"),
        pytest.param(header(0x08, 2**31 - 1, 8), r"17179869188 bytes in all, but the file holds 12", id="huge"),
        pytest.param(header(0x0E, *[2**31 - 1] * 3), r"impossible shape \(2147483647, 2147483647,", id="overflow"),
        pytest.param(header(0x0E, *[2**31 - 1] * 3, 0), r"impossible shape .* 0\)", id="overflow beside a zero"),
        pytest.param(header(0x08, 2**32 - 1, 4), r"impossible shape \(-1, 4\)", id="negative"),
        pytest.param(header(0x08, 2**32 - 1, 0), r"impossible shape \(-1, 0\)", id="negative beside a zero"),
        pytest.param(
            gzip.compress(SAMPLE[:-1]), r"1212 bytes in all, but 1211 bytes could be read: .*cut", id="gz short"
        ),
        pytest.param(gzip.compress(SAMPLE + b"x"), r"1212 bytes in all, but the file holds 1213", id="gz trailing"),
        pytest.param(gzip.compress(SAMPLE + bytes(3 << 20)), r"holds at least 1049788: .*after", id="gz long trailing"),
        pytest.param(gzip.compress(header(0x08, 2**31 - 1)), r"2147483655 bytes in all, .*at most \d+", id="gz huge"),
        pytest.param(ZIPPED[:-4], r"1212 bytes in all, and 1212 were read; .*gzip.*cut short", id="gz without its end"),
        pytest.param(ZIPPED[: len(ZIPPED) // 2], r"1212 bytes in all, but \d+ bytes .*gzip.*cut short", id="gz cut"),
        pytest.param(ZIPPED[:5], r"4 bytes of magic number, but 0 bytes .*gzip", id="gz header cut"),
        pytest.param(ZIPPED[:-8] + bytes(4) + ZIPPED[-4:], r"gzip.*CRC", id="gz checksum"),
        pytest.param(ZIPPED[:10] + b"\xff" * 40 + ZIPPED[50:], r"gzip.*damaged", id="gz corrupt"),
        pytest.param(ZIPPED + b"garbage", r"gzip.*damaged", id="gz garbage behind"),
    ],
)
def test_a_broken_idx_file_gets_one_clear_error(tmp_path, content, message):
    path = tmp_path / "broken-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        data.read_idx(path)
    assert str(path) in str(caught.value)


@given(length=st.integers(0, len(ZIPPED) - 1))
def test_a_gzip_file_cut_anywhere_is_refused(tmp_path_factory, length):
    path = tmp_path_factory.getbasetemp() / "cut.gz"
    path.write_bytes(ZIPPED[:length])
    with pytest.raises(DataError):
        data.read_idx(path)


def test_a_hostile_header_allocates_nothing(tmp_path):
    tracemalloc = pytest.importorskip("tracemalloc")
    path = tmp_path / "hostile"
    # The size is within what so long a gzip file could hold, so only unpacking can tell.
    path.write_bytes(gzip.compress(header(0x08, 200_000_000) + np.random.default_rng(0).bytes(300_000)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="200000008 bytes in all, but 300008 bytes could be read"):
            data.read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_a_missing_idx_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        data.read_idx(tmp_path / "nothing-here")


def write_folder(folder, images, labels, prefix="train", mark="-", end=""):
    pack = gzip.compress if end else bytes
    (folder / f"{prefix}-images{mark}idx3-ubyte{end}").write_bytes(pack(idx_bytes(images)))
    (folder / f"{prefix}-labels{mark}idx1-ubyte{end}").write_bytes(pack(idx_bytes(labels)))


IMAGES = np.arange(2 * 3 * 43, dtype=np.uint8).reshape(2, 3, 43)
LABELS = np.array([9, 3], np.uint8)


@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx_folder_finds_its_files(tmp_path, split, prefix, mark, end):
    write_folder(tmp_path, IMAGES, LABELS, prefix, mark, end)
    images, labels = data.idx_folder(tmp_path, split).arrays
    assert (images.shape, images.dtype) == ((2, 1, 3, 43), np.float32)
    assert (images.min(), images.max()) == (0, 1)
    assert np.array_equal(np.rint(images[:, 0] * 255), IMAGES)
    assert (labels.tolist(), labels.dtype) == ([9, 3], np.int64)


def test_idx_folder_says_what_it_searched(tmp_path):
    with pytest.raises(DataError, match=r"no folder '.*nowhere'.*dataset-fashion-mnist"):
        data.idx_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no test images in .*t10k-images-idx3-ubyte, t10k-images-idx3-ubyte\.gz, "):
        data.idx_folder(tmp_path, "test")
    with pytest.raises(ArgumentError, match="'train' or 'test', got 'valid'"):
        data.idx_folder(tmp_path, "valid")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES, np.zeros(3, np.uint8), r"holds 2 images, but .*labels-idx1-ubyte holds 3 labels"),
        (IMAGES[0], LABELS, r"expected uint8 images with 3 axes, got uint8 of shape \(3, 43\)"),
        (IMAGES, LABELS.astype(np.int32), r"expected uint8 labels with 1 axes, got int32"),
        (IMAGES, LABELS + 1, r"label 10 at item 0, but classes has 10"),
    ],
)
def test_idx_folder_refuses_what_does_not_belong_together(tmp_path, images, labels, message):
    write_folder(tmp_path, images, labels)
    with pytest.raises(DataError, match=message):
        data.idx_folder(tmp_path, classes=data.FASHION_MNIST_CLASSES)


def test_fashion_mnist_names_its_classes(tmp_path, monkeypatch):
    write_folder(tmp_path, IMAGES, LABELS)
    write_folder(tmp_path, IMAGES[:1], LABELS[:1], "t10k", end=".gz")
    train, test = data.fashion_mnist(tmp_path)
    assert (len(train), len(test)) == (2, 1)
    assert train.classes[train[0][1]] == "Ankle boot"
    monkeypatch.setattr("autograd_core.nn.data.sources.FASHION_MNIST_FOLDERS", (str(tmp_path),))
    assert len(data.fashion_mnist()[0]) == 2
    monkeypatch.setattr("autograd_core.nn.data.sources.FASHION_MNIST_FOLDERS", ("no/such", "nor/this"))
    with pytest.raises(DataError, match=r"none of the folders no/such, nor/this;.*dataset-fashion-mnist"):
        data.fashion_mnist()


def test_fashion_mnist_as_installed():
    try:
        test = data.idx_folder("/usr/share/datasets/fashion-mnist", "test", classes=data.FASHION_MNIST_CLASSES)
    except DataError as error:
        pytest.skip(str(error))
    images, labels = test.arrays
    assert images.shape == (10_000, 1, 28, 28)
    assert np.bincount(labels).tolist() == [1000] * 10
    assert images.mean(dtype=np.float64) == pytest.approx(0.2868, abs=1e-4)


def test_digits_are_a_fixed_stratified_split():
    pytest.importorskip("sklearn")
    train, test = data.digits()
    assert (len(train), len(test)) == (1437, 360)
    for part in (train, test):
        images, labels = part.arrays
        assert images.shape[1:] == (1, 8, 8)
        assert (images.dtype, labels.dtype) == (np.float32, np.int64)
        assert (images.min(), images.max()) == (0, 1)
        assert part.classes == tuple("0123456789")
    counts = np.bincount(test.arrays[1])
    share = np.bincount(np.concatenate([train.arrays[1], test.arrays[1]])) * 360 / 1797
    assert np.all(np.abs(counts - share) < 1)
    # Published accuracies are on this split: it must not move.
    assert test.arrays[1][:12].tolist() == [5, 1, 6, 0, 4, 3, 5, 9, 0, 7, 1, 9]


def test_digits_without_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"autograd-core\[examples\]") as caught:
        data.digits()
    assert isinstance(caught.value, AutogradError)
