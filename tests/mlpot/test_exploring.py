"""Exploring on a learned surface: many tasks side by side, and the same network."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from learned import random_potential

from afir.cli.main import main
from afir.io.structures import write_xyz
from afir.molecule import Molecule, Positions
from afir.pes.loading import load_surface
from afir.pes.surface import Evaluation, traits_of
from afir.searches.settings import StepSettings
from mlpot.surface import LearnedSurface
from networks import Settings, explore, open_run
from networks.graph.network import ReactionNetwork

HCN = Molecule.from_symbols("HCN")
START = np.array([[0.0, 0.0, -1.06], [0.0, 0.0, 0.0], [0.0, 0.0, 1.15]])


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A surface with batches that is quick to explore: GFN2-xTB, changed a little at random."""
    path = tmp_path_factory.mktemp("model") / "hcn.model"
    random_potential("painn", 2, base="gfn2", scale=0.02).save(path)
    return f"delta:{path}"


def explored(path: Path) -> tuple[ReactionNetwork, int]:
    """The network of a run and how many trials it took."""
    with open_run(path) as store:
        return store.load_network(), sum(store.summary().trials.values())


@pytest.mark.slow
def test_the_network_does_not_depend_on_how_it_is_found(
    surface: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(surface=surface, step=StepSettings(gamma=600.0), seed=1)
    sizes: list[int] = []
    evaluate = LearnedSurface.evaluate

    def watched(self: LearnedSurface, positions: Positions, owners: object = None) -> Evaluation:
        sizes.append(len(set(map(id, owners))))  # type: ignore[call-overload]
        return evaluate(self, positions, owners)  # type: ignore[arg-type]

    monkeypatch.setattr(LearnedSurface, "evaluate", watched)
    list(explore(HCN, START, settings, tmp_path / "batches"))
    assert max(sizes) > 3  # searches that shared a batch
    del sizes[:]
    list(explore(HCN, START, settings, tmp_path / "serial", executor="serial"))
    assert max(sizes) == 1
    list(explore(HCN, START, settings, tmp_path / "worker", executor="processes"))
    first, trials = explored(tmp_path / "batches")
    assert len(first.eqs) >= 2
    assert len(first.tss) >= 1
    for name in ("serial", "worker"):
        other, as_many = explored(tmp_path / name)
        assert as_many == trials
        assert other.eqs.keys() == first.eqs.keys()
        assert {ts.id: ts.ends for ts in other.tss.values()} == {
            ts.id: ts.ends for ts in first.tss.values()
        }
        for mine, theirs in ((first.eqs, other.eqs), (first.tss, other.tss)):
            for key in mine:
                assert theirs[key].energy == mine[key].energy
                assert np.array_equal(theirs[key].positions, mine[key].positions)


def test_a_surface_says_how_many_searches_it_wants(surface: str) -> None:
    assert traits_of(load_surface(surface, HCN)).batch == 64
    assert traits_of(load_surface("gfn2", HCN)).batch == 1


def test_a_run_does_not_go_on_with_another_potential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also resumed from another folder it takes the one it began with, and no other."""
    monkeypatch.chdir(tmp_path)
    write_xyz(tmp_path / "hcn.xyz", HCN, START[None])
    random_potential("painn", 1, base="gfn2", scale=0.02, formulas=("C4H6",)).save(Path("a.model"))
    job = Path("job.toml")
    job.write_text('input = "hcn.xyz"\noutput = "a.db"\nsurface = "delta:a.model"\n')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["explore", "--job", str(tmp_path / job), "--max-trials", "1"]) == 0
    capsys.readouterr()
    assert main(["resume", str(tmp_path / "a.db"), "--max-trials", "2"]) == 0
    assert "trained on C4H6 only" in capsys.readouterr().err
    (tmp_path / "moved").mkdir()
    for name in ("a.db", "a.model"):
        shutil.move(tmp_path / name, tmp_path / "moved" / name)
    assert main(["resume", str(tmp_path / "moved" / "a.db"), "--max-trials", "3"]) == 0
    for name in ("a.db", "a.model"):
        shutil.move(tmp_path / "moved" / name, tmp_path / name)
    random_potential("painn", 2, base="gfn2", scale=0.5).save(tmp_path / "a.model")
    assert main(["resume", str(tmp_path / "a.db"), "--max-trials", "5"]) == 2
    assert "kJ/mol off: bring back what was changed" in capsys.readouterr().err
    with open_run(tmp_path / "a.db") as store:
        assert sum(store.summary().trials.values()) == 3
