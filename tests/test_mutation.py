"""The mutation check itself, on a sample of rules; all of them: ``make mutation``."""

from __future__ import annotations

import json

import pytest
from mutation import __main__ as program
from mutation import equivalent, killing, mutants, rules
from op_table import CASES

from autograd_core.ops.optimizer_updates import adam_update_p, scaled_p, sgd_update_p
from autograd_core.ops.trigonometric import sin_p

SAMPLE = [
    "trigonometric.sin_p partials[0]",
    "reductions.mean_p transposes[0]",
    "softmax.softmax_p vjp[0]",
    "shaping.roll_p transposes[0]",
]


@pytest.fixture(scope="module")
def every_rule():
    rules.load()
    return rules.all_rules()


def named(every, *labels):
    return [rule for rule in every if rule.label in labels]


def cases_of(*functions):
    return [case for case in CASES if case.function in functions]


def test_rules_of_all_kinds_are_found(every_rule):
    slots = {rule.label.rpartition(" ")[2].partition("[")[0] for rule in every_rule if " " in rule.label}
    assert slots == {"partials", "transposes", "vjp", "jvp", "composed", "batch"}
    assert "reductions.expand_reduced" in {rule.label for rule in every_rule}


def test_mutants_change_one_place_each(every_rule):
    (rule,) = named(every_rule, "trigonometric.sin_p partials[0]")
    names = {mutant.name.partition(": ")[2] for mutant in mutants.of(*rule[:3])}
    assert names == {"cos(x) -> -cos(x)", "cos(x) -> x"}


def test_a_mutant_is_put_in_and_taken_out(every_rule):
    (rule,) = named(every_rule, "trigonometric.sin_p partials[0]")
    mutant = next(iter(mutants.of(*rule[:3])))
    before = sin_p.partials[0].__code__
    with mutant.applied():
        assert sin_p.partials[0].__code__ is mutant.code
    assert sin_p.partials[0].__code__ is before


def test_rules_that_a_factory_made_change_together(every_rule):
    (rule,) = named(every_rule, "optimizer_updates.sgd_update_p batch")
    batches = [primitive.batch for primitive in (sgd_update_p, adam_update_p, scaled_p)]
    assert len({id(f) for f in batches}) == len(batches)
    mutant = next(iter(mutants.of(*rule[:3])))
    before = rule.code
    with mutant.applied():
        assert {f.__code__ for f in batches} == {mutant.code}
    assert {f.__code__ for f in batches} == {before}


def test_a_sample_of_rules_has_no_survivors(every_rule):
    with killing.plain_kernels():
        found = program.mutate(named(every_rule, *SAMPLE), cases_of("sin", "mean", "softmax", "roll"))
    assert found["functions"] == len(SAMPLE)
    assert found["mutants"] > 20
    assert not [name for name in found["survivors"] if not equivalent.reason(name)]


def test_without_a_case_that_runs_it_every_mutant_survives(every_rule):
    found = program.mutate(named(every_rule, "trigonometric.sin_p partials[0]"), cases_of("sqrt"))
    assert len(found["survivors"]) == found["mutants"] == 2


def test_what_does_not_end_counts_as_found():
    def forever(case):
        while True:
            pass

    assert not killing.passes(CASES[0], forever, seconds=0.05)


def test_the_page_is_that_of_the_results():
    results = json.loads(program.RESULTS.read_text())
    assert program.PAGE.read_text("utf-8") == program.page(results), "docs/mutation.md: make mutation"


def test_reasons_are_given_for_survivors_alone():
    survivors = set(program.all_survivors(json.loads(program.RESULTS.read_text())))
    assert equivalent.EQUIVALENT.keys() <= survivors, equivalent.EQUIVALENT.keys() - survivors
