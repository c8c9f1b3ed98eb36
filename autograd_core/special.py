"""Special functions of mathematics, element by element and differentiable: ``ag.special.erfcx(x)``, by PyTorch's names.

>>> import autograd_core as ag
>>> ag.special.expit(ag.tensor([0.0]))
tensor([0.5])
"""

from .ops.activation import sigmoid as expit
from .ops.bessel_functions import i0, i0e, i1, i1e, sinc
from .ops.exponential import entr, erf, erfc, exp2, expm1, log1p, logit, xlog1py, xlogy
from .ops.gamma_functions import digamma, multigammaln, polygamma
from .ops.gamma_functions import digamma as psi
from .ops.gamma_functions import lgamma as gammaln
from .ops.normal_distribution import erfcx, erfinv, log_ndtr, ndtr, ndtri
from .ops.reductions import logsumexp
from .ops.rounding import round
from .ops.softmax import log_softmax, softmax

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
]
