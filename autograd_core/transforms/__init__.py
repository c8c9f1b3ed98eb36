"""Functions from functions to functions: derivatives, batches, memory."""

from .checkpointing import checkpoint
from .custom import custom_jvp, custom_vjp
from .derivatives import grad, jvp, linearize, value_and_grad, vjp
from .jacobians import hessian, hvp, jacfwd, jacrev
from .vectorizing import per_sample_grad, vmap
