"""Every change of one place in a function: its syntax tree with one node replaced, compiled.

The changed code is put into the function objects that the primitives already hold, so nothing is imported again.
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import NamedTuple

SWAPPED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
COMPARED = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ORDERED = (ast.Sub, ast.Div, ast.Pow, ast.MatMult, ast.FloorDiv, ast.Mod)
# Calls that give no tensor: their first argument in their place would be an error and nothing else.
PLUMBING = {"bind", "enumerate", "getattr", "isinstance", "len", "list", "range", "reversed", "tuple", "type", "zip"}
# Equal with their last two arguments swapped; and what only makes zeros or another dtype, which no sign changes.
SYMMETRIC = {"equal", "hypot", "logaddexp", "max", "maximum", "min", "minimum", "not_equal", "swapaxes"}
NOTHING = {"new_zeros", "zeros", "zeros_like", "_zeros"}
CASTS = {"astype", "asarray", "dtype", "part_dtype", "real_dtype", "whole_dtype"}
METADATA = {"shape", "dtype", "ndim", "device", "size"}  # the same for -g as for g


class Mutant(NamedTuple):
    """One change of one code. ``name`` says which, in words that survive edits elsewhere in the file."""

    functions: Sequence[FunctionType]
    name: str
    line: int
    code: CodeType

    @contextmanager
    def applied(self) -> Iterator[None]:
        original = self.functions[0].__code__
        for function in self.functions:
            function.__code__ = self.code
        try:
            yield
        finally:
            for function in self.functions:
                function.__code__ = original


def of(functions: Sequence[FunctionType], label: str, module: ModuleType) -> Iterator[Mutant]:
    """Every mutant of the code that ``functions`` share, which ``module`` defines and the report calls ``label``."""
    function = functions[0]
    node = syntax(function, module)
    for i, child in enumerate(ast.walk(node)):
        child._place = i
    seen = {_essence(function.__code__)}
    named: Counter[str] = Counter()
    for target in _places(node):
        for replacement in changes(target):
            changed = _Replace(target._place, replacement).visit(copy.deepcopy(node))
            code = compiled(changed, function.__code__)
            if code is None or _essence(code) in seen:
                continue
            seen.add(_essence(code))
            name = f"{label}: {ast.unparse(target)} -> {ast.unparse(replacement)}"
            named[name] += 1
            again = f" (place {named[name]})" if named[name] > 1 else ""
            yield Mutant(functions, name + again, target.lineno, code)


@cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def syntax(function: FunctionType, module: ModuleType) -> ast.Lambda | ast.FunctionDef:
    """The syntax of ``function``: of several on its line, the one around all that its code was made of."""
    code = function.__code__
    kind = ast.Lambda if function.__name__ == "<lambda>" else ast.FunctionDef
    places = [(line, column) for line, _, column, _ in code.co_positions() if line and column is not None]
    places = [place for place in places if place != (code.co_firstlineno, 0)]
    candidates = []
    for node in ast.walk(_tree(module)):
        if not isinstance(node, kind) or first_line(node) != code.co_firstlineno:
            continue
        if kind is ast.FunctionDef and node.name != function.__name__:
            continue
        start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
        if all(start <= place <= end for place in places):
            candidates.append(node)
    assert candidates, f"no syntax found for {function.__qualname__} in {module.__name__}"
    return copy.deepcopy(min(candidates, key=lambda n: (n.end_lineno - n.lineno, n.end_col_offset - n.col_offset)))


def first_line(node: ast.Lambda | ast.FunctionDef) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *[d.lineno for d in decorators]])


def compiled(node: ast.Lambda | ast.FunctionDef, original: CodeType) -> CodeType | None:
    """The code of the changed function, with the free variables of the original whether it still uses them or not."""
    free = [ast.Name(name, ast.Load()) for name in original.co_freevars]
    if free:
        unused = ast.Tuple(free, ast.Load())
        if isinstance(node, ast.Lambda):
            node.body = ast.IfExp(ast.Constant(True), node.body, unused)
        else:
            node.body = [*node.body, ast.If(ast.Constant(False), [ast.Expr(unused)], [])]
    if isinstance(node, ast.Lambda):
        node.args.defaults, node.args.kw_defaults = [], [None] * len(node.args.kwonlyargs)
        inner: list[ast.stmt] = [ast.Return(node)]
    else:
        node.decorator_list, node.returns = [], None
        node.args.defaults, node.args.kw_defaults = [], [None] * len(node.args.kwonlyargs)
        for argument in (*node.args.args, *node.args.posonlyargs, *node.args.kwonlyargs):
            argument.annotation = None
        inner = [node]
    around = ast.FunctionDef(
        "around", ast.arguments([], [ast.arg(n) for n in original.co_freevars], None, [], [], None, []), inner, []
    )
    module = ast.fix_missing_locations(ast.Module([around], []))
    try:
        whole = compile(module, original.co_filename, "exec")
    except SyntaxError:
        return None
    outer = next(c for c in whole.co_consts if isinstance(c, CodeType))
    made = next(c for c in outer.co_consts if isinstance(c, CodeType))
    return made if made.co_freevars == original.co_freevars else None


def _essence(code: CodeType) -> tuple:
    """What a function does, without where it stands."""
    inner = tuple(_essence(c) if isinstance(c, CodeType) else (type(c).__name__, repr(c)) for c in code.co_consts)
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, inner


class _Replace(ast.NodeTransformer):
    def __init__(self, place: int, replacement: ast.AST):
        self.place = place
        self.replacement = replacement

    def visit(self, node: ast.AST) -> ast.AST:
        if getattr(node, "_place", None) == self.place:
            return copy.deepcopy(self.replacement)
        return self.generic_visit(node)


def _places(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions of a function's body that take part in what it computes: no errors, texts or annotations."""
    if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Assert)):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Attribute) and node.attr in METADATA:
        return
    if isinstance(node, (ast.Lambda, ast.FunctionDef)):
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        for child in body:
            yield from _places(child)
        return
    if isinstance(node, (ast.Tuple, ast.List)):
        for element in node.elts:
            element._length = True  # in a shape, -1 stands for the length that is left, which 1 often is
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return
    if isinstance(node, ast.AnnAssign):
        if node.value is not None:
            yield from _places(node.value)
        return
    if isinstance(node, ast.expr):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _places(child)


# ------------------------------------------------------------------------------------------ the changes


def changes(node: ast.expr) -> Iterator[ast.expr]:
    """What to put in the place of an expression, one after another."""
    found = CHANGES.get(type(node))
    if found is not None:
        yield from found(node)


def _binary(node: ast.BinOp) -> Iterator[ast.expr]:
    if type(node.op) in SWAPPED:
        yield ast.BinOp(node.left, SWAPPED[type(node.op)](), node.right)
    yield node.left
    yield node.right
    if isinstance(node.op, ORDERED):
        yield ast.BinOp(node.right, node.op, node.left)
    if isinstance(node.op, (ast.Mult, ast.Div, ast.MatMult)):
        yield ast.UnaryOp(ast.USub(), node)


def _unary(node: ast.UnaryOp) -> Iterator[ast.expr]:
    yield node.operand


def _constant(node: ast.Constant) -> Iterator[ast.expr]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        if value and not getattr(node, "_length", False):
            yield ast.UnaryOp(ast.USub(), ast.Constant(value))
    elif isinstance(value, float):
        yield ast.Constant(value * 2 if value else 1.0)
        if value:
            yield ast.UnaryOp(ast.USub(), ast.Constant(value))


def _compare(node: ast.Compare) -> Iterator[ast.expr]:
    if len(node.ops) == 1:
        for op in COMPARED.get(type(node.ops[0]), ()):
            yield ast.Compare(node.left, [op()], node.comparators)


def _boolean(node: ast.BoolOp) -> Iterator[ast.expr]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    yield from node.values


def _choice(node: ast.IfExp) -> Iterator[ast.expr]:
    yield node.body
    yield node.orelse


def _call(node: ast.Call) -> Iterator[ast.expr]:
    plain = not any(isinstance(a, ast.Starred) for a in node.args)
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name not in PLUMBING and name not in NOTHING and name not in CASTS:
        yield ast.UnaryOp(ast.USub(), node)
        if isinstance(node.func, ast.Attribute):
            yield node.func.value
        if node.args and plain:
            yield node.args[0]
    if plain and len(node.args) >= 2 and name != "isinstance" and name not in SYMMETRIC:
        *first, a, b = node.args
        yield ast.Call(node.func, [*first, b, a], node.keywords)
    if plain and len(node.args) >= 3:
        a, b, *rest = node.args
        yield ast.Call(node.func, [b, a, *rest], node.keywords)
    for k, keyword in enumerate(node.keywords):
        if keyword.arg in ("axis", "axes", "dim") and not isinstance(keyword.value, ast.Constant):
            changed = [*node.keywords[:k], ast.keyword(keyword.arg, ast.Constant(0)), *node.keywords[k + 1 :]]
            yield ast.Call(node.func, node.args, changed)


def _attribute(node: ast.Attribute) -> Iterator[ast.expr]:
    if node.attr in ("mT", "T", "mH", "real", "imag"):
        yield node.value


def _name(node: ast.Name) -> Iterator[ast.expr]:
    if isinstance(node.ctx, ast.Load) and node.id == "g":
        yield ast.UnaryOp(ast.USub(), node)


CHANGES: dict[type, Callable[..., Iterator[ast.expr]]] = {
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.Constant: _constant,
    ast.Compare: _compare,
    ast.BoolOp: _boolean,
    ast.IfExp: _choice,
    ast.Call: _call,
    ast.Attribute: _attribute,
    ast.Name: _name,
}
