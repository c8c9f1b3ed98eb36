"""Which operands of an equation's kernel are images that may lie either way, channels first or last."""

from __future__ import annotations

from autograd_core.compiler.ir import Equation
from autograd_core.compiler.layout import Images
from autograd_core.ops.convolution import convolution_bias_p, convolution_input_p, convolution_p, convolution_weight_p
from autograd_core.ops.pooling import avg_pool_p, avg_spread_p, max_pool_p, pool_scatter_p
from autograd_core.primitive import Primitive

from .lowerings import is_native

_IMAGES: dict[Primitive, Images] = {
    convolution_p: Images((0,), (0,), True),
    convolution_bias_p: Images((0,), (0,), True),
    convolution_input_p: Images((0,), (0,), True),
    convolution_weight_p: Images((0, 1), (), True),
    max_pool_p: Images((0,), (1,), False, apart=(0,)),
    avg_pool_p: Images((0,), (0,), False),
    avg_spread_p: Images((), (0,), False, (0,)),
    pool_scatter_p: Images((1,), (0,), False, (0,)),
}


def images_of(equation: Equation) -> Images | None:
    images = _IMAGES.get(equation.primitive)
    return images if images is not None and is_native(equation) else None
