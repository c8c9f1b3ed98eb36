"""On PYTHONPATH, the benchmarks and the processes that they start have the fake CuPy's devices.

FAKE_GPU_KILLED: commands with this word do not live to begin.
"""

import os
import signal
import sys
from pathlib import Path

if any("autograd_core.benchmarks" in word for word in sys.orig_argv):
    sys.path.append(str(Path(__file__).parent.parent))

    import cuda_tools
    import fake_cudnn
    from fake_cublaslt import FakeCublasLt

    from autograd_core.backends.cuda import product_kernels
    from autograd_core.backends.cuda.cublaslt import CublasLt

    devices = cuda_tools.fake_devices()
    devices.__enter__()
    sys.modules["cudnn"] = fake_cudnn.FrontEnd()
    product_kernels.load = lambda: CublasLt(FakeCublasLt())
    if os.environ.get("FAKE_GPU_KILLED") in sys.orig_argv:
        os.kill(os.getpid(), signal.SIGKILL)
