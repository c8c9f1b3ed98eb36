"""Golden texts of errors of recurrent networks, packed sequences, attention and transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn.utils import rnn as packing
from autograd_core.ops.attention import scaled_dot_product_attention

zeros = ag.zeros
Case = tuple[str, Callable[[], Any], type[Exception], str]

RECURRENT: list[Case] = [
    (
        "features",
        lambda: nn.LSTM(4, 6)(zeros((5, 3, 7))),
        ag.ShapeError,
        "in LSTM: input has 7 features (its last axis), input_size is 4",
    ),
    (
        "axes in another order",
        lambda: nn.GRU(4, 6)(zeros((5, 4, 3))),
        ag.ShapeError,
        "in GRU: input has 3 features (its last axis), input_size is 4; is the input (T, B, input_size)?",
    ),
    (
        "axes",
        lambda: nn.RNN(4, 6, batch_first=True)(zeros(4)),
        ag.ShapeError,
        "in RNN: input must be (B, T, input_size) or (T, input_size), got shape (4,)",
    ),
    (
        "initial state",
        lambda: nn.LSTM(4, 6, 2, bidirectional=True)(zeros((5, 3, 4)), (zeros((4, 3, 6)), zeros((2, 3, 6)))),
        ag.ShapeError,
        "in LSTM: c0 must have shape (4, 3, 6), (num_layers * directions, B, size), also with batch_first; "
        "got (2, 3, 6)",
    ),
    (
        "initial state of one sequence",
        lambda: nn.GRU(4, 6)(zeros((5, 4)), zeros((1, 1, 6))),
        ag.ShapeError,
        "in GRU: h0 must have shape (1, 6), (num_layers * directions, size), for an input without a batch axis; "
        "got (1, 1, 6)",
    ),
    (
        "a state, not a pair",
        lambda: nn.LSTM(4, 6)(zeros((5, 3, 4)), zeros((1, 3, 6))),
        ag.ArgumentError,
        "in LSTM: hx must be a pair (h_0, c_0), got Tensor",
    ),
    (
        "projection",
        lambda: nn.LSTM(4, 6, proj_size=6),
        ag.ArgumentError,
        "LSTM: proj_size must be an int from 0 (no projection) to hidden_size - 1 = 5, got 6",
    ),
    (
        "nonlinearity",
        lambda: nn.RNN(4, 6, nonlinearity="gelu"),
        ag.ArgumentError,
        "RNN: nonlinearity must be 'tanh' or 'relu', got 'gelu'",
    ),
    (
        "cell input",
        lambda: nn.LSTMCell(4, 6)(zeros((3, 5))),
        ag.ShapeError,
        "in LSTMCell: input must be (B, 4) or (4,), got (3, 5)",
    ),
    (
        "cell state",
        lambda: nn.GRUCell(4, 6)(zeros((3, 4)), zeros((1, 6))),
        ag.ShapeError,
        "in GRUCell: hx must have shape (3, 6) for input (3, 4), got (1, 6)",
    ),
    (
        "operation, features",
        lambda: nn.functional.lstm(zeros((5, 3, 2)), zeros((8, 4)), zeros((8, 2))),
        ag.ShapeError,
        "lstm: x of shape (5, 3, 2) has 2 features, but weight_ih of shape (8, 4) takes 4: the last axis of x must be "
        "as long as the last of weight_ih",
    ),
    (
        "operation, weights",
        lambda: nn.functional.gru(zeros((5, 3, 2)), zeros((8, 2)), zeros((8, 2))),
        ag.ShapeError,
        "gru: weight_ih must be (3 H, I) and weight_hh (3 H, R), got shapes (8, 2) and (8, 2)",
    ),
    (
        "operation, no projection",
        lambda: nn.functional.lstm(zeros((5, 3, 2)), zeros((8, 2)), zeros((8, 1))),
        ag.ShapeError,
        "lstm: weight_hh must be (4 H, H), (8, 2), got shape (8, 1); a projection to fewer states needs weight_hr",
    ),
    (
        "operation, state",
        lambda: nn.functional.rnn(zeros((5, 3, 2)), zeros((4, 2)), zeros((4, 4)), h0=zeros((2, 4))),
        ag.ShapeError,
        "rnn: h0 must have shape (3, 4) for x (5, 3, 2) and weight_hh (4, 4), got (2, 4)",
    ),
    (
        "operation, lengths",
        lambda: nn.functional.rnn(zeros((5, 3, 2)), zeros((4, 2)), zeros((4, 4)), lengths=[5, 6, 1]),
        ag.DataError,
        "rnn: length 6 at [1] is not between 0 and 5, the number of steps of x",
    ),
    (
        "operation, number of lengths",
        lambda: nn.functional.rnn(zeros((5, 3, 2)), zeros((4, 2)), zeros((4, 4)), lengths=[5, 1]),
        ag.ShapeError,
        "rnn: lengths must have shape (3,), one for each sequence of the batch, got (2,)",
    ),
    (
        "complex",
        lambda: nn.functional.gru(zeros((5, 3, 2), dtype="complex64"), zeros((3, 2)), zeros((3, 1))),
        ag.DTypeError,
        "gru: takes real numbers, got complex64",
    ),
    (
        "unsorted lengths",
        lambda: packing.pack_padded_sequence(zeros((5, 3, 2)), [3, 5, 1]),
        ag.ArgumentError,
        "pack_padded_sequence: lengths must fall, but sequence 0 of length 3 stands before one of length 5; sort the "
        "batch, or pass enforce_sorted=False",
    ),
    (
        "an empty sequence",
        lambda: packing.pack_padded_sequence(zeros((5, 3, 2)), [3, 2, 0]),
        ag.DataError,
        "pack_padded_sequence: length 0 of sequence 2 is not between 1 and 5, the padded length; leave out empty "
        "sequences",
    ),
    (
        "too long",
        lambda: packing.unpad_sequence(zeros((5, 3, 2)), [3, 6, 1]),
        ag.DataError,
        "unpad_sequence: length 6 of sequence 1 is not between 1 and 5, the padded length",
    ),
    (
        "number of lengths",
        lambda: packing.pack_padded_sequence(zeros((5, 3, 2)), [3, 2]),
        ag.ShapeError,
        "pack_padded_sequence: lengths must have shape (3,), one for each sequence, got (2,)",
    ),
    (
        "lengths of no integers",
        lambda: packing.pack_padded_sequence(zeros((5, 1)), [2.5]),
        ag.ArgumentError,
        "pack_padded_sequence: lengths must be integers, got float64; write lengths.astype('int64')",
    ),
    (
        "total length",
        lambda: packing.pad_packed_sequence(packing.pack_sequence([ag.ones(3)]), total_length=2),
        ag.ArgumentError,
        "pad_packed_sequence: total_length=2 is less than the longest sequence's length 3",
    ),
    (
        "sequences that differ",
        lambda: packing.pad_sequence([zeros((3, 2)), zeros((2, 3))]),
        ag.ShapeError,
        "pad_sequence: sequences are (T_i, ...), equal but for T_i; got (3, 2), (2, 3)",
    ),
    (
        "no permutation",
        lambda: packing.invert_permutation([0, 2]),
        ag.ArgumentError,
        "invert_permutation: takes each of 0 to n - 1 once, (n,), got tensor([0, 2])",
    ),
    ("no sequences", lambda: packing.pad_sequence([]), ag.ArgumentError, "pad_sequence: there are no sequences"),
]

SDPA, MHA = "scaled_dot_product_attention", "in MultiheadAttention: multi_head_attention_forward"
GIVEN = "query (4, 3, 6), key (5, 3, 6) and value (5, 3, 6)"


def attend(*shapes: tuple[int, ...], **options: Any) -> Any:
    return lambda: nn.MultiheadAttention(6, 2)(*[zeros(shape) for shape in shapes], **options)


def forward(in_proj_weight: Any = None, **options: Any) -> Any:
    x = zeros((3, 1, 4))
    return lambda: nn.functional.multi_head_attention_forward(
        x,
        x,
        x,
        4,
        2,
        in_proj_weight,
        None,
        zeros((1, 1, 4)),
        zeros((1, 1, 4)),
        False,
        0.0,
        zeros((4, 4)),
        None,
        **options,
    )


ATTENTION: list[Case] = [
    (
        "projection",
        forward(zeros((4, 12))),
        ag.ShapeError,
        "multi_head_attention_forward: in_proj_weight must have shape (12, 4), got (4, 12)",
    ),
    (
        "separate projections",
        forward(use_separate_proj_weight=True, q_proj_weight=zeros((4, 4))),
        ag.ShapeError,
        "multi_head_attention_forward: k_proj_weight must have shape (4, 4), got None",
    ),
    (
        "keys that are static and extended",
        forward(zeros((12, 4)), static_k=zeros((2, 3, 2))),
        ag.ArgumentError,
        "multi_head_attention_forward: bias_k and bias_v are for projections, not for static_k and static_v",
    ),
    (
        "static keys",
        lambda: nn.functional.multi_head_attention_forward(
            *[zeros((3, 1, 4))] * 3,
            *(4, 2, zeros((12, 4)), None, None, None, False, 0.0, zeros((4, 4)), None),
            static_k=zeros((1, 3, 4)),
        ),
        ag.ShapeError,
        "multi_head_attention_forward: static_k must be (N H, S, E / H) with N H = 2 and E / H = 2, got (1, 3, 4)",
    ),
    (
        "no heads to group",
        lambda: scaled_dot_product_attention(zeros((2, 3)), zeros((4, 3)), zeros((4, 3)), enable_gqa=True),
        ag.ShapeError,
        f"{SDPA}: enable_gqa needs an axis of heads: (..., heads, L, E); got query (2, 3), key (4, 3) and value (4, 3)",
    ),
    (
        "axes",
        lambda: scaled_dot_product_attention(zeros(3), zeros((4, 3)), zeros((4, 3))),
        ag.ShapeError,
        f"{SDPA}: takes (..., L, E), (..., S, E) and (..., S, V), got query (3,), key (4, 3) and value (4, 3)",
    ),
    (
        "features",
        lambda: scaled_dot_product_attention(zeros((2, 3)), zeros((4, 2)), zeros((4, 3))),
        ag.ShapeError,
        f"{SDPA}: query (2, 3), key (4, 2) and value (4, 3): query and key must have equally many features (last "
        "axis), got 3 and 2",
    ),
    (
        "values",
        lambda: scaled_dot_product_attention(zeros((2, 3)), zeros((4, 3)), zeros((5, 3))),
        ag.ShapeError,
        f"{SDPA}: query (2, 3), key (4, 3) and value (5, 3): every key needs a value (axis -2), got 4 keys and 5 "
        "values",
    ),
    (
        "heads",
        lambda: scaled_dot_product_attention(zeros((6, 2, 3)), zeros((4, 2, 3)), zeros((4, 2, 3)), enable_gqa=True),
        ag.ShapeError,
        f"{SDPA}: query (6, 2, 3), key (4, 2, 3) and value (4, 2, 3): with enable_gqa the 6 heads of query (axis -3) "
        "must be a multiple of the 4 of key",
    ),
    (
        "mask",
        lambda: scaled_dot_product_attention(zeros((2, 3)), zeros((4, 3)), zeros((4, 3)), zeros((4, 2))),
        ag.ShapeError,
        f"{SDPA}: attn_mask of shape (4, 2) does not broadcast to the scores, (..., L, S) = (2, 4)",
    ),
    (
        "mask of integers",
        lambda: scaled_dot_product_attention(zeros((2, 3)), zeros((4, 3)), zeros((4, 3)), ag.tensor([[1, 0, 0, 1]])),
        ag.DTypeError,
        f"{SDPA}: attn_mask must be boolean (true: take part) or floating (added to the scores), got int64; write "
        "mask != 0 or mask.astype(query.dtype)",
    ),
    (
        "probability",
        lambda: scaled_dot_product_attention(zeros((2, 3)), zeros((4, 3)), zeros((4, 3)), dropout_p=1.5),
        ag.ArgumentError,
        f"{SDPA}: dropout_p is the probability of a zero, between 0 and 1; got 1.5",
    ),
    (
        "heads of a layer",
        lambda: nn.MultiheadAttention(10, 3),
        ag.ArgumentError,
        "MultiheadAttention: embed_dim=10 does not divide into num_heads=3",
    ),
    (
        "embedding",
        attend((4, 3, 5), (5, 3, 6), (5, 3, 6)),
        ag.ShapeError,
        f"{MHA}: query (4, 3, 5), key (5, 3, 6) and value (5, 3, 6): query has 5 features (its last axis), "
        "embed_dim is 6",
    ),
    (
        "axes of a layer",
        attend((4, 3, 6), (5, 6), (5, 6)),
        ag.ShapeError,
        f"{MHA}: query, key and value must all be (L, N, E), or all (L, E); got query (4, 3, 6), key (5, 6) and value "
        "(5, 6)",
    ),
    (
        "batches",
        attend((3, 4, 6), (3, 5, 6), (3, 5, 6)),
        ag.ShapeError,
        f"{MHA}: query (3, 4, 6), key (3, 5, 6) and value (3, 5, 6) have batches of 4, 5 and 5 (axis 1); is the batch "
        "the first axis? Then pass batch_first=True",
    ),
    (
        "keys and values",
        attend((4, 3, 6), (5, 3, 6), (4, 3, 6)),
        ag.ShapeError,
        f"{MHA}: query (4, 3, 6), key (5, 3, 6) and value (4, 3, 6): every key needs a value, got 5 keys and 4 values",
    ),
    (
        "key features",
        attend((4, 3, 6), (5, 3, 2), (5, 3, 6)),
        ag.ShapeError,
        f"{MHA}: key of shape (5, 3, 2) has 2 features (its last axis), not embed_dim=6; give kdim and vdim, and "
        "separate projection weights",
    ),
    (
        "mask of a layer",
        attend((4, 3, 6), (5, 3, 6), (5, 3, 6), attn_mask=zeros((5, 4))),
        ag.ShapeError,
        f"{MHA}: attn_mask must have shape (4, 5) or (6, 4, 5), (L, S) or (N H, L, S); got (5, 4)",
    ),
    (
        "padding",
        attend((4, 3, 6), (5, 3, 6), (5, 3, 6), key_padding_mask=zeros((5, 3), dtype="bool")),
        ag.ShapeError,
        f"{MHA}: key_padding_mask must have shape (3, 5), (N, S); got (5, 3)",
    ),
    (
        "padding of integers",
        attend((4, 3, 6), (5, 3, 6), (5, 3, 6), key_padding_mask=zeros((3, 5), dtype="int64")),
        ag.DTypeError,
        f"{MHA}: key_padding_mask must be boolean (true: do not look) or floating (added to the scores), got int64; "
        "write key_padding_mask != 0",
    ),
    (
        "heads of a transformer",
        lambda: nn.TransformerEncoderLayer(10, 3),
        ag.ArgumentError,
        "TransformerEncoderLayer: d_model=10 does not divide into nhead=3 heads",
    ),
    (
        "activation",
        lambda: nn.TransformerDecoderLayer(10, 2, activation="tanh"),
        ag.ArgumentError,
        "TransformerDecoderLayer: activation must be 'relu', 'gelu' or a function, got 'tanh'",
    ),
    (
        "batches of a transformer",
        lambda: nn.Transformer(4, 2, 1, 1, 8)(zeros((5, 3, 4)), zeros((5, 2, 4))),
        ag.ShapeError,
        "in Transformer: src (5, 3, 4) and tgt (5, 2, 4) must have one batch (axis 1)",
    ),
    (
        "features of a transformer",
        lambda: nn.Transformer(4, 2, 1, 1, 8)(zeros((5, 3, 4)), zeros((5, 3, 6))),
        ag.ShapeError,
        "in Transformer: src (5, 3, 4) and tgt (5, 3, 6) must have d_model=4 features, their last axis",
    ),
    (
        "the layer that failed",
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8), 2)(zeros((4, 3, 5))),
        ag.ShapeError,
        "in layers.0.self_attn (MultiheadAttention): multi_head_attention_forward: query (4, 3, 5), key (4, 3, 5) and "
        "value (4, 3, 5): query has 5 features (its last axis), embed_dim is 6",
    ),
]


@pytest.mark.parametrize(
    ("wrong", "kind", "message"), [pytest.param(*case[1:], id=case[0]) for case in [*RECURRENT, *ATTENTION]]
)
def test_errors_say_what_would_fit(wrong: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as raised:
        wrong()
    assert str(raised.value) == message
