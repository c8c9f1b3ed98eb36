"""PTX as NVRTC writes it, read: entries and functions with their registers, memory and instructions.

Names of nested scopes (inline PTX, calls) are made unique, so that a function knows each register by one name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

_SIZES = {"8": 1, "16": 2, "32": 4, "64": 8}
_PIECE = re.compile(r'"[^"]*"|[^;{}"]+|[;{}]')
_LABEL = re.compile(r"\s*([$\w]+):")
_REGISTERS = re.compile(r"(%\w+)<(\d+)>")
_VARIABLE = re.compile(
    r"(?:\.(?:visible|weak|extern|common)\s+)*\.(?P<space>shared|global|const|local|param)\s+(?:\.align\s+(?P<align>\d+)\s+)?"
    r"\.(?P<type>\w+)\s+(?P<name>[$\w]+)(?P<array>\[\d*\])?\s*(?:=\s*(?P<values>.*))?$",
    re.DOTALL,
)
_FUNCTION = re.compile(r"\.(entry|func)\s*(?:\((?P<returned>[^)]*)\))?\s*(?P<name>[$\w]+)\s*(?P<rest>.*)", re.DOTALL)
_HEADER = re.compile(r"\.(entry|func)\b")


class Register(NamedTuple):
    name: str


class Immediate(NamedTuple):
    """As it is written: a whole number, or the bits of a float (0f..., 0d...)."""

    text: str


class Symbol(NamedTuple):
    """A special register, a variable, a label or a function."""

    name: str


class Vector(NamedTuple):
    parts: tuple[Operand, ...]


class Address(NamedTuple):
    base: Register | Symbol | Immediate
    offset: int


Operand = Register | Immediate | Symbol | Vector | Address


class Variable(NamedTuple):
    """size: bytes; 0 of an array that the launch gives its size. values: what it holds at first, element by element."""

    space: str
    name: str
    align: int
    size: int
    type: str
    values: tuple[int, ...] = ()


class Instruction(NamedTuple):
    """guard: the predicate without which it is not executed, and whether that must be false."""

    opcode: str
    operands: tuple[Operand, ...]
    guard: tuple[Register, bool] | None
    text: str


@dataclass
class Function:
    """registers: their types by name. labels: what each stands before, counted in instructions."""

    name: str
    is_entry: bool
    parameters: list[Variable]
    returned: list[Variable]
    directives: dict[str, tuple[int, ...]]
    registers: dict[str, str] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)


@dataclass
class Module:
    functions: dict[str, Function] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)

    @property
    def entries(self) -> dict[str, Function]:
        return {name: f for name, f in self.functions.items() if f.is_entry}


def parse(text: str) -> Module:
    """The module; ValueError at what this does not know."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"^\s*\.(version|target|address_size)[^\n]*", "", text, flags=re.MULTILINE)
    return _Reader(text).module


class _Reader:
    def __init__(self, text: str):
        self.module = Module()
        self._function: Function | None = None
        self._scopes: list[dict[str, str]] = []
        self._count = 0
        self._read(_PIECE.findall(text))

    def _read(self, pieces: list[str]) -> None:
        said, depth = "", 0
        for piece in pieces:
            if depth or (piece == "{" and not self._opens(said)):
                said += piece
                depth += (piece == "{") - (piece == "}")
            elif piece == "{":
                self._open(said)
                said = ""
            elif piece == "}":
                self._close(said)
                said = ""
            elif piece == ";":
                self._statement(said)
                said = ""
            else:
                said += piece

    def _opens(self, said: str) -> bool:
        """Whether a brace begins a scope, and not a vector or a list of values."""
        return not _LABEL.sub("", said, count=1).strip() or bool(_HEADER.search(said) and self._function is None)

    def _open(self, said: str) -> None:
        if self._function is None:
            self._function = _header(said)
        else:
            self._label(said)
        self._scopes.append({})

    def _close(self, said: str) -> None:
        self._label(said)
        self._scopes.pop()
        if not self._scopes:
            assert self._function is not None
            self.module.functions[self._function.name] = self._function
            self._function = None

    def _label(self, said: str) -> str:
        """What follows the label, if there is one."""
        while match := _LABEL.match(said):
            assert self._function is not None
            self._function.labels[match[1]] = len(self._function.instructions)
            said = said[match.end() :]
        return said

    def _statement(self, said: str) -> None:
        if self._function is None:
            if match := _VARIABLE.match(said.strip()):
                self.module.variables.append(_variable(match))
            elif not _HEADER.search(said):  # a declaration; the definition follows
                raise ValueError(f"unknown in PTX: {said.strip()[:200]}")
            return
        said = self._label(said).strip()
        if not said or said.startswith(".pragma"):
            return
        if said.startswith(".reg"):
            self._registers(said)
        elif match := _VARIABLE.match(said):
            found = _variable(match)
            if found.space == "param":  # of one call
                found = found._replace(name=self._unique(found.name))
            self._function.variables.append(found)
        else:
            self._function.instructions.append(self._instruction(said))

    def _unique(self, name: str) -> str:
        if len(self._scopes) == 1:
            return name
        self._count += 1
        self._scopes[-1][name] = f"{name}:{self._count}"
        return self._scopes[-1][name]

    def _registers(self, said: str) -> None:
        assert self._function is not None
        _, kind, names = said.split(None, 2)
        for name in (n.strip() for n in names.split(",")):
            if match := _REGISTERS.fullmatch(name):
                self._function.registers.update((f"{match[1]}{i}", kind[1:]) for i in range(int(match[2])))
            else:
                self._function.registers[self._unique(name)] = kind[1:]

    def _instruction(self, said: str) -> Instruction:
        guard, text = None, " ".join(said.split())
        if match := re.match(r"@(!?)(%\w+)\s+", text):
            found = self._operand(match[2])
            assert isinstance(found, Register)
            guard, text = (found, bool(match[1])), text[match.end() :]
        opcode, _, rest = text.partition(" ")
        return Instruction(opcode, tuple(self._operand(t) for t in _split(rest)), guard, " ".join(said.split()))

    def _operand(self, text: str) -> Operand:
        text = text.strip()
        if text[0] in "{(":
            return Vector(tuple(self._operand(t) for t in _split(text[1:-1])))
        if text[0] == "[":
            base, _, offset = text[1:-1].partition("+")
            found = self._operand(base)
            assert isinstance(found, Register | Symbol | Immediate)
            return Address(found, int(offset or 0))
        if "|" in text:  # a value and a predicate
            return Vector(tuple(self._operand(t) for t in text.split("|")))
        if text[0].isdigit() or text[0] == "-":
            return Immediate(text)
        assert self._function is not None
        for scope in reversed(self._scopes):
            if text in scope:
                text = scope[text]
                break
        return Register(text) if text in self._function.registers else Symbol(text)


def _split(text: str) -> list[str]:
    """At commas outside of brackets."""
    found, depth = [""], 0
    for c in text:
        depth += (c in "{[(") - (c in ")]}")
        if c == "," and not depth:
            found.append("")
        else:
            found[-1] += c
    return [t for t in found if t.strip()]


def _variable(match: re.Match[str]) -> Variable:
    size = _SIZES[match["type"].lstrip("busf")]
    count = 1 if match["array"] is None else int(match["array"][1:-1] or 0)
    values = () if match["values"] is None else tuple(map(_number, _split(match["values"].strip(" \n{}"))))
    return Variable(match["space"], match["name"], int(match["align"] or size), size * count, match["type"], values)


def _number(text: str) -> int:
    text = text.strip()
    return int(text[2:], 16) if text[:2] in ("0f", "0d") else int(text, 0)


def _header(said: str) -> Function:
    match = re.search(
        r"\.(entry|func)\s*(?:\((?P<returned>[^)]*)\))?\s*(?P<name>[$\w]+)\s*(?P<rest>.*)", said, re.DOTALL
    )
    assert match is not None
    parameters, _, directives = match["rest"].partition(")")
    found = {
        name: tuple(map(int, numbers.split(","))) for name, numbers in re.findall(r"\.(\w+)\s+([\d, ]+)", directives)
    }
    return Function(
        match["name"],
        match[1] == "entry",
        _declared(parameters.strip(" \n\t(")),
        _declared(match["returned"] or ""),
        found,
    )


def _declared(text: str) -> list[Variable]:
    found = []
    for said in filter(str.strip, text.split(",")):
        match = _VARIABLE.match(re.sub(r"\.ptr(\s+\.(global|shared))?(\s+\.align\s+\d+)?", "", said.strip()))
        if match is None:
            raise ValueError(f"unknown in PTX: {said.strip()}")
        found.append(_variable(match))
    return found
