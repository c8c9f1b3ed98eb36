"""The mistakes that are made with layers, and what each is told, word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn import functional as F
from autograd_core.nn.module import ForwardNotImplementedError

zeros = ag.zeros
Case = tuple[str, Callable[[], Any], type[Exception], str]


class NoForward(nn.Module):
    pass


class Encoder(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(8, 4))

    def forward(self, x: ag.Tensor) -> ag.Tensor:
        return self.layers(x)


def linear() -> nn.Linear:
    return nn.Linear(2, 2)


def image(channels: int = 3) -> ag.Tensor:
    return zeros((1, channels, 8, 8))


def set_weight(layer: nn.Linear, value: Any) -> None:
    layer.weight = value


LAYERS: list[Case] = [
    (
        "the path of the module",
        lambda: nn.Sequential(nn.Identity(), Encoder())(zeros((2, 4))),
        ag.ShapeError,
        "in 1.layers.1 (Linear): linear: x of shape (2, 4) has 4 features along its last axis, but weight of shape "
        "(4, 8) takes 8 (weight is (out, in)). Write in_features=4",
    ),
    (
        "features of a linear layer",
        lambda: nn.Linear(4, 2)(zeros((3, 5))),
        ag.ShapeError,
        "in Linear: linear: x of shape (3, 5) has 5 features along its last axis, but weight of shape (2, 4) takes "
        "4 (weight is (out, in)). Write in_features=5",
    ),
    (
        "flatten forgotten",
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(18, 2))(zeros((1, 1, 5, 5))),
        ag.ShapeError,
        "in 1 (Linear): linear: x of shape (1, 2, 3, 3) has 3 features along its last axis, but weight of shape (2,"
        " 18) takes 18 (weight is (out, in)). Flatten what comes in: x.flatten(1), or nn.Flatten() before the layer",
    ),
    (
        "channels of a convolution",
        lambda: nn.Conv2d(3, 8, 3)(image(1)),
        ag.ShapeError,
        "in Conv2d: conv2d: input (1, 1, 8, 8) has 1 channels, but weight (8, 3, 3, 3) with groups=1 takes 3 "
        "(weight is (C_out, C_in/groups, kH, kW)). Give the weight 1 input channels (in_channels=1 in a layer).",
    ),
    (
        "channels last",
        lambda: nn.Conv2d(3, 8, 3)(zeros((1, 8, 8, 3))),
        ag.ShapeError,
        "in Conv2d: conv2d: input (1, 8, 8, 3) has 8 channels, but weight (8, 3, 3, 3) with groups=1 takes 3 "
        "(weight is (C_out, C_in/groups, kH, kW)). The channels seem to come last: write input.permute(0, 3, 1, 2).",
    ),
    (
        "channels of groups",
        lambda: F.conv2d(zeros((1, 4, 8, 8)), zeros((8, 3, 3, 3)), groups=2),
        ag.ShapeError,
        "conv2d: input (1, 4, 8, 8) has 4 channels, but weight (8, 3, 3, 3) with groups=2 takes 6 (weight is "
        "(C_out, C_in/groups, kH, kW)). Give the weight 4 input channels (in_channels=4 in a layer).",
    ),
    (
        "an image without channels",
        lambda: nn.Conv2d(1, 8, 3)(zeros((28, 28))),
        ag.ShapeError,
        "in Conv2d: conv2d: input must be (N, C_in, H, W) or (C_in, H, W), got shape (28, 28); insert the axis of "
        "channels, x[None]",
    ),
    (
        "a kernel larger than the image",
        lambda: nn.Conv2d(1, 1, 5)(zeros((1, 1, 3, 3))),
        ag.ShapeError,
        "in Conv2d: conv2d: a kernel of 5 spans 5 along H, more than the input's 3; use a smaller kernel, more "
        "padding or a larger input",
    ),
    (
        "a window larger than the image",
        lambda: nn.MaxPool2d(4)(zeros((1, 1, 3, 3))),
        ag.ShapeError,
        "in MaxPool2d: max_pool2d: a kernel of 4 spans 4 along H, more than the input's 3; use a smaller kernel, "
        "more padding or a larger input",
    ),
    (
        "features of a batch norm",
        lambda: nn.BatchNorm2d(3)(image(4)),
        ag.ShapeError,
        "in BatchNorm2d: batch_norm: takes (N, C, H, W) with C = num_features = 3, got shape (1, 4, 8, 8); write "
        "num_features=4",
    ),
    (
        "axes of a batch norm",
        lambda: nn.BatchNorm2d(3)(zeros((2, 3))),
        ag.ShapeError,
        "in BatchNorm2d: batch_norm: takes (N, C, H, W) with C = num_features = 3, got shape (2, 3); BatchNorm1d is"
        " for (N, C) and (N, C, L), BatchNorm2d for (N, C, H, W), BatchNorm3d for (N, C, D, H, W)",
    ),
    (
        "a batch of one",
        lambda: nn.BatchNorm1d(3)(zeros((1, 3))),
        ag.ShapeError,
        "in BatchNorm1d: batch_norm: training needs more than one value per channel, input (1, 3) has 1: use a "
        "larger batch (DataLoader(drop_last=True) leaves out a last one of 1), or model.eval()",
    ),
    (
        "shape of a layer norm",
        lambda: nn.LayerNorm(4)(zeros((2, 3))),
        ag.ShapeError,
        "in LayerNorm: layer_norm: input of shape (2, 3) does not end in normalized_shape (4,); for its last axis "
        "write normalized_shape=3",
    ),
    (
        "floating indices of an embedding",
        lambda: nn.Embedding(10, 2)(zeros(2)),
        ag.DTypeError,
        "in Embedding: embedding: indices must be integers, got float32; write x.astype('int64')",
    ),
    (
        "an index outside the vocabulary",
        lambda: nn.Embedding(10, 2)(ag.tensor([3, 10])),
        ag.DataError,
        "in Embedding: embedding: index 10 at 1 is outside the vocabulary of 10 embeddings: use 0 to 9",
    ),
    (
        "classes of one_hot",
        lambda: F.one_hot(ag.tensor([0, 3]), 3),
        ag.DataError,
        "one_hot: index 3 at 1 is outside 3 classes: use 0 to 2",
    ),
    (
        "a probability of dropout",
        lambda: nn.Dropout(1.5),
        ag.ArgumentError,
        "Dropout: p is the probability of a zero, between 0 and 1; got 1.5",
    ),
    (
        "a layer made with its input",
        lambda: nn.ReLU(zeros(2)),
        ag.ArgumentError,
        "ReLU: inplace must be True or False, got a Tensor; to apply it write ReLU()(x)",
    ),
    (
        "a list in Sequential",
        lambda: nn.Sequential([nn.Linear(2, 2)]),
        ag.ArgumentError,
        "Sequential: element 0 must be an nn.Module, such as nn.ReLU() for nn.functional.relu, got list; for a list"
        " of them write nn.Sequential(*layers)",
    ),
    (
        "a function in Sequential",
        lambda: nn.Sequential(nn.Linear(2, 2), F.relu),
        ag.ArgumentError,
        "Sequential: element 1 must be an nn.Module, such as nn.ReLU() for nn.functional.relu, got relu",
    ),
    (
        "a ModuleList called",
        lambda: nn.ModuleList([linear()])(zeros((1, 2))),
        ForwardNotImplementedError,
        "in ModuleList: ModuleList holds modules and computes nothing: loop over it in forward(), or use nn.Sequential",
    ),
    (
        "no forward",
        lambda: NoForward()(zeros(2)),
        ForwardNotImplementedError,
        "in NoForward: NoForward defines no forward(): write `def forward(self, x): ...` in the class (is the "
        "method's name spelt right, and indented into the class?)",
    ),
    (
        "a path that does not exist",
        lambda: nn.Sequential(nn.Linear(2, 2)).get_submodule("1"),
        ag.ArgumentError,
        "Sequential has no submodule '1'; it has: 0",
    ),
    (
        "an integer parameter",
        lambda: nn.Parameter(ag.tensor([1, 2])),
        ag.DTypeError,
        "Parameter: data of dtype int64 cannot require gradients; give floating data, requires_grad=False, or use "
        "nn.Buffer for a constant",
    ),
    (
        "a tensor in place of a parameter",
        lambda: set_weight(linear(), zeros((2, 2))),
        ag.ArgumentError,
        "Linear.weight is a parameter; assigning a Tensor would hide it from optimizers. Write "
        "self.weight.assign_(value) for a new value, nn.Parameter(value) for a new parameter",
    ),
    (
        "a model of integers",
        lambda: linear().to("int64"),
        ag.DTypeError,
        "Linear.to: parameters are floating or complex, got dtype int64",
    ),
    (
        "padding of one number",
        lambda: F.pad(image(), (1,)),
        ag.ArgumentError,
        "pad: pad must hold two numbers for each of the last axes, at most 8 for shape (1, 3, 8, 8); got (1,)",
    ),
    (
        "features of a recurrent layer",
        lambda: nn.LSTM(4, 8)(zeros((5, 2, 3))),
        ag.ShapeError,
        "in LSTM: input has 3 features (its last axis), input_size is 4",
    ),
    (
        "a hidden state of another batch",
        lambda: nn.GRU(4, 8)(zeros((5, 2, 4)), zeros((1, 3, 8))),
        ag.ShapeError,
        "in GRU: h0 must have shape (1, 2, 8), (num_layers * directions, B, size), also with batch_first; got (1, "
        "3, 8)",
    ),
    (
        "heads that do not divide the features",
        lambda: nn.MultiheadAttention(10, 3),
        ag.ArgumentError,
        "MultiheadAttention: embed_dim=10 does not divide into num_heads=3",
    ),
    (
        "features of attention",
        lambda: nn.TransformerEncoderLayer(8, 2)(zeros((5, 1, 6))),
        ag.ShapeError,
        "in self_attn (MultiheadAttention): multi_head_attention_forward: query (5, 1, 6), key (5, 1, 6) and value "
        "(5, 1, 6): query has 6 features (its last axis), embed_dim is 8",
    ),
    (
        "a mask of attention",
        lambda: F.scaled_dot_product_attention(*[zeros((1, 4, 8))] * 3, attn_mask=zeros((3, 3)) > 0),
        ag.ShapeError,
        "scaled_dot_product_attention: attn_mask of shape (3, 3) does not broadcast to the scores, (..., L, S) = "
        "(1, 4, 4)",
    ),
    (
        "groups of a group norm",
        lambda: nn.GroupNorm(3, 8),
        ag.ArgumentError,
        "GroupNorm: num_channels=8 does not divide into num_groups=3",
    ),
]
