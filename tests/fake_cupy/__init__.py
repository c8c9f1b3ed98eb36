"""A CuPy without a GPU: NumPy arrays behind CuPy's names, strict where CuPy and CUDA are.

    with fake_cupy.installed() as machine:
        import cupy                       # the fake: two devices

It offers what names.json lists for a release of CuPy, with those parameters, and refuses the rest; it refuses implicit
conversion to the host, arrays of two devices, arrays on the host beside arrays on a device, and memory that one stream
uses while another still works on it. It finds the types of ufuncs as CuPy does, wraps indices around as CuPy does, and
counts what matters for speed: ``machine.launches``, ``synchronizations``, ``copies``, ``allocations``. Captured streams
refuse what CuPy refuses. Written from CuPy's documentation and behaviour; nothing here says how a GPU computes.
"""

from .captures import CUDARuntimeError
from .hardware import Machine, OutOfMemoryError, machine
from .modules import installed

__all__ = ["CUDARuntimeError", "Machine", "OutOfMemoryError", "installed", "machine"]
