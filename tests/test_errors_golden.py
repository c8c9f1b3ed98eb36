"""Golden texts of whole models: the mistakes that are made with layers, losses, optimizers and data, word for word.

What single operations and gradients are told is in ``test_errors`` and ``test_errors_of_gradients``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden_layers import LAYERS, Case, linear

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.training import fit

zeros = ag.zeros


def leaf(*shape: int) -> ag.Tensor:
    return zeros(shape or (2,)).requires_grad_()


def load(**shapes: tuple[int, ...]) -> None:
    linear().load_state_dict({name.replace("__", "."): zeros(shape) for name, shape in shapes.items()})


def rnn_graph_kept() -> None:
    layer, h = linear(), zeros((1, 2))
    for _ in range(2):
        h = layer(h).tanh()
        h.sum().backward()


def train(loss: Any) -> None:
    layer = linear()
    data = DataLoader(ArrayDataset(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)), batch_size=2)
    fit(layer, data, loss=loss, optimizer=optim.SGD(layer.parameters(), lr=0.1), epochs=1, progress=False)


LOSSES: list[Case] = [
    (
        "(N, 1) against (N,)",
        lambda: nn.MSELoss()(zeros((4, 1)), zeros(4)),
        ag.ShapeError,
        "in MSELoss: mse_loss: input has shape (4, 1) and target (4,); a loss compares equal shapes; write "
        "input.squeeze(-1)",
    ),
    (
        "one-hot labels of integers",
        lambda: nn.CrossEntropyLoss()(zeros((2, 3)), ag.tensor([[1, 0, 0], [0, 1, 0]])),
        ag.ShapeError,
        "in CrossEntropyLoss: cross_entropy: labels have shape (2, 3), but input (2, 3) of 3 classes needs (2,); "
        "for class probabilities (one-hot) write target.astype(input.dtype), for labels target.argmax(axis)",
    ),
    (
        "input and target exchanged",
        lambda: nn.CrossEntropyLoss()(ag.tensor([0, 1]), zeros((2, 3))),
        ag.DTypeError,
        "in CrossEntropyLoss: cross_entropy: input must be floating, got int64; write input.astype('float32')",
    ),
    (
        "labels out of range",
        lambda: nn.CrossEntropyLoss()(zeros((2, 3)), ag.tensor([1, 3])),
        ag.DataError,
        "in CrossEntropyLoss: cross_entropy: label 3 at [1] is not one of 3 classes (0 to 2); samples to leave out "
        "have the label ignore_index=-100",
    ),
    (
        "scores where probabilities belong",
        lambda: nn.BCELoss()(ag.tensor([1.5]), ag.tensor([1.0])),
        ag.DataError,
        "in BCELoss: binary_cross_entropy: input[0] is 1.5, outside [0, 1]; for scores before the sigmoid use "
        "binary_cross_entropy_with_logits",
    ),
    (
        "a reduction that does not exist",
        lambda: nn.MSELoss(reduction="avg")(zeros(2), zeros(2)),
        ag.ArgumentError,
        "MSELoss: reduction must be 'mean' or 'sum' or 'none', got 'avg'",
    ),
    (
        "a loss of several numbers",
        lambda: nn.MSELoss(reduction="none")(leaf(), zeros(2)).backward(),
        ag.GradientError,
        "backward: only a scalar has one gradient, this output has shape (2,); reduce it (y.sum(), y.mean()) or "
        "pass a cotangent of its shape",
    ),
    (
        "a loss without a graph",
        lambda: nn.MSELoss()(zeros(2), zeros(2)).backward(),
        ag.GradientError,
        "backward: this value does not depend on any tensor with requires_grad=True (or was computed under "
        "no_grad); there is nothing to differentiate",
    ),
    (
        "a state carried on with its history",
        rnn_graph_kept,
        ag.GradientError,
        "backward reached the result (shape (1, 2)) of 'tanh' (ag.record_origins() would know its line), whose "
        "saved values an earlier backward has freed. If it was made outside the training loop, make it inside, or "
        "detach() it; to run backward twice through one graph, pass retain_graph=True the first time.",
    ),
    (
        "a loss for fit that returns a number",
        lambda: train(lambda y, t: 0.5),
        ag.ArgumentError,
        "fit: loss must return a 0-d tensor, it returned float 0.5; return the tensor itself, without float() or "
        ".item()",
    ),
    (
        "a loss for fit that returns several",
        lambda: train(lambda y, t: (y - t).sum(1)),
        ag.ArgumentError,
        "fit: loss must return a 0-d tensor, it returned a tensor of shape (2,); reduce it, value.mean()",
    ),
]

OPTIMIZERS: list[Case] = [
    (
        "no parameters",
        lambda: optim.SGD([], lr=0.1),
        ag.ArgumentError,
        "SGD: the list of parameters is empty. Does the model have parameters, and was a generator such as "
        "model.parameters() used up before?",
    ),
    (
        "a model without parameters",
        lambda: optim.SGD(nn.ReLU().parameters(), lr=0.1),
        ag.ArgumentError,
        "SGD: the list of parameters is empty. Does the model have parameters, and was a generator such as "
        "model.parameters() used up before?",
    ),
    (
        "a model in place of its parameters",
        lambda: optim.SGD(linear(), lr=0.1),
        ag.ArgumentError,
        "SGD: params must be an iterable of parameters, got a Linear; write model.parameters()",
    ),
    (
        "one tensor",
        lambda: optim.SGD(leaf(), lr=0.1),
        ag.ArgumentError,
        "SGD: params must be a list, got one tensor; write [w]",
    ),
    (
        "a result",
        lambda: optim.SGD([leaf() * 2.0], lr=0.1),
        ag.GradientError,
        "SGD: parameter 0 of shape (2,) is the result of an operation, so assigning to it would not change what it "
        "was computed from; pass the leaf it was made from, or nn.Parameter(x.detach())",
    ),
    (
        "a tensor that is no parameter",
        lambda: optim.SGD([leaf()], lr=0.1),
        ag.ArgumentError,
        "SGD: parameter 0 of shape (2,) is an immutable tensor; write w = nn.Parameter(w) and use that w in the model",
    ),
    (
        "a parameter given twice",
        lambda: (lambda m: optim.SGD([*m.parameters(), m.weight], lr=0.1))(linear()),
        ag.ArgumentError,
        "SGD: parameter 2 was given before, as parameter 0; each is updated once: leave the second out",
    ),
    (
        "a negative learning rate",
        lambda: optim.Adam(linear().parameters(), lr=-1.0),
        ag.ArgumentError,
        "Adam: lr must be a number in [0, inf), got -1.0",
    ),
    (
        "a learning rate of letters",
        lambda: optim.Adam(linear().parameters(), lr="0.1"),
        ag.ArgumentError,
        "Adam: lr must be a number in [0, inf), got '0.1'",
    ),
    (
        "betas out of range",
        lambda: optim.Adam(linear().parameters(), betas=(0.9, 1.0)),
        ag.ArgumentError,
        "Adam: betas[1] must be a number in [0, 1), got 1.0",
    ),
    (
        "Nesterov without momentum",
        lambda: optim.SGD(linear().parameters(), lr=0.1, nesterov=True),
        ag.ArgumentError,
        "SGD: nesterov=True needs a momentum above 0 and dampening=0; give momentum=0.9, say",
    ),
    (
        "an option that does not exist",
        lambda: optim.SGD([{"params": linear().parameters(), "learning_rate": 0.1}], lr=0.1),
        ag.ArgumentError,
        "SGD: a group has unknown options ['learning_rate']; known are ['dampening', 'lr', 'maximize', 'momentum', "
        "'nesterov', 'weight_decay']",
    ),
    (
        "a negative norm to clip at",
        lambda: optim.clip_grad_norm_(linear().parameters(), -1.0),
        ag.ArgumentError,
        "clip_grad_norm_: max_norm must be a number and not negative, got -1.0",
    ),
]

STATES: list[Case] = [
    (
        "a missing key",
        lambda: load(weight=(2, 2)),
        ag.StateDictError,
        "Linear: the state dict does not fit, and nothing was loaded. To load only what fits by name, pass "
        "strict=False.\n"
        "  missing: bias (shape (2,))",
    ),
    (
        "an unexpected key",
        lambda: load(weight=(2, 2), bias=(2,), scale=(2,)),
        ag.StateDictError,
        "Linear: the state dict does not fit, and nothing was loaded. To load only what fits by name, pass "
        "strict=False.\n"
        "  unexpected: scale (shape (2,))",
    ),
    (
        "another shape",
        lambda: load(weight=(2, 3), bias=(2,)),
        ag.StateDictError,
        "Linear: the state dict does not fit, and nothing was loaded.\n"
        "  wrong shape: weight is (2, 3) in the state dict, (2, 2) in the module",
    ),
    (
        "keys of a wrapped model",
        lambda: load(module__weight=(2, 2), module__bias=(2,)),
        ag.StateDictError,
        "Linear: the state dict does not fit, and nothing was loaded. The keys begin with 'module.'; load "
        "{k.removeprefix('module.'): v for k, v in state.items()}.\n"
        "  missing: weight (shape (2, 2))\n"
        "  missing: bias (shape (2,))\n"
        "  unexpected: module.weight (shape (2, 2))\n"
        "  unexpected: module.bias (shape (2,))",
    ),
    (
        "keys of a part",
        lambda: nn.Sequential(linear()).load_state_dict(linear().state_dict()),
        ag.StateDictError,
        "Sequential: the state dict does not fit, and nothing was loaded. The module's names begin with '0.'; load "
        "{'0.' + k: v for k, v in state.items()}.\n"
        "  missing: 0.weight (shape (2, 2))\n"
        "  missing: 0.bias (shape (2,))\n"
        "  unexpected: weight (shape (2, 2))\n"
        "  unexpected: bias (shape (2,))",
    ),
    (
        "no dict",
        lambda: linear().load_state_dict([zeros(2)]),
        ag.StateDictError,
        "Linear.load_state_dict: takes a dict of names and tensors, got list",
    ),
]

MATRICES: list[Case] = [
    (
        "a matrix that is not square",
        lambda: ag.linalg.inv(zeros((2, 3))),
        ag.ShapeError,
        "inv: takes square matrices (..., n, n), got shape (2, 3)",
    ),
    (
        "a singular matrix",
        lambda: ag.linalg.inv(zeros((2, 2))),
        ag.LinAlgError,
        "inv: the matrix of shape (2, 2) is singular: no solution exists, or many do; for the shortest least-"
        "squares solution use ag.linalg.pinv",
    ),
    (
        "a matrix that is not positive definite",
        lambda: ag.linalg.cholesky(-ag.eye(2)),
        ag.LinAlgError,
        "cholesky: the matrix of shape (2, 2) is not positive definite; add a small multiple of the identity, or "
        "use ag.linalg.eigh",
    ),
    (
        "a right side of another length",
        lambda: ag.linalg.solve(ag.eye(2), zeros(3)),
        ag.ShapeError,
        "solve: shapes (2, 2) and (3, 1) do not fit: x1 is (..., n, n) and x2 (..., n, k), but n is 2 in x1 and 3 "
        "in x2",
    ),
    (
        "an axis of a number",
        lambda: zeros(()).sum(0),
        ag.IndexingError,
        "sum: axis 0 is out of range for 0 dimension(s); a 0-d tensor has no axes",
    ),
]

TRANSFORMS: list[Case] = [
    (
        "a value looked at in vmap",
        lambda: ag.vmap(lambda x: x.item())(zeros(2)),
        ag.BatchingError,
        "inside vmap this tensor of shape () stands for one of 2 examples and has no values of its own: compute "
        "with tensors (ag.where instead of if), and look at values outside",
    ),
    (
        "a choice in vmap",
        lambda: ag.vmap(lambda x: x if x > 0 else -x)(zeros(2)),
        ag.BatchingError,
        "inside vmap this tensor of shape () stands for one of 2 examples and has no values of its own: compute "
        "with tensors (ag.where instead of if), and look at values outside",
    ),
    (
        "batches of two sizes",
        lambda: ag.vmap(lambda x, y: x + y)(zeros((2, 3)), zeros((3, 3))),
        ag.ShapeError,
        "vmap: argument 1 (of all leaves, from 0) of shape (3, 3) has 3 examples along axis 0, where 2 are "
        "expected; say None in in_axes for what is the same for all examples",
    ),
    (
        "no axis of examples",
        lambda: ag.vmap(lambda x: x)(zeros(())),
        ag.ShapeError,
        "vmap: argument 0 (of all leaves, from 0) is 0-d and has no axis 0 of examples; say None for it in in_axes,"
        " as for everything that is the same for all examples",
    ),
    (
        "random numbers in vmap",
        lambda: ag.vmap(lambda x: x + ag.random.normal(()))(zeros(2)),
        ag.BatchingError,
        "vmap: the function draws random numbers; say randomness='different' (every example its own) or 'same' (all"
        " examples the same); a function with derivatives of its own must get its numbers as arguments",
    ),
    (
        "a Python number from a differentiated function",
        lambda: ag.grad(lambda x: float(x.sum()))(zeros(2)),
        ag.GradientError,
        "grad: the function must return tensors, it returned float; float() and .item() end the gradient, leave "
        "them out",
    ),
    (
        "an in-place update of a result",
        lambda: (leaf() * 2.0).__setitem__(0, 1.0),
        ag.GradientError,
        "x[i] = v: this tensor requires gradients, which would be those of other values. Write x = x.at[i].set(v) "
        "(or .add, .multiply)",
    ),
]

PYTHON: list[Case] = [
    (
        "the keyword dim",
        lambda: zeros((2, 3)).sum(dim=0),
        TypeError,
        "Tensor.sum() got an unexpected keyword argument 'dim'",
    ),
    (
        "an in-place method",
        lambda: leaf().add_(1.0),
        AttributeError,
        "tensors are values and have no add_(); bind the result instead: x = x + y",
    ),
    (
        "a method of another name",
        lambda: zeros((2, 3)).dim(),
        AttributeError,
        "a tensor has no dim(); write x.ndim",
    ),
    (
        "a copy",
        lambda: leaf().clone(),
        AttributeError,
        "a tensor has no clone(); write x itself, which never changes",
    ),
    (
        "an in-place fill",
        lambda: zeros(2).zero_(),
        AttributeError,
        "tensors are values and have no zero_(); bind the result instead: x = ag.zeros_like(x)",
    ),
    (
        "a keyword that a layer lacks",
        lambda: nn.Linear(2, 2, use_bias=False),
        TypeError,
        "Linear.__init__() got an unexpected keyword argument 'use_bias'",
    ),
    (
        "a layer without its sizes",
        lambda: nn.Linear(2),
        TypeError,
        "Linear.__init__() missing 1 required positional argument: 'out_features'",
    ),
]

CASES = LAYERS + LOSSES + OPTIMIZERS + STATES + MATRICES + TRANSFORMS + PYTHON


@pytest.mark.parametrize(("bad", "kind", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_text(bad: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        bad()
    assert (type(caught.value), str(caught.value)) == (kind, text)


def test_the_fifty_likeliest_have_a_text() -> None:
    assert len(CASES) >= 50
