"""``python -m autograd_core.benchmarks [NAME]``: run one benchmark, the suite unless another is named."""

from __future__ import annotations

import argparse
import sys

from . import gpu, imports, kernels, losses, overhead, probes, suite

BENCHMARKS = {
    "suite": suite,
    "losses": losses,
    "overhead": overhead,
    "imports": imports,
    "gpu": gpu,
    "probes": probes,
    "kernels": kernels,
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m autograd_core.benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    for name, module in BENCHMARKS.items():
        command = commands.add_parser(name, help=str(module.__doc__).splitlines()[0])
        command.set_defaults(run=module.run)
        command.add_argument("--json", metavar="FILE", help="write the figures there too")
        command.add_argument("--quick", action="store_true", help="few repeats: shows that it runs, not how fast")
        module.add_arguments(command)
    argv = sys.argv[1:] if argv is None else argv
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv = ["suite", *argv]
    args = parser.parse_args(argv)
    args.run(args)


if __name__ == "__main__":
    main()
