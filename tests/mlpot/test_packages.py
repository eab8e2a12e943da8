"""Without torch everything else works, and what needs it says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from afir.cli.main import main
from afir.errors import InputError, MissingPackageError
from afir.molecule import Molecule
from afir.pes.catalogue import surface_catalogue
from afir.pes.loading import load_surface
from mlpot import packages
from mlpot.install import BESIDE, SCHNETPACK, TORCH, commands
from mlpot.neural.architecture import Architecture


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if torch and schnetpack were not installed."""
    monkeypatch.setattr(packages, "find_spec", lambda name: None)


@pytest.mark.usefixtures("without")
def test_a_learned_surface_says_what_is_missing() -> None:
    for name in ("learned:a.model", "delta:a.model"):
        with pytest.raises(MissingPackageError, match="need torch and schnetpack: run `"):
            load_surface(name, Molecule((1, 1)))
    entries = {entry.name: entry.missing for entry in surface_catalogue()}
    assert entries["learned"].startswith("no: learned surfaces need torch")
    assert entries["gfn2"] == ""


@pytest.mark.parametrize("arguments", [["surfaces"], ["surfaces", "--json"], ["surfaces", "delta"]])
def test_listing_the_surfaces_loads_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from afir.cli.main import main\n"
        f"assert main({arguments!r}) == 0\n"
        "heavy = {'torch', 'schnetpack', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "learned" in done.stdout or "correction" in done.stdout


@pytest.mark.usefixtures("without")
def test_so_do_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.extxyz").write_text("")
    output = str(tmp_path / "a.model")
    for arguments in (
        ["train", str(tmp_path / "data.extxyz"), "-o", output],
        ["test", output, str(tmp_path / "data.extxyz")],
    ):
        assert main(arguments) == 2
        assert "need torch and schnetpack" in " ".join(capsys.readouterr().err.split())


def test_what_is_run_depends_on_the_version_of_python() -> None:
    first, second, third = commands((3, 11))
    assert first == ["install", TORCH]
    # Its own requirements would bring a torch of years ago.
    assert {"--no-deps", "--ignore-requires-python", SCHNETPACK} <= set(second)
    assert third == ["install", TORCH, *BESIDE]
    for version in ((3, 12), (3, 13)):
        (only,) = commands(version)
        assert "--no-deps" not in only
    told = packages.command()
    assert ("mlpot.install" in told) == (sys.version_info < (3, 12))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"representation": "transformer"}, "`representation` must be one of painn, schnet"),
        ({"features": 0}, "`features` must be a whole number from 2 to 1024"),
        ({"features": 10**9}, "`features` must be a whole number from 2 to 1024"),
        ({"interactions": 1.5}, "`interactions` must be a whole number"),
        ({"cutoff": -1.0}, "`cutoff` must be a number of Å above 0"),
    ],
)
def test_an_architecture_that_cannot_be(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Architecture.from_dict(values)


def test_an_architecture_comes_back() -> None:
    shape = Architecture("schnet", 32, 2, 4.5, 16)
    assert Architecture.from_dict(shape.to_dict()) == shape
    with pytest.raises(InputError, match="got 'layers'"):
        Architecture.from_dict({"layers": 3})
