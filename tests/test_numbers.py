"""A number of a module says where it comes from, or what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path for package in ("afir", "networks", "mlpot") for path in (ROOT / package).rglob("*.py")
)
DEFINED = {"units.py", "elements.py"}  # they are what the whole file is about


def holds_numbers(value: ast.expr) -> bool:
    """Whether a value is made of numbers alone."""
    if isinstance(value, ast.Constant):
        return isinstance(value.value, int | float) and not isinstance(value.value, bool)
    if isinstance(value, ast.UnaryOp):
        return holds_numbers(value.operand)
    if isinstance(value, ast.BinOp):
        return holds_numbers(value.left) and holds_numbers(value.right)
    if isinstance(value, ast.Tuple | ast.List):
        return bool(value.elts) and all(map(holds_numbers, value.elts))
    return False


def silent_numbers(source: str) -> list[str]:
    """The names of the numbers of a module without a comment or a docstring.

    A comment counts for the whole group of lines below it, up to the next empty line.
    """
    lines, found = source.splitlines(), []
    body = ast.parse(source).body
    for place, node in enumerate(body):
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        value = getattr(node, "value", None)
        if target is None or value is None or not holds_numbers(value):
            continue
        after = body[place + 1] if place + 1 < len(body) else None
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            continue
        if any("#" in line for line in lines[node.lineno - 1 : node.end_lineno]):
            continue
        above = node.lineno - 2
        while above >= 0 and lines[above].strip() and not lines[above].startswith("#"):
            above -= 1
        if above < 0 or not lines[above].startswith("#"):
            found.append(ast.unparse(target))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_number_of_a_module_says_what_it_is(path: Path) -> None:
    if path.name not in DEFINED:
        assert silent_numbers(path.read_text()) == []


def test_a_number_without_a_word_is_found() -> None:
    assert silent_numbers("A = 1\n") == ["A"]
    assert silent_numbers("# why\nA = 1\nB = -2.0\n\nC = (1, 2.0)\n") == ["C"]
    assert silent_numbers('A = 1\n"""Why."""\nB = 2  # why\nC: int = 3 * 4\n') == ["C"]
    assert silent_numbers("A = True\nB = 'x'\nC = ('x', 1)\n") == []
