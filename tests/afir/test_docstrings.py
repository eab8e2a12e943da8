"""What takes or returns arrays says which shapes and units they have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

AFIR = Path(__file__).parent.parent.parent / "afir"
ROOMS = ("geometry", "hessians", "pes", "searches", "methods", "verification", "multilevel")
FILES = [path for room in ROOMS for path in sorted((AFIR / room).glob("*.py"))]
ARRAYS = {"Positions", "NDArray", "Matrix", "Vector", "Floats"}
SHAPE = re.compile(r"\((?:\d?[a-z]|\d)(?: [+−] \d)?,(?: (?:\d?[a-z]|\d),?)*\)")
UNIT = re.compile(r"Å|eV|amu|cm⁻¹|\bunit\b")


def names(annotation: ast.expr) -> set[str]:
    """The names in an annotation, but not those of whole numbers and truth values."""
    text = ast.unparse(annotation)
    return set(re.findall(r"\w+", re.sub(r"NDArray\[np\.(bool_|intp)\]", "", text)))


def public(nodes: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Name and docstring of all that is public and takes, returns or holds arrays of numbers."""
    for node in nodes:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            fields = [part.annotation for part in node.body if isinstance(part, ast.AnnAssign)]
            if any(names(field) & ARRAYS for field in fields):
                yield prefix + node.name, ast.get_docstring(node) or ""
            yield from public(node.body, f"{node.name}.")
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            given = node.args
            parameters = (*given.posonlyargs, *given.args, *given.kwonlyargs)
            annotations = [part.annotation for part in parameters] + [node.returns]
            if any(names(part) & ARRAYS for part in annotations if part is not None):
                yield prefix + node.name, ast.get_docstring(node) or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(AFIR)))
def test_arrays_have_shapes_and_units(path):
    found = list(public(ast.parse(path.read_text(encoding="utf-8")).body))
    assert [name for name, text in found if not SHAPE.search(text)] == []
    assert [name for name, text in found if not UNIT.search(text)] == []


def test_a_function_without_a_shape_is_seen():
    source = '''
def shifted(x: Positions) -> Positions:
    """The geometry one Å further."""

def linked(bonds: NDArray[np.bool_]) -> int:
    """The number of bonds."""
'''
    assert list(public(ast.parse(source).body)) == [("shifted", "The geometry one Å further.")]
    assert not SHAPE.search("The geometry (of n atoms) one Å further.")
    for shape in ("(n, 3)", "(3n, 3n)", "(m,)", "(k, n, 3)", "(3,)", "(m + 1, n, 3)"):
        assert SHAPE.search(f"The geometry {shape} in Å.")
