"""Linear algebra on stacks of matrices, real and complex, with derivatives: ``ag.linalg.solve(a, b)``.

The last two axes are the matrices; all axes before them are independent. Names and signatures are those of the linalg
extension of the Python array API standard, 2024.12; eig, eigvals, lstsq, cond, norm, multi_dot, kron, tensorsolve and
tensorinv those of NumPy; solve_triangular, cholesky_solve, matrix_exp, logdet and lu those of PyTorch.

>>> import autograd_core as ag
>>> a = ag.tensor([[2.0, 0.0], [0.0, 4.0]], requires_grad=True)
>>> ag.linalg.slogdet(a).logabsdet.backward()
>>> a.grad
tensor([[0.5 , 0.  ],
        [0.  , 0.25]])
"""

from .errors import LinAlgError
from .ops.determinants import det, logdet, slogdet
from .ops.diagonals import diagonal, trace
from .ops.elimination import lu
from .ops.factorizations import cholesky, qr
from .ops.matrix_functions import matrix_exp, matrix_power
from .ops.matrix_norms import cond, matrix_norm, norm
from .ops.norms import vector_norm
from .ops.products import matmul, multi_dot, tensordot
from .ops.shaping import matrix_transpose
from .ops.singular_values import lstsq, matrix_rank, pinv, svd, svdvals
from .ops.solving import cholesky_solve, inv, solve, solve_triangular, tensorinv, tensorsolve
from .ops.spectra import eig, eigh, eigvals, eigvalsh
from .ops.vector_products import cross, kron, outer, vecdot

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_solve",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "kron",
    "logdet",
    "lstsq",
    "lu",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]
