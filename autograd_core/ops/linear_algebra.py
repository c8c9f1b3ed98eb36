"""What of linear algebra stands on the face of the package too, under one name; all of it is in ``linalg``."""

from .diagonals import diagonal, trace
from .einsum import einsum
from .norms import norm
from .products import dot, inner, matmul, tensordot
from .products import linear as linear
from .products import linear_p as linear_p
from .products import matmul_p as matmul_p
from .vector_products import kron, outer, vdot, vecdot

__all__ = [
    "matmul",
    "einsum",
    "tensordot",
    "dot",
    "inner",
    "vecdot",
    "vdot",
    "outer",
    "kron",
    "diagonal",
    "trace",
    "norm",
]
