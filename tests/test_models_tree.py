"""Nets along trees: by depth as node by node, compiled as eagerly, resumed as never interrupted."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import errors, nn, optim
from autograd_core.nn import functional as F
from autograd_core.nn.data import LOGIC_WORDS, DataLoader, Sizes, Tree, TreeDataset, arrange, logic, truth_values
from autograd_core.nn.models import RecursiveNet, RecursiveTensorNet, TreeNet
from autograd_core.nn.training.compiled import CompiledStep

NETS = [RecursiveNet, RecursiveTensorNet]
TREES = logic(40, (0, 3))
FLAT = logic(40, (1, 1))  # of few depths, which takes little time to compile


def net_of(kind, dtype="float32", features=6):
    with ag.random.fork(0):
        return kind(len(LOGIC_WORDS), features, 8, dtype=dtype)


def by_hand(net: TreeNet, tree: Tree) -> np.ndarray:
    """The scores of the root, from the papers' formulas, a node at a time."""
    weights = {name: value.numpy() for name, value in net.state_dict().items()}

    def vector(node: int) -> np.ndarray:
        if tree.children[node, 0] < 0:
            return weights["embedding.weight"][tree.tokens[node]]
        pair = np.concatenate([vector(child) for child in tree.children[node]])
        inside = weights["compose.weight"] @ pair + weights["compose.bias"]
        if "tensor" in weights:
            inside = inside + np.array([pair @ matrix @ pair for matrix in weights["tensor"]])
        return np.tanh(inside)

    return weights["output.weight"] @ vector(tree.root) + weights["output.bias"]


@pytest.mark.parametrize("padded", [False, True], ids=["exact", "padded"])
@pytest.mark.parametrize("kind", NETS)
def test_scores_are_those_of_the_formula(kind, padded) -> None:
    net = net_of(kind, "float64")
    forest = (Sizes(TREES, 40).forest if padded else arrange)(TREES)
    wanted = np.stack([by_hand(net, tree) for tree in TREES])
    np.testing.assert_allclose(net(forest).numpy(), wanted, atol=1e-12)
    every = net.every_node(forest)
    assert every.shape == (forest.rows, 8)
    np.testing.assert_allclose(every.numpy()[forest.roots], wanted, atol=1e-12)


@pytest.mark.parametrize("kind", NETS)
def test_gradients_are_those_of_finite_differences(kind) -> None:
    net = net_of(kind, "float64", features=3)
    forest = arrange(TREES[:6])
    parameters = dict(net.named_parameters())
    ag.check_grads(lambda values: nn.functional_call(net, values, (forest,)).sum(), ({**parameters},), order=1)


def step_of(net, optimizer):
    def step(forest, targets, weights):
        optimizer.zero_grad()
        each = F.binary_cross_entropy_with_logits(net.every_node(forest), targets, reduction="none")
        loss = (each.mean(axis=1) * weights).sum()
        loss.backward()
        optimizer.step()
        return loss

    return step


def batch_of(forest):
    known = forest.labels >= 0
    return forest, truth_values(np.maximum(forest.labels, 0)), (known / known.sum()).astype(np.float32)


@pytest.mark.parametrize("kind", NETS)
def test_a_compiled_step_is_compiled_once_for_trees_that_differ(kind) -> None:
    sizes = Sizes(FLAT, 8)
    eager, compiled = net_of(kind), net_of(kind)
    plain = step_of(eager, optim.Adam(eager.parameters(), lr=1e-2))
    step = ag.compile(step_of(compiled, optim.Adam(compiled.parameters(), lr=1e-2)))
    for start in range(0, 40, 8):
        exact, padded = (batch_of(make(FLAT[start : start + 8])) for make in (arrange, sizes.forest))
        np.testing.assert_allclose(step(*padded).numpy(), plain(*exact).numpy(), rtol=1e-5)
    assert ": 1 variant" in repr(step)
    for name, value in eager.state_dict().items():
        np.testing.assert_allclose(compiled.state_dict()[name].numpy(), value.numpy(), atol=2e-5)


@pytest.mark.parametrize(
    ("kind", "compiled"), [(RecursiveNet, False), (RecursiveTensorNet, False), (RecursiveNet, True)]
)
def test_a_training_that_goes_on_is_the_same_to_the_bit(kind, compiled) -> None:
    sizes = Sizes(FLAT, 8)

    def parts():
        net = net_of(kind)
        loader = DataLoader(
            TreeDataset(FLAT), 8, shuffle=True, seed=1, transform=lambda batch, rng: sizes.forest(batch[0])
        )
        return net, optim.Adam(net.parameters(), lr=1e-2), loader

    def train(net, optimizer, loader, steps):
        step = step_of(net, optimizer)
        if compiled:
            step = CompiledStep(step, net, optimizer)
        for _, forest in zip(range(steps), loader, strict=False):
            step(*batch_of(forest))

    whole = parts()
    train(*whole, 5)
    first = parts()
    train(*first, 2)
    again = parts()
    for part, saved in zip(again, first, strict=True):
        part.load_state_dict(saved.state_dict())
    train(*again, 3)
    for name, value in whole[0].state_dict().items():
        assert np.array_equal(again[0].state_dict()[name].numpy(), value.numpy()), name


BAD = {
    "tuples": (
        lambda net: net((("not", "p"),)),
        errors.DTypeError,
        "in RecursiveNet: a net along trees takes a Forest, got tuple; nn.data.arrange(trees) makes one",
    ),
    "a token beyond the table": (
        lambda net: net(arrange([Tree([[-1, -1]], [99])])),
        errors.DataError,
        "in embedding (Embedding): embedding: index 99 at 0 is outside the vocabulary of 10 embeddings: use 0 to 9",
    ),
    "no features": (
        lambda net: RecursiveTensorNet(3, 0, 2),
        errors.ArgumentError,
        "RecursiveTensorNet: features must be an int of at least 1, got 0",
    ),
    "no cell": (
        lambda net: TreeNet(3, 4, 2)(arrange([Tree([[1, 2], [-1, -1], [-1, -1]], [-1, 0, 1])])),
        nn.module.ForwardNotImplementedError,
        "in TreeNet: TreeNet defines no cell(): write `def cell(self, children): ...`",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_the_mistake_is_named(name) -> None:
    ask, kind, text = BAD[name]
    with pytest.raises(kind) as caught:
        ask(net_of(RecursiveNet))
    assert (type(caught.value), str(caught.value)) == (kind, text)
