"""Loop kernels (``autograd_core.compiler.loops``) as LLVM code."""
