"""The scalar operations of loop kernels on vectors: arithmetic, and approximations with a stated error."""
