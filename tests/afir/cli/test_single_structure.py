"""The commands relax, ts and irc: what they find and what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from commands import REFERENCE_IMAGINARY, REFERENCE_MINIMUM, REFERENCE_TS, said

from afir.cli.main import main


def test_relax_finds_the_minimum(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relax", "in.xyz", "--json", "--frequencies"]) == 0
    facts = said(capsys)
    assert facts["energy_hartree"] == pytest.approx(REFERENCE_MINIMUM, abs=1e-6)
    assert len(facts["wavenumbers_cm1"]) == 6
    assert facts["gradients"]["total"] == sum(facts["gradients"]["stages"].values())
    assert ase.io.read("in-relaxed.xyz").get_chemical_formula() == "CH2O"


@pytest.mark.parametrize("command", ["relax", "ts"])
def test_what_the_surface_said_is_said_where_a_search_failed(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = {"relax": 2, "ts": 16}[command]  # a proof compares energies with gradients first
    (folder / f"brittle_{command}.py").write_text(
        "from ase.calculators.lj import LennardJones\n"
        "class Brittle(LennardJones):\n"
        "    asked = 0\n"
        "    def calculate(self, *args, **kwargs):\n"
        "        self.asked += 1\n"
        f"        if self.asked > {begins}:\n"
        "            raise RuntimeError('the licence has expired')\n"
        "        super().calculate(*args, **kwargs)\n"
    )
    monkeypatch.syspath_prepend(folder)
    assert main([command, "in.xyz", "--surface", f"ase:brittle_{command}.Brittle", "-vv"]) == 1
    err = capsys.readouterr().err
    assert "the surface gave no energy for a geometry on the way: RuntimeError: the licence" in (
        " ".join(err.split())
    )
    assert "nan" not in err


def test_relax_tells_when_it_became_another_molecule(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["relax", "in.xyz", "-o", "same.xyz", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["bonds_changed"] == []
    assert "Warning" not in err
    (folder / "far.xyz").write_text("3\n\nH 0 0.02 -1.6\nC 0 0 0\nN 0.01 0 1.14\n")
    assert main(["relax", "far.xyz", "--json"]) == 0
    out, err = capsys.readouterr()
    (change,) = json.loads(out)["bonds_changed"]
    assert change == "H0–C1 made (1.60 → 1.06 Å)"
    told = " ".join(err.split())
    assert "so the minimum is not the molecule in far.xyz" in told
    assert change in told


def test_charge_and_multiplicity_are_in_the_titles(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["relax", "in.xyz", "--charge", "1", "--multiplicity", "2"]) == 0
    assert capsys.readouterr().out.startswith(
        "Relaxed structure of CH2O (charge +1, multiplicity 2) on gfn2, "
    )
    assert main(["relax", "in.xyz", "--multiplicity", "3", "--force"]) == 0
    assert capsys.readouterr().out.startswith(
        "Relaxed structure of CH2O (charge 0, multiplicity 3) on gfn2, "
    )


def test_options_of_the_surface_are_in_the_titles(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["relax", "in.xyz", "--surface-option", "solvent=water"]
    assert main([*command, "-o", "wet.xyz"]) == 0
    assert capsys.readouterr().out.startswith("Relaxed structure of CH2O on gfn2 (solvent=water), ")
    assert main([*command, "-o", "wet2.xyz", "--json"]) == 0
    facts = said(capsys)
    assert (facts["surface"], facts["name"]) == ("gfn2 (solvent=water)", "CH2–O")


def test_relax_prints_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relax", "in.xyz", "-o", "out.xyz"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ molecules +CH2–O$", out, re.M)
    assert "-7.1756" in out
    assert "kJ/mol" in out
    assert "out.xyz" in out


def test_push_ts_irc_hand_over_to_each_other(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["push", "in.xyz", "--push", "1|2", "--gamma", "1000", "--peak", "peak.xyz"]
    assert main([*command, "--json"]) == 0
    pushed = said(capsys)
    assert pushed["rebonded"]
    assert any("made" in change for change in pushed["bonds_changed"])
    assert len(ase.io.read("in-path.xyz", index=":")) == len(pushed["path_kj_mol"])
    assert max(pushed["peaks_kj_mol"]) <= max(pushed["path_kj_mol"]) + 50

    assert main(["ts", "peak.xyz", "-o", "ts.xyz", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "no curvature is negative" not in err
    found = json.loads(out)
    assert found["verified"]
    assert found["energy_hartree"] == pytest.approx(REFERENCE_TS, abs=1e-6)
    assert found["imaginary_cm1"] == [pytest.approx(REFERENCE_IMAGINARY, abs=2)]
    # A hydrogen goes from the carbon to the oxygen.
    broken, made = sorted(found["bonds_changed"], key=lambda change: "made" in change)
    assert {*re.findall("[A-Z]", broken.partition(" (")[0])} == {"C", "H"}
    assert {*re.findall("[A-Z]", made.partition(" (")[0])} == {"O", "H"}
    assert [end["name"] for end in found["ends"]] == ["CH2–O", "CH–OH"]
    assert len(found["wavenumbers_cm1"]) == 6
    assert found["wavenumbers_cm1"][0] == pytest.approx(-REFERENCE_IMAGINARY, abs=2)
    assert sorted(found["wavenumbers_cm1"]) == found["wavenumbers_cm1"]
    assert pushed["end"]["name"] == "CH–OH"
    assert found["surface"] == "gfn2"
    barriers = [end["barrier_kj_mol"] for end in found["ends"]]
    assert barriers[0] == pytest.approx(384.8, abs=1)
    assert barriers[0] > barriers[1]

    assert main(["irc", "ts.xyz", "-o", "table.xyz"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("IRC of CH2O on gfn2, written to table.xyz")
    assert re.search(r"^ first end, the lower +CH2–O$", out, re.M)
    assert re.search(r"^ second end +CH–OH$", out, re.M)
    assert re.search(r"^ wavenumbers / cm⁻¹ +-232\d\.\d( \d+\.\d){5}$", out, re.M)
    assert re.search(r"^ energy along the IRC +monotone$", out, re.M)

    assert main(["irc", "ts.xyz", "--json"]) == 0
    walked = said(capsys)
    frames = ase.io.read("ts-irc.xyz", index=":")
    energies = np.array([frame.get_potential_energy() for frame in frames])
    top = int(energies.argmax())
    assert 0 < top < len(frames) - 1
    assert walked["monotone"]
    assert [end["barrier_kj_mol"] for end in walked["ends"]] == pytest.approx(barriers, abs=0.5)
    assert energies[0] < energies[-1]
    assert np.all(np.diff(energies[: top + 1]) > -1e-4)
    assert np.all(np.diff(energies[top:]) < 1e-4)


def test_a_climb_from_a_minimum_is_told_as_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hint = "no curvature is negative, as around a minimum"
    assert main(["relax", "in.xyz", "-o", "low.xyz"]) == 0
    capsys.readouterr()
    main(["ts", "low.xyz", "-o", "up.xyz"])
    err = " ".join(capsys.readouterr().err.split())
    assert err.count(hint) == 1
    assert err.endswith(
        f"{hint}: low.xyz may be far from what was found, and `afir push` gives better guesses."
    )
    assert main(["ts", "up.xyz", "-o", "again.xyz"]) == 0  # a saddle point is no minimum
    assert hint not in capsys.readouterr().err


def test_ts_that_is_none_is_not_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "far.xyz").write_text("3\n\nHe 0 0 0\nHe 0 0 3\nHe 0 2.6 1.5\n")
    assert main(["ts", "far.xyz"]) == 1
    assert not (folder / "far-ts.xyz").exists()
    outcome, hint = capsys.readouterr().err.splitlines()[-2:]
    assert outcome.startswith("No transition state was found: ")
    assert hint == (
        "The climb began where no curvature is negative, as around a minimum; `afir push` gives "
        "better guesses."
    )


def test_one_atom_has_no_transition_state(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("he.xyz").write_text("1\n\nHe 0 0 0\n")
    assert main(["ts", "he.xyz"]) == 2
    assert capsys.readouterr().err == (
        "Error: he.xyz must hold two atoms or more for a transition state, got one\n"
    )
