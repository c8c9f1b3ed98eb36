"""Machine code for compiled graphs: kernels written as LLVM IR for exact shapes, one native call for a whole step."""
