"""Every row computes the same in every library: in few steps, with small batches."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.benchmarks.contenders import ours
from autograd_core.benchmarks.contenders.contestant import Contestant
from autograd_core.benchmarks.rounds import STEPS, disagreement
from autograd_core.benchmarks.workloads import WORKLOADS


def first_steps(contestant: Contestant) -> list[list[float]]:
    return [contestant.values(contestant.step()) for _ in range(STEPS)]


ON_HOSTS = [name for name, row in WORKLOADS.items() if not row.for_gpus]
COMPILABLE = [name for name, row in WORKLOADS.items() if not row.new_graph_every_step]


def run_ours(name: str, compiled: bool = False) -> list[list[float]]:
    return first_steps(ours.build(WORKLOADS[name](True), device="cpu", compiled=compiled, threads=1))


@pytest.mark.skipif(
    not callable(getattr(ag, "compile", None)), reason="this version of autograd_core has no ag.compile"
)
@pytest.mark.parametrize("name", ON_HOSTS)  # those for GPUs are the same kinds of networks, only larger
def test_a_compiled_step_computes_what_an_eager_one_does(name):
    assert disagreement(run_ours(name, compiled=True), run_ours(name)) == ""


@pytest.fixture
def torch_threads():
    torch = pytest.importorskip("torch", reason="PyTorch is compared with where it is installed")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", WORKLOADS)
def test_ours_and_pytorch_agree(name, torch_threads):
    from autograd_core.benchmarks.contenders import torch as peer

    theirs = first_steps(peer.build(WORKLOADS[name](True), device="cpu", compiled=False, threads=1))
    assert disagreement(run_ours(name), theirs) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILABLE)
def test_ours_and_jax_agree(name):
    pytest.importorskip("jax", reason="JAX is compared with where it is installed")
    from autograd_core.benchmarks.contenders import jax as peer

    theirs = first_steps(peer.build(WORKLOADS[name](True), device="cpu", compiled=True, threads=1))
    assert disagreement(run_ours(name), theirs) == ""


@pytest.mark.slow
def test_jax_s_lstm_by_cudnn_has_its_parameters_in_their_places(monkeypatch):
    """cuDNN is on GPUs alone; JAX has its definition of the same layer."""
    pytest.importorskip("jax", reason="JAX is compared with where it is installed")
    from jax.experimental import rnn

    from autograd_core.benchmarks.contenders import jax as peer
    from autograd_core.benchmarks.contenders.jax_rows import TRAINED_BY_CUDNN

    def defined(x, h, c, weights, lengths, inputs, hidden, layers, dropout, bidirectional):
        unpacked = rnn.unpack_lstm_weights(weights, inputs, hidden, layers, bidirectional)
        return rnn.lstm_ref(x, h, c, *unpacked, lengths, inputs, hidden, layers, dropout, bidirectional)

    monkeypatch.setattr(rnn, "lstm", defined)
    name = "addition_rnn_h128_b128"
    theirs = first_steps(peer._training(*TRAINED_BY_CUDNN[name](*WORKLOADS[name](True).problem()), []))
    assert disagreement(run_ours(name), theirs) == ""


def test_rows_by_cudnn_are_those_with_an_lstm():
    pytest.importorskip("jax", reason="JAX is compared with where it is installed")
    from autograd_core.benchmarks.contenders.jax_rows import TRAINED_BY_CUDNN

    assert set(TRAINED_BY_CUDNN) == {name for name, row in WORKLOADS.items() if row.recurrent == "LSTM"}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_problem_is_random_float32_and_the_same_wherever_it_is_drawn(name):
    data, parameters = WORKLOADS[name](True).problem()
    again = WORKLOADS[name](True).problem()
    for array, other in zip(
        [*data.values(), *parameters.values()], [*again[0].values(), *again[1].values()], strict=True
    ):
        assert array.dtype in (np.float32, np.int64)
        assert len(np.unique(array)) > 1, "zeros are no data"
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("name", [name for name, row in WORKLOADS.items() if row.trains])
def test_every_step_of_a_row_that_trains_changes_its_loss(name):
    losses = [value for (value,) in run_ours(name)]
    assert len(set(losses)) == STEPS


def test_a_step_that_ends_with_gradients_leaves_them_to_compare():
    values = run_ours("layernorm_softmax_8192x512")
    assert [len(of_step) for of_step in values] == [4, 4, 4]  # the loss; the input's, the weight's, the bias's


# Counted by hand: multiplications and additions of all products, forward, and once for every gradient.
@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("mlp_784_256_128_10_b128", 2 * 128 * (2 * 784 * 256 + 3 * (256 * 128 + 128 * 10))),
        ("gru_h256_t64_b32", 2 * 64 * 32 * (2 * 64 * 768 + 3 * 256 * 768)),
        ("conv_bn_relu_64x32x32_b32", 2 * 2 * 32 * 1024 * 64 * 64 * 9),
        ("elementwise_gelu_4M", 0),
        ("mlp_1024_4096x3_1000_b1024", 2 * 1024 * (2 * 1024 * 4096 + 3 * (2 * 4096**2 + 4096 * 1000))),
        ("lstm_charlm_h512_t64_b128", 3 * 2 * 64 * 128 * (2 * 512 * 2048 + 512 * 64)),
    ],
)
def test_the_products_of_a_row_are_counted(name, flops):
    assert WORKLOADS[name]().flops() == flops


def test_the_least_traffic_of_a_row():
    tiny = WORKLOADS["mlp_tiny_8_16_3_b16"]()
    parameters = 8 * 16 + 16 + 16 * 3 + 3
    assert tiny.least_bytes() == 6 * 4 * parameters + 4 * 16 * 8 + 8 * 16  # labels have 8 bytes
    gelu = WORKLOADS["elementwise_gelu_4M"](True)
    assert gelu.least_bytes() == 2 * 4 * 4_000
