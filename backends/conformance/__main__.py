"""``python -m autograd_core.backends.conformance BACKEND``: what the suite finds; exit status 1 if anything fails."""

import sys

from . import run

if len(sys.argv) != 2:
    sys.exit("usage: python -m autograd_core.backends.conformance BACKEND")
report = run(sys.argv[1])
print(report)
sys.exit(0 if report.ok else 1)
