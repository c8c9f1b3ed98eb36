"""Functions behind the layers, under PyTorch's names, arguments and defaults: no parameters of their own.

They are operations, and live in ``autograd_core.ops``.
"""

from __future__ import annotations

from autograd_core.ops.activation import (
    gelu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    relu,
    relu6,
    sigmoid,
    silu,
    softplus,
    threshold,
)
from autograd_core.ops.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from autograd_core.ops.attention import scaled_dot_product_attention
from autograd_core.ops.convolution import conv1d, conv2d, conv3d
from autograd_core.ops.cross_entropy import cross_entropy, linear_cross_entropy, nll_loss
from autograd_core.ops.ctc import ctc_loss
from autograd_core.ops.distances import (
    bilinear,
    cosine_similarity,
    normalize,
    pairwise_distance,
    pdist,
)
from autograd_core.ops.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from autograd_core.ops.embedding import embedding, embedding_bag, one_hot
from autograd_core.ops.end_padding import pad
from autograd_core.ops.folding import channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold
from autograd_core.ops.fractional_pooling import fractional_max_pool2d, fractional_max_pool3d
from autograd_core.ops.grid_sampling import affine_grid, grid_sample
from autograd_core.ops.linear_algebra import linear
from autograd_core.ops.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from autograd_core.ops.margin_losses import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from autograd_core.ops.multi_head import multi_head_attention_forward
from autograd_core.ops.normalization import batch_norm, group_norm, instance_norm, layer_norm
from autograd_core.ops.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from autograd_core.ops.power_pooling import lp_pool1d, lp_pool2d, lp_pool3d
from autograd_core.ops.recurrent import gru, lstm, rnn
from autograd_core.ops.resampling import interpolate
from autograd_core.ops.rms_norms import local_response_norm, rms_norm
from autograd_core.ops.softmax import gumbel_softmax, log_softmax, softmax, softmin
from autograd_core.ops.transposed_convolution import conv_transpose1d, conv_transpose2d, conv_transpose3d
from autograd_core.ops.trigonometric import tanh
from autograd_core.ops.units import (
    celu,
    elu,
    glu,
    hardshrink,
    prelu,
    rrelu,
    selu,
    softshrink,
    softsign,
    tanhshrink,
)
from autograd_core.ops.unpooling import max_unpool1d, max_unpool2d, max_unpool3d

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gru",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "linear_cross_entropy",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "lstm",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "rnn",
    "rrelu",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
]
