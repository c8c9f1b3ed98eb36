"""Mutation of the derivative rules: change one sign, factor, axis or operand in any rule, and a check must fail.

``mutants`` changes a function's syntax tree in one place, ``rules`` finds the functions to change, ``killing`` runs the
op table's checks on each change, ``equivalent`` gives the reason for every change that changes nothing. ``python -m
mutation`` runs all of them and writes docs/mutation.md (``make mutation``); ``tests/test_mutation.py`` runs a sample.
"""
