"""The command line: what comes out, and one sentence with exit code 2 for what is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint, version
from pathlib import Path

import ase.io
import click
import numpy as np
import pytest

import afir.cli.main
from afir.cli.main import main
from afir.errors import InputError
from afir.io.structures import read_structure
from afir.molecule import Molecule, Positions
from afir.pes.catalogue import surface_catalogue

H2CO = "4\n\nC 0 0 0.05\nO 0 0 1.25\nH 0.9 0 -0.55\nH -0.95 0.02 -0.55\n"
REFERENCE_MINIMUM = -7.175648095  # hartree, GFN2 formaldehyde
REFERENCE_TS = -7.029080  # hartree, GFN2 H2CO → HCOH
REFERENCE_IMAGINARY = 2321.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "in.xyz").write_text(H2CO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def test_relax_finds_the_minimum(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relax", "in.xyz", "--json", "--frequencies"]) == 0
    facts = _json(capsys)
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
    facts = _json(capsys)
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
    pushed = _json(capsys)
    assert pushed["rebonded"]
    assert any("made" in change for change in pushed["bonds_changed"])
    assert len(ase.io.read("in-path.xyz", index=":")) == len(pushed["path_kj_mol"])
    assert max(pushed["peaks_kj_mol"]) <= max(pushed["path_kj_mol"]) + 50

    assert main(["ts", "peak.xyz", "-o", "ts.xyz", "--json"]) == 0
    found = _json(capsys)
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
    walked = _json(capsys)
    frames = ase.io.read("ts-irc.xyz", index=":")
    energies = np.array([frame.get_potential_energy() for frame in frames])
    top = int(energies.argmax())
    assert 0 < top < len(frames) - 1
    assert walked["monotone"]
    assert [end["barrier_kj_mol"] for end in walked["ends"]] == pytest.approx(barriers, abs=0.5)
    assert energies[0] < energies[-1]
    assert np.all(np.diff(energies[: top + 1]) > -1e-4)
    assert np.all(np.diff(energies[top:]) < 1e-4)


def test_push_tells_its_path(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", "in.xyz", "--pull", "2|0", "--gamma", "100", "--peak", "no.xyz"]) == 0
    out = capsys.readouterr().out
    assert "Energy along the path" in out
    assert "no bonds changed" in out
    assert "none, back at the start" in out


def test_push_counts_from_the_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", "in.xyz", "--push", "0|2", "--gamma", "20"]) == 0
    assert "in.xyz is not relaxed" in capsys.readouterr().err
    assert main(["relax", "in.xyz", "-o", "eq.xyz"]) == 0
    capsys.readouterr()
    assert main(["push", "eq.xyz", "--push", "0|2", "--gamma", "20", "--json"]) == 0
    out, err = capsys.readouterr()
    pushed = json.loads(out)
    assert "not relaxed" not in err
    assert pushed["start_energy_hartree"] == pytest.approx(REFERENCE_MINIMUM, abs=1e-6)
    assert 0.1 < pushed["path_kj_mol"][0] < 3  # displaced from the minimum
    assert pushed["end"]["relative_kj_mol"] == pytest.approx(0, abs=0.05)  # it fell back


def test_peaks_fit_the_table_above_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", "in.xyz", "--push", "1|2", "--peak", "peak.xyz"]) == 0
    out = capsys.readouterr().out
    table, peaks = out.split("Peaks of the path")
    assert table.startswith("Energy along the path, relative to in.xyz")
    # Of the unrelaxed path only their number and the highest.
    assert re.search(r"before relaxation: \d+, up to +\d+\.\d$", peaks, re.M)
    assert "interpolated" not in peaks
    assert re.search(r"1 +of the relaxed path +\d+\.\d +in peak.xyz", peaks)
    assert peaks.count("in peak.xyz") == 1
    assert re.search(r"end, optimised without force +CH–OH$", peaks, re.M)
    assert "Path of CH2O on gfn2, written to in-path.xyz" in peaks


def test_peaks_of_a_path_that_was_not_relaxed_fit_the_table_above_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", "in.xyz", "--push", "2|3", "--gamma", "300"]) == 0
    table, peaks = capsys.readouterr().out.split("Peaks of the path")
    heights = {
        int(row[0]): float(row[2])
        for row in (line.split() for line in table.splitlines())
        if len(row) > 2 and row[0].isdigit()
    }
    between = re.findall(r"interpolated between points (\d+) and (\d+) +([\d.]+)", peaks)
    at = re.findall(r"at point (\d+) +([\d.]+)", peaks)
    assert between or at
    for first, second, height in between:
        assert float(height) > max(heights[int(first)], heights[int(second)]) - 0.1
    for point, height in at:
        assert float(height) == pytest.approx(heights[int(point)], abs=0.5)
    assert "before relaxation" not in peaks


def test_every_peak_can_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relax", "in.xyz", "-o", "eq.xyz", "--json"]) == 0
    capsys.readouterr()
    command = ["push", "eq.xyz", "--push", "2|3", "--gamma", "300", "--force", "--json"]
    assert main([*command, "--peak", "peak.xyz", "--which", "all"]) == 0
    facts = _json(capsys)
    heights = facts["relaxed_peaks_kj_mol"] or facts["peaks_kj_mol"]
    files = [f"peak-{number + 1}.xyz" for number in range(len(heights))]
    assert facts["peaks_written"] == files
    assert len(files) > 1
    places = [ase.io.read(file).positions for file in files]
    assert not Path("peak.xyz").exists()
    highest = int(np.argmax(heights))
    assert main([*command, "--peak", "highest.xyz"]) == 0
    np.testing.assert_array_equal(ase.io.read("highest.xyz").positions, places[highest])
    other = 1 if highest == 0 else 0
    assert main([*command, "--peak", "one.xyz", "--which", str(other + 1)]) == 0
    np.testing.assert_array_equal(ase.io.read("one.xyz").positions, places[other])
    capsys.readouterr()
    assert main([*command, "--peak", "none.xyz", "--which", "99"]) == 0
    assert "no peak 99" in capsys.readouterr().err
    assert not Path("none.xyz").exists()


def test_same_seed_same_path(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for seed in ("3", "3", "4"):
        main(
            [
                "push",
                "in.xyz",
                "--push",
                "2|3",
                "--gamma",
                "50",
                "--seed",
                seed,
                "--json",
                "--force",
            ]
        )
        paths.append(_json(capsys)["path_kj_mol"])
    assert paths[0] == paths[1] != paths[2]


def test_ts_that_is_none_is_not_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "far.xyz").write_text("3\n\nHe 0 0 0\nHe 0 0 3\nHe 0 2.6 1.5\n")
    assert main(["ts", "far.xyz"]) == 1
    assert not (folder / "far-ts.xyz").exists()


def test_surfaces_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["surfaces"]) == 0
    assert "GFN2-xTB" in capsys.readouterr().out
    assert main(["surfaces", "gfn2"]) == 0
    out = capsys.readouterr().out
    assert "temperature" in out
    assert "Electronic temperature in K" in out
    assert re.search(r"^ solvent +none +Name of", out, re.M)
    assert main(["surfaces", "--json"]) == 0
    names = [entry["name"] for entry in json.loads(capsys.readouterr().out)]
    assert names == sorted(names)


def test_what_goes_behind_the_colon_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["surfaces", "ase"]) == 0
    out = capsys.readouterr().out
    argument, options = out.split("--surface-option KEY=VALUE")
    assert "--surface ase:ARGUMENT" in argument
    assert "ase.calculators.emt.EMT" in argument
    assert not re.search(r"^ *argument", options, re.M)
    assert main(["surfaces", "gfn2"]) == 0
    assert "ARGUMENT" not in capsys.readouterr().out


def test_a_surface_that_cannot_be_loaded_is_still_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = EntryPoint("broken", "afir.no_such_module:factory", "afir.surfaces")
    monkeypatch.setattr("afir.pes.catalogue.entry_points", lambda group: [broken])
    (entry,) = surface_catalogue()
    assert entry.missing.startswith("no: ")


WRONG = [
    (["relax", "nothing.xyz"], "no such file"),
    (["relax", "empty.xyz"], "is empty"),
    (["relax", "text.xyz"], "must be the number of atoms"),
    (["relax", "."], "is a directory"),
    (["relax", "in.xyz", "--charge", "1"], "`multiplicity` must be even"),
    (["relax", "in.xyz", "--multiplicity", "2"], "--multiplicity must be odd"),
    (["relax", "in.xyz", "--charge", "one"], "not a valid integer"),
    (["relax", "element.xyz"], "must start with an element symbol, got 'Zz'"),
    (["relax", "overlap.xyz"], "atoms 0 (H) and 1 (H) are 0.100 Å apart"),
    (["relax", "in.xyz", "--surface", "gfn9"], "--surface must be one of"),
    (["relax", "in.xyz", "--surface-option", "accuracy"], "KEY=VALUE"),
    (
        ["relax", "in.xyz", "--surface-option", "acuracy=1"],
        "the surface 'gfn2' has no option 'acuracy'; did you mean 'accuracy'? It has the options ",
    ),
    (["relax", "in.xyz", "--surface-option", "accuracy=-1"], "`accuracy` must be"),
    (["relax", "in.xyz", "--surface-option", "molecule=1"], "has no option 'molecule'"),
    (["relax", "in.xyz", "--surface-option", "name=1"], "has no option 'name'"),
    (["relax", "in.xyz", "--surface-option", "kT=1"], "it has the options temperature, accuracy"),
    (["relax", "in.xyz", "--surface", "double-well:x"], "takes nothing behind a colon"),
    (["relax", "in.xyz", "--surface", "double-well", "--surface-option", "a=1"], "no option 'a'"),
    (
        ["relax", "in.xyz", "--surface", "ase", "--surface-option", "argument=1"],
        "the surface 'ase' has no option 'argument'; write it behind a colon, ase:1",
    ),
    (
        ["relax", "in.xyz", "--surface", "ase:a.B", "--surface-option", "x=1"],
        "the surface 'ase' has no option 'x'; it has the options options",
    ),
    (["relax", "in.xyz", "--frequency"], "no such option"),
    (["relax", "in.xyz", "-o", "precious.xyz"], "precious.xyz exists already"),
    (["relax", "in.xyz", "-o", "no/such/folder.xyz"], "does not exist"),
    (["relax", "in.xyz", "-o", "."], "must be a file"),
    (["relax", "in.xyz", "-o", "a.pdb"], "--output must end in .xyz or .extxyz"),
    (["push", "in.xyz", "--push", "0|1", "--peak", "a.mol"], "--peak must end in .xyz"),
    (["relax"], "missing argument"),
    (["push", "in.xyz"], "--push or --pull"),
    (["push", "in.xyz", "--push", "0-1"], '--push must look like "0,1|4", got'),
    (["push", "in.xyz", "--push", "0|1", "--pull", "1|0"], "each pair of fragments once"),
    (["push", "in.xyz", "--push", "0|9"], "must name atoms from 0 to 3"),
    (["push", "in.xyz", "--push", "0|0"], "must not share atoms"),
    (["push", "in.xyz", "--push", "0|1", "--gamma", "-5"], "--gamma must be"),
    (["push", "in.xyz", "--push", "0|1", "--gamma", "nan"], "--gamma must be"),
    (["push", "in.xyz", "--push", "0|1", "--seed", "-1"], "--seed"),
    (["push", "in.xyz", "--push", "0|1", "--peak", "precious.xyz"], "choose another --peak"),
    (["push", "in.xyz", "--push", "0|1", "--peak", "a.xyz", "-o", "a.xyz"], "another file than"),
    (["push", "in.xyz", "--push", "0|1", "--which", "1"], "--which needs --peak"),
    (
        ["push", "in.xyz", "--push", "0|1", "--peak", "a.xyz", "--which", "0"],
        "the number of a peak",
    ),
    (["ts", "overlap.xyz"], "overlap"),
    (["irc", "in.xyz"], "is not a stationary point"),
    (["surfaces", "gfn9"], "`surface` must be one of"),
    (["no-such-command"], "no such command"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_misuse_is_one_sentence_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (folder / "empty.xyz").touch()
    (folder / "text.xyz").write_text("Dear diary,\n")
    (folder / "element.xyz").write_text("1\n\nZz 0 0 0\n")
    (folder / "overlap.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.1\n")
    (folder / "precious.xyz").write_text("precious")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if not line.startswith("Warning")]
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    assert words.lower() in lines[0].lower()
    assert (folder / "precious.xyz").read_text() == "precious"


def test_the_installed_command_gives_no_traceback(folder: Path) -> None:
    command = [sys.executable, "-m", "afir", "relax", "nothing.xyz"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: nothing.xyz: there is no such file; check the name\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_twice_verbose_shows_the_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["-vv", "relax", "no.xyz"], ["relax", "no.xyz", "-vv"]):
        assert main(arguments) == 2
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert "Error: no.xyz" in err


def test_verbose_tells_the_steps_and_twice_the_gradients(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["relax", "in.xyz", "-v"]) == 0
    once = capsys.readouterr().err
    assert re.search(r"INFO +relaxing took \d+ gradients", once)
    assert "DEBUG" not in once
    assert main(["relax", "in.xyz", "-vv", "--force"]) == 0
    twice = capsys.readouterr().err
    took = re.search(r"relaxing took (\d+) gradients", twice)
    assert took is not None
    assert twice.count("largest gradient") == int(took[1])


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert version("afir") in capsys.readouterr().out
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        assert "relax" in capsys.readouterr().out
    assert main(["push", "--help"]) == 0
    assert "Example: afir push" in capsys.readouterr().out


def test_help_needs_no_heavy_library() -> None:
    script = (
        "import sys; from afir.cli.main import main; main(['--help']);"
        "heavy = {'ase', 'scipy', 'matplotlib', 'sqlalchemy', 'networkx', 'tblite', 'numpy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_broken_package_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = EntryPoint("paths", "afir.cli.commands:commands", "afir.commands")
    bad = EntryPoint("extra", "afir.no_such_module:commands", "afir.commands")
    monkeypatch.setattr(afir.cli.main, "entry_points", lambda group: [bad, good])
    assert main(["--help"]) == 0
    captured = capsys.readouterr()
    assert "relax" in captured.out
    assert "Warning: no commands from afir.no_such_module:commands" in captured.err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "Stopped"),
        (PermissionError(13, "Permission denied", "run.db"), 2, "run.db: Permission denied"),
        (
            OSError(12, "Cannot allocate memory"),
            2,
            "Error: the operating system refused something: Cannot allocate memory; add -vv",
        ),
        (BrokenPipeError(32, "Broken pipe"), 2, "Error: another program that was used ended"),
        (InputError("`x` must be y,\ngot z"), 2, "Error: `x` must be y, got z"),
    ],
)
def test_how_commands_end(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    @click.command()
    def fails() -> None:
        raise error

    group = afir.cli.main.build()
    group.add_command(fails)
    monkeypatch.setattr(afir.cli.main, "build", lambda: group)
    assert main(["fails"]) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("gamma", ["inf", "nan", "-1", "0"])
def test_a_force_without_end_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], gamma: str
) -> None:
    assert main(["push", "in.xyz", "--push", "0|1", f"--gamma={gamma}"]) == 2
    assert "--gamma must be" in capsys.readouterr().err


def test_one_atom_has_no_transition_state(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("he.xyz").write_text("1\n\nHe 0 0 0\n")
    assert main(["ts", "he.xyz"]) == 2
    assert capsys.readouterr().err == (
        "Error: he.xyz must hold two atoms or more for a transition state, got one\n"
    )


def test_a_terminal_that_knows_few_letters_is_no_trouble(folder: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from afir.cli.main import main; main()",
            "push",
            "in.xyz",
            "--push",
            "0|1",
        ],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "eV/?" in done.stderr
    assert "? reached" in done.stdout


def test_arguments_that_are_no_utf_8_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relax", os.fsdecode(b"caf\xe9.xyz")]) == 2
    assert capsys.readouterr().err == (
        "Error: arguments must be UTF-8, got 'caf\N{REPLACEMENT CHARACTER}.xyz'; rename the file\n"
    )


def test_an_endless_argument_does_not_make_an_endless_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["relax", "in.xyz", "--charge", "9" * 5000]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: Invalid value for '--charge'")
    assert len(line) < 1100


def _hostile(folder: Path, suffix: str = "") -> tuple[str, str]:
    """A name of a file that drives a terminal, and how it is to be shown."""
    name, shown = "n\x1b[31m\x9b\n" + suffix, r"n\x1b[31m\x9b\n" + suffix
    if suffix:
        (folder / name).write_text(H2CO)
    return name, shown


@pytest.mark.parametrize(
    "arguments",
    [["relax", "{}"], ["{}"], ["relax", "in.xyz", "--charge", "{}"], ["relax", "--{}"],
     ["relax", "in.xyz", "--surface", "{}"], ["relax", "in.xyz", "--surface-option", "{}=1"],
     ["relax", "in.xyz", "--surface", "ase:{}"], ["push", "in.xyz", "--push", "{}"],
     ["show", "{}"], ["-vv", "relax", "{}"]],
)  # fmt: skip
def test_errors_show_what_cannot_be_seen(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    name, _ = _hostile(folder)
    assert main([argument.replace("{}", name) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.replace("\n", "").isprintable()
    assert r"\x1b[31m\x9b" in err
    if arguments[0] != "-vv":
        assert len(err.splitlines()) == 1


def test_names_of_files_show_what_cannot_be_seen(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, shown = _hostile(folder, ".xyz")
    (folder / name).write_text(2 * H2CO)  # of two structures one is used, with a warning
    target, target_shown = _hostile(folder)
    assert main(["relax", name, "-o", f"{target}2.xyz", "-v"]) == 0
    out, err = capsys.readouterr()
    assert f"{shown} holds 2 structures" in err
    assert f"written to {target_shown}2.xyz" in out
    for text in (out, err):
        assert text.replace("\n", "").isprintable()


def test_what_libraries_and_calculators_say_is_one_line_that_can_be_seen(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "loud.py").write_text(
        "from ase.calculators.lj import LennardJones\n"
        "class Loud(LennardJones):\n"
        "    def calculate(self, *args, **kwargs):\n"
        "        raise RuntimeError('no \\x1b[31m\\nlicence')\n"
    )
    monkeypatch.syspath_prepend(folder)

    def warning(*_: object, **__: object) -> tuple[Molecule, Positions]:
        warnings.warn("beware of \x1b[31m\nme", stacklevel=1)
        return read_structure("in.xyz")

    monkeypatch.setattr("afir.io.structures.read_structure", warning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["relax", "in.xyz", "--surface", "ase:loud.Loud", "-v"]) == 2
    err = capsys.readouterr().err
    assert err.replace("\n", "").isprintable()
    assert "Warning: beware of \\x1b[31m me\n" in err
    assert "Error: RuntimeError: no \\x1b[31m licence\n" in err
