"""The command push: its path, its peaks and its force."""

from __future__ import annotations

import json
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from commands import REFERENCE_MINIMUM, said

from afir.cli.main import main
from afir.cli.push_tables import print_path


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


def heights_of(table: str) -> dict[int, float]:
    """The energies of a table of a path by the number of the point."""
    rows = re.findall(r"^ +(\d+) [a-z ]*(-?\d+\.\d)(?: |$)", table, re.M)
    return {int(point): float(energy) for point, energy in rows}


def test_points_that_change_nothing_are_left_out_of_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fall = [0.0, 10.0, 100.0, 40.0, *[20.0 + 0.1 * 0.5**number for number in range(9)]]
    kinds = ["push"] * 5 + ["optimisation"] * 8
    print_path("Path", kinds, fall, [])
    shown = capsys.readouterr().out
    assert list(heights_of(shown)) == [0, 1, 2, 3, 4, 5, 12]
    assert shown.count("…") == 1
    print_path("Path", kinds, fall, [8, 9])  # where a peak is
    assert {8, 9} < set(heights_of(capsys.readouterr().out))


def test_peaks_fit_the_table_above_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", "in.xyz", "--push", "1|2", "--peak", "peak.xyz"]) == 0
    out = capsys.readouterr().out
    tables, peaks = out.split("Peaks of the path")
    table, relaxed = tables.split("Energy along the relaxed path, relative to in.xyz")
    assert table.startswith("Energy along the path, relative to in.xyz")
    # Of the unrelaxed path only their number and the highest.
    assert re.search(r"before the path was relaxed: \d+, up to +\d+\.\d$", peaks, re.M)
    assert "interpolated" not in peaks
    assert "relaxation" not in out  # one word for one thing: the end is optimised
    top = re.search(
        r"1 +between points (\d+) and (\d+) of the relaxed path +(\d+\.\d) +in peak.xyz", peaks
    )
    assert top is not None
    along = heights_of(relaxed)
    assert 4 < len(along) < 24
    assert float(top[3]) >= max(along[int(top[1])], along[int(top[2])]) - 0.1
    assert max(along.values()) < max(heights_of(table).values())
    (end,) = re.findall(r"energy of the end / kJ/mol +([\d.]+)$", peaks, re.M)
    assert along[max(along)] == pytest.approx(float(end), abs=0.1)
    assert peaks.count("in peak.xyz") == 1
    assert re.search(r"end, optimised without force +CH–OH$", peaks, re.M)
    assert re.search(r"^ bond changes from the start +C0–H2 broken \(.*\)$", peaks, re.M)
    assert re.search(r"^ +O1–H2 made \(.*\)$", peaks, re.M)
    assert "Path of CH2O on gfn2, written to in-path.xyz" in peaks


def test_peaks_of_a_path_that_was_not_relaxed_fit_the_table_above_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", "in.xyz", "--push", "2|3", "--gamma", "300"]) == 0
    table, peaks = capsys.readouterr().out.split("Peaks of the path")
    heights = heights_of(table)
    between = re.findall(r"interpolated between points (\d+) and (\d+) +([\d.]+)", peaks)
    at = re.findall(r"at point (\d+) +([\d.]+)", peaks)
    assert between or at
    for first, second, height in between:
        assert float(height) > max(heights[int(first)], heights[int(second)]) - 0.1
    for point, height in at:
        assert float(height) == pytest.approx(heights[int(point)], abs=0.5)
    assert "relaxed path" not in table + peaks


def test_every_peak_can_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relax", "in.xyz", "-o", "eq.xyz", "--json"]) == 0
    capsys.readouterr()
    command = ["push", "eq.xyz", "--push", "2|3", "--gamma", "300", "--force", "--json"]
    assert main([*command, "--peak", "peak.xyz", "--which", "all"]) == 0
    facts = said(capsys)
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
    assert main([*command, "--peak", "none.xyz", "--which", "99"]) == 1
    out, err = capsys.readouterr()
    assert f"Not written: none.xyz; the path has {len(files)} peaks, no peak 99." in err
    assert json.loads(out)["peaks_written"] == []  # the path itself is told
    assert not Path("none.xyz").exists()


def test_a_path_without_the_peak_to_write_ends_a_script(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["push", "in.xyz", "--pull", "2|0", "--gamma", "20"]
    assert main([*command, "--peak", "no.xyz"]) == 1
    out, err = capsys.readouterr()
    assert "Not written: no.xyz; the path has no peak." in err
    assert "Path of CH2O on gfn2, written to in-path.xyz" in out
    assert Path("in-path.xyz").exists()
    assert not Path("no.xyz").exists()
    assert main([*command, "--force"]) == 0


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
        paths.append(said(capsys)["path_kj_mol"])
    assert paths[0] == paths[1] != paths[2]


@pytest.mark.parametrize("gamma", ["inf", "nan", "-1", "0"])
def test_a_force_without_end_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], gamma: str
) -> None:
    assert main(["push", "in.xyz", "--push", "0|1", f"--gamma={gamma}"]) == 2
    assert "--gamma must be" in capsys.readouterr().err


def test_molecules_that_went_apart_are_relaxed_where_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a trial of a network: large steps would bring the atoms together again."""
    assert main(["push", "in.xyz", "--pull", "2|0", "--seed", "1", "--json"]) == 0
    pushed = said(capsys)
    assert pushed["outcome"] == "the fragments went apart"
    assert pushed["end"]["name"] == "C–O + H2"
    assert pushed["crossed"]
    assert any("H" in change and "broken" in change for change in pushed["bonds_changed"])
    stages = pushed["gradients"]["stages"]
    assert set(stages) == {"start", "push", "minimum", "path"}
    assert sum(stages.values()) == pushed["gradients"]["total"]
    # No path is relaxed that leads nowhere.
    assert main(["push", "in.xyz", "--pull", "2|0", "--gamma", "100", "--json", "--force"]) == 0
    back = said(capsys)
    assert not back["crossed"]
    assert back["relaxed_peaks_kj_mol"] == []
    assert set(back["gradients"]["stages"]) == {"start", "push", "minimum"}


def test_a_push_is_told_though_the_surface_fails_behind_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "brittle_push.py").write_text(
        "from ase.calculators.lj import LennardJones\n"
        "class Brittle(LennardJones):\n"
        "    asked = 0\n"
        "    def calculate(self, *args, **kwargs):\n"
        "        self.asked += 1\n"
        "        if self.asked > 5:\n"
        "            raise RuntimeError('the licence has expired')\n"
        "        super().calculate(*args, **kwargs)\n"
    )
    monkeypatch.syspath_prepend(folder)
    command = ["push", "in.xyz", "--push", "0|1", "--surface", "ase:brittle_push.Brittle"]
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "no energy on the way to the end: RuntimeError: the licence" in " ".join(err.split())
    pushed = json.loads(out)
    assert pushed["end"] is None
    assert not pushed["crossed"]
    assert len(ase.io.read("in-path.xyz", index=":")) == len(pushed["path_kj_mol"]) > 1
    assert main([*command, "-o", "again.xyz"]) == 0
    assert "none, the surface failed" in capsys.readouterr().out


def _keys(value: object) -> set[str]:
    """The keys of an object and of what is in it, but those that are names of stages."""
    if isinstance(value, list):
        return set().union(*map(_keys, value))
    if isinstance(value, dict):
        return set(value).union(*(_keys(item) for key, item in value.items() if key != "stages"))
    return set()


def test_every_key_is_in_the_page_about_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[3] / "docs" / "step-json.md"
    common, *parts = page.read_text(encoding="utf-8").split("\n## ")
    about = {part.partition("\n")[0]: common + part for part in parts}
    for command, section in (
        (["relax", "in.xyz", "--frequencies"], "`afir relax`"),
        (["push", "in.xyz", "--push", "1|2", "--peak", "peak.xyz"], "`afir push`"),
        (["ts", "peak.xyz", "-o", "ts.xyz"], "`afir ts` and `afir irc`"),
        (["irc", "ts.xyz"], "`afir ts` and `afir irc`"),
    ):
        assert main([*command, "--json"]) == 0
        told = said(capsys)
        assert {key for key in _keys(told) if f"`{key}`" not in about[section]} == set()
        named = set(re.findall(r"^\| `(\w+)`", about[section], re.M))
        only = {"path_kj_mol"} if command[0] == "irc" else set()
        assert named <= set(told) | only
