"""Mutate every rule and say what survives: ``python -m mutation [--again] [family ...]``.

Without families all of them. What is found is kept in results.json and written to docs/mutation.md.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from op_table import CASES, OpCase

from . import equivalent, killing, mutants, rules

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "mutation.md"
RESULTS = Path(__file__).with_name("results.json")


def main(arguments: list[str]) -> int:
    """Mutate the rules of the families named, or of all; keep what was found beside what is known of the others.

    ``--again``: only what survived the last time.
    """
    again, families = "--again" in arguments, [a for a in arguments if not a.startswith("-")]
    rules.load()
    every = rules.all_rules()
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    names = sorted({rules.family(rule) for rule in every})
    results = {name: known[name] for name in names if name in known}
    for name in families or names:
        chosen = [rule for rule in every if rules.family(rule) == name]
        with killing.plain_kernels():
            if again:
                survivors = by_hand(chosen, results[name]["survivors"])
                results[name] |= {"survivors": survivors}
            else:
                results[name] = mutate(chosen)
        RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
        PAGE.write_text(page(results), "utf-8")
    unexplained = [name for name in all_survivors(results) if not equivalent.reason(name)]
    print(summary(results), f"{len(unexplained)} survivors have no reason.", sep="\n")
    return 1 if unexplained else 0


def by_hand(chosen: list[rules.Rule], survivors: list[str]) -> list[str]:
    """Those of ``survivors`` that outlive the tests written by hand, too: a reason given is no reason not to try."""
    family = rules.family(chosen[0])
    files = killing.tests_of(family)
    if not survivors or not files or killing.run_tests(files) != 0:
        return survivors
    killed = {
        mutant.name
        for rule in chosen
        for mutant in mutants.of(*rule[:3])
        if mutant.name in survivors and killing.fails_by_hand(mutant, files)
    }
    print(f"{family}: tests written by hand find {len(killed)} of {len(survivors)} more", flush=True)
    return [name for name in survivors if name not in killed]


def mutate(chosen: list[rules.Rule], cases: list[OpCase] = CASES) -> dict[str, Any]:
    """How many mutants of one family's rules there are, and which survive."""
    start = time.perf_counter()
    by_code = defaultdict(list)
    for run in killing.runs(chosen, cases):
        for code in run.codes:
            by_code[code].append(run)
    made, survivors = 0, []
    for rule in chosen:
        order = killing.in_order(by_code[rule.code])
        last = None
        for mutant in mutants.of(*rule[:3]):
            made += 1
            # what killed the last mutant of the function mostly kills the next
            order.sort(key=lambda run: run is not last)
            last = killing.killer(mutant, order)
            if last is None:
                survivors.append(mutant.name)
    survivors = by_hand(chosen, survivors)
    seconds = time.perf_counter() - start
    family = rules.family(chosen[0])
    for name in survivors:
        if not equivalent.reason(name):
            print(f"SURVIVES {name}", flush=True)
    print(f"{family}: {len(chosen)} functions, {made} mutants, {len(survivors)} survive, {seconds:.0f} s", flush=True)
    return {"functions": len(chosen), "mutants": made, "survivors": survivors}


def all_survivors(results: dict[str, Any]) -> list[str]:
    return [name for found in results.values() for name in found["survivors"]]


def summary(results: dict[str, Any]) -> str:
    functions, made = (sum(found[key] for found in results.values()) for key in ("functions", "mutants"))
    survive = len(all_survivors(results))
    explained = sum(equivalent.reason(name) is not None for name in all_survivors(results))
    return (
        f"{functions} functions, {made} mutants: {made - survive} killed, {survive} survive, {explained} of these "
        "with the reason why they change nothing."
    )


def page(results: dict[str, Any]) -> str:
    lines = [
        "# Mutation of the derivative rules",
        "",
        "Written by `make mutation`: every rule of every primitive, and every private function below one, is changed",
        "in one place at a time (a sign, a factor, a term, an operand, a comparison, an axis), and a check of the op",
        "table that runs the changed function must fail: finite differences to second order, conventions where there",
        "is no derivative, vmap against the loop, complex numbers, single precision, operands without elements. What",
        "outlives these is put through the tests that are written by hand for its subject.",
        "",
        summary(results),
        "",
        "| Family | Functions | Mutants | Killed | Survive |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, found in sorted(results.items()):
        made, survive = found["mutants"], len(found["survivors"])
        lines.append(f"| {name} | {found['functions']} | {made} | {made - survive} | {survive} |")
    lines += ["", "## Survivors", "", "| Function | Change | Why no check finds it |", "|---|---|---|"]
    for mutant in all_survivors(results):
        label, _, change = mutant.partition(": ")
        reason = equivalent.reason(mutant) or "not explained yet"
        lines.append(f"| {label} | `{change.replace('|', '&#124;')}` | {reason} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
