"""What people import: ``from afir import ...`` and ``from networks import ...``."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

PACKAGES = ("afir", "networks")
ROOT = Path(__file__).parent.parent


def seen_by_type_checkers(package: str) -> set[str]:
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in imports for alias in node.names}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there(package: str) -> None:
    module = import_module(package)
    for name in module.__all__:
        getattr(module, name)
    assert set(module.__all__) <= set(dir(module))
    assert seen_by_type_checkers(package) == set(module.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = module.nothing


@pytest.mark.parametrize("package", PACKAGES)
def test_import_loads_no_library(package: str) -> None:
    heavy = "{'numpy', 'scipy', 'ase', 'sqlalchemy', 'networkx', 'torch', 'matplotlib'}"
    code = f"import sys, {package}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_examples_and_documents_import_public_names_alone() -> None:
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.py")]
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] == ["from"] and words[2:3] == ["import"]:
                assert not words[1].startswith(("afir.", "networks.")), f"{file.name}: {line}"
