"""Learned surfaces keep the contract of every surface."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from learned import (
    BUTADIENE,
    START,
    description,
    geometries,
    labelled,
    random_potential,
    write_data,
)

from afir.cli.main import main
from afir.errors import InputError
from afir.io.structures import write_xyz
from afir.molecule import Molecule, read_only
from afir.pes.contract import check_surface
from afir.pes.loading import load_surface
from afir.pes.surface import Traits, limit, traits_of
from afir.surfaces.analytic import AnalyticSurface
from mlpot.neural.potential import Potential
from mlpot.surface import LearnedSurface

METHANE = Molecule((6, 1, 1, 1, 1))
METHANE_AT = 0.63 * np.array(
    [[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=np.float64
)


@pytest.mark.slow
@pytest.mark.parametrize("representation", ["painn", "schnet"])
@pytest.mark.parametrize("networks", [1, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_contract_holds(representation: str, networks: int, dtype: str) -> None:
    potential = random_potential(representation, networks, dtype=dtype)
    surface = LearnedSurface(BUTADIENE, potential)
    report = check_surface(
        surface,
        geometries(3),
        rng=np.random.default_rng(1),
        energy_tolerance=1e-6 if dtype == "float64" else 1e-4,
        gradient_tolerance=1e-3 if dtype == "float64" else 5e-2,
    )
    if dtype == "float64":
        # The vectors of an untrained PaiNN are so short that their norms bend within the step.
        assert report.gradient < (1e-5 if representation == "schnet" else 1e-3)
        assert report.motion < 1e-9


def test_a_correction_keeps_the_contract_of_its_base(tmp_path: Path) -> None:
    potential = random_potential("painn", 2, base="gfn1")
    potential.save(tmp_path / "delta.model")
    surface = load_surface(f"delta:{tmp_path / 'delta.model'}", BUTADIENE, dtype="float64")
    check_surface(surface, geometries(2), rng=np.random.default_rng(1))
    below = load_surface("gfn1", BUTADIENE).evaluate(geometries(2))
    above = surface.evaluate(geometries(2))
    said = potential.predict(BUTADIENE, geometries(2))
    assert np.allclose(above.energies, below.energies + said.energies, atol=1e-9)
    assert np.allclose(above.gradients, below.gradients + said.gradients, atol=1e-9)


def test_a_molecule_that_was_not_learned_is_doubted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "b.model"
    random_potential("painn", 1, formulas=("C4H6",)).save(model)
    assert traits_of(load_surface(f"learned:{model}", BUTADIENE)).doubt == ""
    write_xyz(tmp_path / "ch4.xyz", METHANE, METHANE_AT[None])
    path = str(tmp_path / "ch4.xyz")
    main(["relax", path, "--surface", f"learned:{model}", "-o", str(tmp_path / "o.xyz")])
    assert "trained on C4H6 only, its error for CH4 is unknown" in capsys.readouterr().err
    reference = ["--reference", f"learned:{model}", "--max-trials", "0"]
    main(["explore", path, "-o", str(tmp_path / "o.db"), *reference])
    assert "trained on C4H6 only" in capsys.readouterr().err


def test_a_correction_says_what_its_base_says_and_stops_it_in_time() -> None:
    limits: list[float] = []

    @dataclasses.dataclass(frozen=True)
    class Slow(AnalyticSurface):
        traits: Traits = Traits(1, True, "a guess", limiters=(limits.append,))  # noqa: RUF009

    base = Slow(BUTADIENE, lambda x: (np.zeros(len(x)), np.zeros(x.shape)))
    known = random_potential("painn", 1, formulas=(BUTADIENE.formula,))
    said = traits_of(surface := LearnedSurface(BUTADIENE, known, base))
    assert (said.batch, said.expensive, said.doubt, said.base) == (64, True, "a guess", base)
    limit(surface, 7.0)
    assert limits == [7.0]
    # Its own doubt comes first.
    strange = random_potential("painn", 1, formulas=("CH4",))
    assert "trained on CH4" in traits_of(LearnedSurface(BUTADIENE, strange, base)).doubt


def test_the_spread_is_that_of_the_networks() -> None:
    potential = random_potential("painn", 4)
    parts = [
        Potential(potential.description, [state], dtype="float64").predict(BUTADIENE, geometries(5))
        for state in potential.states
    ]
    gradients = np.array([part.gradients for part in parts])
    expected = np.sqrt(((gradients - gradients.mean(axis=0)) ** 2).mean(axis=0).sum(axis=2))
    calibrated = Potential(
        dataclasses.replace(potential.description, calibration=1.5),
        potential.states,
        dtype="float64",
    )
    _, spread = LearnedSurface(BUTADIENE, calibrated).evaluate_with_spread(geometries(5))
    assert np.allclose(spread, 1.5 * expected, rtol=1e-9)
    _, alone = LearnedSurface(
        BUTADIENE, Potential(potential.description, potential.states[:1])
    ).evaluate_with_spread(geometries(5))
    assert not alone.any()


@pytest.mark.parametrize("representation", ["painn", "schnet"])
def test_exact_hessians_are_the_derivatives_of_gradients(representation: str) -> None:
    surface = LearnedSurface(BUTADIENE, random_potential(representation, 2))
    x = read_only(geometries(2))  # as those of a known structure are
    exact = surface.hessians(x)
    step = 1e-4
    for column in (0, 7, 29):
        shift = np.zeros(30)
        shift[column] = step
        ahead = surface.evaluate(x + shift.reshape(10, 3)).gradients.reshape(2, 30)
        behind = surface.evaluate(x - shift.reshape(10, 3)).gradients.reshape(2, 30)
        assert np.allclose(exact[:, column], (ahead - behind) / (2 * step), atol=1e-5)
    assert np.allclose(exact, exact.transpose(0, 2, 1), atol=1e-8)


def test_atoms_beyond_the_cutoff_do_not_feel_each_other() -> None:
    surface = LearnedSurface(BUTADIENE, random_potential("painn", 1))
    apart = START.copy()
    apart[5:] += [40.0, 0.0, 0.0]
    further = START.copy()
    further[5:] += [60.0, 0.0, 0.0]
    both = surface.evaluate(np.array([apart, further]))
    assert both.energies[0] == pytest.approx(both.energies[1], abs=1e-9)


def test_a_single_atom_and_collapsed_atoms_are_no_accident() -> None:
    potential = random_potential("painn", 1)
    atom = LearnedSurface(Molecule((6,)), potential).evaluate(np.zeros((2, 1, 3)))
    assert np.isfinite(atom.energies).all()
    assert not atom.gradients.any()
    x = START.copy()
    x[1] = x[0] + 0.1
    answer = LearnedSurface(BUTADIENE, potential).evaluate(np.array([START, x]))
    assert set(answer.failures) == {1}


def options(**changes: Any) -> Potential:
    return Potential(description("painn", **changes), random_potential("painn", 1).states)


def touching(path: str) -> LennardJones:
    """A calculator that leaves a mark."""
    Path(path).touch()
    return LennardJones()


@pytest.mark.slow
def test_a_base_with_code_from_outside_must_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    touched = tmp_path / "touched"
    base = f"ase:{__name__}.touching"
    base_options = {"options": {"path": str(touched)}}
    model, frames = tmp_path / "evil", tmp_path / "frames.extxyz"
    random_potential("painn", 1, base=base, base_options=base_options).save(model)
    write_data(frames, labelled("gfn2", 2))
    with pytest.raises(InputError, match="evil names the surface ase:test_surface"):
        load_surface(f"delta:{model}", BUTADIENE)
    assert main(["test", str(model), str(frames)]) == 2
    told = capsys.readouterr().err
    assert "which runs code from outside afir" in told
    assert not touched.exists()
    main(["test", str(model), str(frames), *shlex.split(told.split("add ")[1])])
    assert touched.exists()


def test_misuse_is_one_sentence(tmp_path: Path) -> None:
    direct, difference = tmp_path / "direct", tmp_path / "difference"
    random_potential("painn", 1).save(direct)
    random_potential("painn", 1, base="gfn1").save(difference)
    with pytest.raises(InputError, match=r"use learned:"):
        load_surface(f"delta:{direct}", BUTADIENE)
    with pytest.raises(InputError, match=r"use\s+delta:"):
        load_surface(f"learned:{difference}", BUTADIENE)
    with pytest.raises(InputError, match="does not know O"):
        load_surface(f"learned:{direct}", Molecule.from_symbols(["C", "O"]))
    with pytest.raises(InputError, match="charge"):
        load_surface(f"learned:{direct}", Molecule(BUTADIENE.numbers, 1, 2))
    with pytest.raises(InputError, match="`device` must be available here"):
        load_surface(f"learned:{direct}", BUTADIENE, device="nowhere")
    with pytest.raises(InputError, match="`dtype` must be"):
        load_surface(f"learned:{direct}", BUTADIENE, dtype="float16")
    with pytest.raises(InputError, match="which is not one"):
        load_surface(f"learned:{tmp_path / 'missing'}", BUTADIENE)
    with pytest.raises(InputError, match="at least one network"):
        Potential(description("painn"), [])
