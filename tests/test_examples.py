"""Each example runs, for a few steps, and the table of recorded runs is what the records say."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import autograd_core as ag

EXAMPLES = Path(__file__).parent.parent / "examples"
SHARED = {"characters", "common", "pictures", "table"}
NEEDS = {"forecasting": "statsmodels", "policy_gradient": "gymnasium"}  # beside what all examples need
ALONE = {"digits_cnn", "convolutional_net"}  # run by tests of their own
OWN_PROCESS = {"hogwild"}  # its workers import the program that started them
QUICK = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem not in SHARED | ALONE)


def run_example(name: str, *arguments: object, folder: Path) -> list[str]:
    """The lines that an example printed."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


def test_digits_learns_within_an_epoch_and_leaves_checkpoint_and_pictures(tmp_path):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn (extra: examples)")
    pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra: examples)")
    lines = run_example("digits_cnn.py", "--epochs", 2, "--out", tmp_path / "out", folder=tmp_path)
    assert lines[-1].startswith("test accuracy: ")
    assert float(lines[-1].split()[-1]) > 0.8
    assert (tmp_path / "out" / "digits_cnn.safetensors").stat().st_size > 100_000
    assert is_png(tmp_path / "out" / "learning_curves.png")
    assert is_png(tmp_path / "out" / "misclassified.png")
    steps = [line.split() for line in lines if line.startswith("  ")]
    assert any(words[0] == "cpu" and words[-1] == "ms" for words in steps)
    assert any(words[0] == "cuda" for words in steps)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def test_the_convolutional_net_trains_on_idx_files_in_a_folder(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra: examples)")
    rng = np.random.default_rng(0)
    for prefix, n in (("train", 64), ("t10k", 32)):
        labels = np.arange(n) % 10
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte", rng.integers(0, 256, (n, 28, 28)))
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte", labels)
    arguments = ("--quick", "--data", tmp_path, "--batch-size", 16, "--out", tmp_path / "out")
    lines = run_example("convolutional_net.py", *arguments, folder=tmp_path)
    assert any("; target: " in line for line in lines), lines
    assert is_png(tmp_path / "out" / "convolutional_net_misclassified.png")


@pytest.mark.parametrize("name", QUICK)
def test_example_runs_a_few_steps(name, tmp_path, monkeypatch, capsys, request):
    """Eagerly, or as a user runs it, compiled, with --every-case: the models' own tests compile them too."""
    pytest.importorskip("sklearn", reason="data and peers come from scikit-learn (extra: examples)")
    pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra: examples)")
    pytest.importorskip(NEEDS.get(name, "sklearn"), reason=f"{name}.py stands on it (extra: examples)")
    how = "--compile" if request.config.getoption("--every-case") else "--no-compile"
    given = ["--quick", how, "--out", str(tmp_path / "out")]
    if name in OWN_PROCESS:
        lines = run_example(f"{name}.py", *given, folder=tmp_path)
    else:  # in this process, which has imported by now what each of them imports
        monkeypatch.syspath_prepend(EXAMPLES)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(EXAMPLES / f"{name}.py"), *given])
        with ag.random.fork(0):
            runpy.run_path(sys.argv[0], run_name="__main__")
        lines = capsys.readouterr().out.splitlines()
    assert any("; target: " in line for line in lines), lines


def test_without_gymnasium_the_example_says_what_to_install(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra: examples)")
    (tmp_path / "gymnasium.py").write_text("raise ImportError('as if it were not installed')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / "policy_gradient.py"), "--quick"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1
    assert result.stderr == (
        "policy_gradient.py needs the cart and pole of gymnasium, which is not installed here: "
        "pip install 'autograd-core[examples]', or pip install gymnasium\n"
    )


def test_the_table_is_what_the_records_say(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import table

    assert table.page(table.PAGE.read_text()) == table.PAGE.read_text(), "run python examples/table.py"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example_is_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 150
