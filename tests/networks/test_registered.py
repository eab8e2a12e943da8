"""Names that packages register: none replaces one of ours, and two of others are not mixed up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from runs import HCN

from afir.cli.main import main
from afir.errors import InputError
from afir.methods.base import load_method
from afir.options import entries
from afir.pes.catalogue import surface_catalogue
from afir.pes.registry import build_surface, is_foreign
from networks.execution.context import Bench
from networks.execution.registry import executor_factory
from networks.learning.learner import load_learner
from networks.policies.base import load_policy
from networks.reporting.export import load_format

LOADED: dict[str, tuple[str, Callable[[str], object]]] = {
    "surfaces": ("lennard-jones", lambda name: build_surface(name, HCN, {})),
    "methods": ("kick", load_method),
    "policies": ("exhaustive", load_policy),
    "learners": ("gaussian", lambda name: load_learner(name, HCN)),
    "executors": ("serial", lambda name: executor_factory(name, 1, {})(Bench(HCN, "double-well"))),
    "exports": ("csv", load_format),
}
"""For each group one of our names, and what loads it."""


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that installs a package with these lines of entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package: str, group: str, *lines: str) -> None:
        (tmp_path / f"{package}.py").write_text("def make(*_):\n    return 'a stranger'\n")
        info = tmp_path / f"{package}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {package}\nVersion: 1\n")
        (info / "entry_points.txt").write_text("\n".join([f"[afir.{group}]", *lines]) + "\n")

    return install


@pytest.mark.parametrize("group", LOADED)
def test_a_name_of_ours_stays_ours(group: str, register: Callable[..., None]) -> None:
    name, load = LOADED[group]
    ours = type(load(name))
    register("aaa", group, f"{name} = aaa:make")
    assert type(load(name)) is ours
    assert not is_foreign("lennard-jones")


@pytest.mark.parametrize("group", LOADED)
def test_a_name_of_two_others_is_refused_where_it_is_used(
    group: str, register: Callable[..., None]
) -> None:
    register("aaa", group, "mine = aaa:make")
    register("bbb", group, "mine = bbb:make")
    said = r"must be registered by one package, got aaa:make and bbb:make; uninstall one of them$"
    with pytest.raises(InputError, match=f"^the {group.removesuffix('s')[:5]}.* 'mine' {said}"):
        LOADED[group][1]("mine")
    assert list(entries(f"afir.{group}")).count("mine") == 1
    if group == "surfaces":
        assert is_foreign("mine")
        (listed,) = (entry for entry in surface_catalogue() if entry.name == "mine")
        assert "uninstall one of them" in listed.missing


def test_a_method_that_lacks_a_part_is_told_which(register: Callable[..., None]) -> None:
    register("aaa", "methods", "mine = aaa:make")
    words = r"^the method 'mine' must have `offers` and `search` \(.*\), got str without `offers`$"
    with pytest.raises(InputError, match=words):
        load_method("mine")


@pytest.mark.parametrize("group", LOADED)
def test_one_package_that_is_found_twice_is_one(group: str, register: Callable[..., None]) -> None:
    for copy in ("aaa", "bbb"):
        register(copy, group, "mine = aaa:missing")
    with pytest.raises(InputError, match=r"cannot be loaded: AttributeError: .*'missing'"):
        LOADED[group][1]("mine")


def test_a_command_of_ours_stays_ours(
    register: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register("zzz", "commands", "zzz = strange_commands:commands")
    (tmp_path / "strange_commands.py").write_text(
        "import click\n\n\ndef commands():\n    return [click.Command('relax', help='Not ours.')]\n"
    )
    assert main(["relax", "--help"]) == 0
    assert "Not ours" not in capsys.readouterr().out
