"""The math mode: what products of float32 may be computed in."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest

import autograd_core as ag


def test_it_holds_inside_its_block_alone() -> None:
    with ag.math_mode("bf16"):
        assert ag.get_math_mode() == "bf16"
        with ag.no_grad(), ag.math_mode("tf32"), ag.enable_grad():
            assert ag.get_math_mode() == "tf32"
        assert ag.get_math_mode() == "bf16"
    assert ag.get_math_mode() == "fp32"


def test_an_error_ends_it_too() -> None:
    with pytest.raises(ag.ShapeError), ag.math_mode("bf16"):
        ag.ones(2) + ag.ones(3)
    assert ag.get_math_mode() == "fp32"


def test_another_thread_has_its_own() -> None:
    seen = []
    with ag.math_mode("tf32"):
        thread = threading.Thread(target=lambda: seen.append(ag.get_math_mode()))
        thread.start()
        thread.join()
    assert seen == ["fp32"]


def test_what_is_no_mode_is_refused_by_name() -> None:
    with (
        pytest.raises(ag.ArgumentError, match="math_mode: 'fp16' is none of 'fp32', 'tf32', 'bf16'"),
        ag.math_mode("fp16"),
    ):
        pass


def test_the_cpu_computes_in_float32_whatever_the_mode() -> None:
    a, b = (ag.tensor(np.random.default_rng(i).standard_normal((9, 9)), dtype="float32") for i in range(2))
    expected = (a @ b).numpy()
    for mode in ("fp32", "tf32", "bf16"):
        with ag.math_mode(mode):
            np.testing.assert_array_equal((a @ b).numpy(), expected)


def test_a_compiled_function_is_compiled_for_each_mode(caplog: pytest.LogCaptureFixture) -> None:
    f = ag.compile(lambda a: a @ a)
    a = ag.ones((3, 3))
    for _ in range(4):
        f(a)
    with caplog.at_level(logging.INFO, "autograd_core.compile"), ag.math_mode("tf32"):
        f(a)
    assert "math_mode differ" in caplog.text
