"""Files and functions are small enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [
    path for name in ("afir", "networks", "mlpot") for path in sorted((ROOT / name).rglob("*.py"))
]
MOST_LINES_OF_A_FILE = 450
MOST_LINES, MOST_PARAMETERS = 60, 7  # of a function, its docstring included
COMMAND_LINE = {"command", "group", "option", "argument"}  # click's: one parameter an option

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: str) -> Iterator[Function]:
    """All functions of a file but definitions of commands, those inside of others included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and not COMMAND_LINE & {
            part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "")
            for decorator in node.decorator_list
            for part in ast.walk(decorator)
        }:
            yield node


def lines(function: Function) -> int:
    """The lines of a function from its `def` to its end."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def parameters(function: Function) -> int:
    """The number of its parameters, the object itself not counted."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    names += [each.arg for each in (given.vararg, given.kwarg) if each is not None]
    return len([name for name in names if name not in ("self", "cls")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_small(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MOST_LINES_OF_A_FILE
    large = [
        f"{function.name} has {lines(function)} lines and {parameters(function)} parameters"
        for function in functions(source)
        if lines(function) > MOST_LINES or parameters(function) > MOST_PARAMETERS
    ]
    assert not large


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "examples"])
def test_files_beside_the_packages_are_small(folder):
    sources = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*.py")
    }
    assert sources
    for name, source in sources.items():
        assert len(source.splitlines()) <= MOST_LINES_OF_A_FILE, name
        long = {f.name: lines(f) for f in functions(source) if lines(f) > MOST_LINES}
        assert not long, name


def test_sizes_are_counted_as_a_reader_does():
    source = '''
class A:
    def f(self, a, /, b, *c, d=1, **e):
        """One line.

        Another.
        """

        def inner():
            return a

        return inner

@click.command()
@click.option("--x")
def command(a, b, c, d, e, f, g, h):
    pass
'''
    assert [(f.name, lines(f), parameters(f)) for f in functions(source)] == [
        ("f", 10, 5),
        ("inner", 2, 0),
    ]
