"""Structure files of many formats and encodings: all that is in them, and none of them changed."""

from __future__ import annotations

import gzip
import json
import logging
import sqlite3
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule as ase_molecule
from ase.db import connect

from afir.cli.main import main
from afir.errors import InputError
from afir.io.formats.files import read_frames
from afir.io.structures import read_structure

WATER = "O 0.0 0.0 0.12\nH 0.0 0.76 -0.48\nH 0.0 -0.76 -0.48\n"
LONGER = "O 0.0 0.0 0.12\nH 0.0 0.77 -0.48\nH 0.0 -0.77 -0.48\n"
COORD = "$coord\n 0 0 0.227 o\n 0 {y} -0.907 h\n 0 -{y} -0.907 h\n"
FORMATS = {
    "in.xyz": "xyz",
    "in.extxyz": "extxyz",
    "in.pdb": "proteindatabank",
    "in.gjf": "gaussian-in",
    "coord": "turbomole",
    "in.sdf": "sdf",
    "in.mol": "mol",
    "in.json": "json",
    "in.traj": "traj",
    "in.gen": "gen",
    "in.xsf": "xsf",
    "in.cif": "cif",
    "POSCAR": "vasp",
    "in.cube": "cube",
}


def _file(folder: Path, name: str, content: str | bytes) -> Path:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    return folder / name


def _record(y: float) -> str:
    atoms = "".join(
        f"{0:10.4f}{b:10.4f}{c:10.4f} {s:<3} 0  0  0  0\n"
        for s, b, c in [("O", 0.0, 0.12), ("H", y, -0.48), ("H", -y, -0.48)]
    )
    return f"water\n  x\n\n  3  0  0  0  0  0  0  0  0  0999 V2000\n{atoms}M  END\n"


def _pdb(*atoms: tuple[str, str, float], element: str = "", place: str = " ") -> str:
    """Lines of atoms, each a name of four columns, a residue and z."""
    return "".join(
        f"HETATM{i:5d} {name:4s}{place}{residue:>3s}     1    "
        f"{0:8.3f}{0:8.3f}{z:8.3f}  1.00  0.00          {element:>2s}\n"
        for i, (name, residue, z) in enumerate(atoms, start=1)
    )


def _state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


@pytest.mark.parametrize(("name", "kind"), FORMATS.items())
def test_reading_changes_nothing(tmp_path: Path, name: str, kind: str) -> None:
    atoms = ase_molecule("H2O")
    if kind in ("cif", "vasp", "xsf"):
        atoms.center(vacuum=3.0)
        atoms.pbc = True
    ase.io.write(tmp_path / name, atoms, format=kind)
    before = _state_of(tmp_path)
    molecule, positions = read_structure(tmp_path / name)
    assert molecule.formula == "H2O"
    np.testing.assert_allclose(
        np.linalg.norm(positions[1] - positions[2]), atoms.get_distance(1, 2), atol=1e-3
    )
    assert _state_of(tmp_path) == before


@pytest.mark.parametrize("name", ["run.db", "in.xyz", "log.db-wal", "postgres.db", "in"])
def test_databases_are_refused_and_stay_as_they_are(tmp_path: Path, name: str) -> None:
    if name.endswith("-wal"):
        _file(tmp_path, name, b"\x37\x7f\x06\x82" + bytes(100))
    else:
        with sqlite3.connect(tmp_path / name) as database:
            database.execute("CREATE TABLE mine (value INTEGER)")
        database.close()
    before = _state_of(tmp_path)
    with pytest.raises(InputError, match=r"is a database, not a structure file.*`afir export "):
        read_structure(tmp_path / name)
    assert _state_of(tmp_path) == before


@pytest.mark.parametrize("command", ["relax", "ts", "irc", "push", "explore", "wanted", "train"])
def test_no_command_writes_into_a_database(
    tmp_path: Path,
    command: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if command == "train":
        pytest.importorskip("torch", reason="torch is not installed")
        pytest.importorskip("schnetpack", reason="schnetpack is not installed")
    monkeypatch.chdir(tmp_path)
    with connect("mine.db") as database:
        database.write(ase_molecule("H2O"))
    _file(tmp_path, "in.xyz", f"3\n\n{WATER}")
    before = _state_of(tmp_path)
    arguments = {
        "push": ["push", "mine.db", "--push", "0|1"],
        "explore": ["explore", "mine.db", "--output", "out.db"],
        "wanted": ["explore", "in.xyz", "--wanted", "mine.db", "--output", "out.db"],
        "train": ["train", "mine.db", "--output", "out.model"],
    }.get(command, [command, "mine.db"])
    assert main(arguments) == 2
    assert "mine.db is a database" in capsys.readouterr().err
    assert _state_of(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["in.castep", "in.cell", "in.lammps-data", "in.gro", "in.db", "in.foo"]
)
def test_formats_whose_readers_guess_write_or_start_programs_are_refused(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match="of a format that is not read; save the structure as XYZ"):
        read_structure(_file(tmp_path, name, "something\nelse\n"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("in.xyz", f"3\n\n{WATER}3\n\n{LONGER}"),
        ("in.xyz", f"3\n\n{WATER}\n\n\n3\n\n{LONGER}\n"),
        ("in.allxyz", f"3\n\n{WATER}>\n3\n\n{LONGER}"),
        ("in.sdf", f"{_record(0.76)}$$$$\n{_record(0.77)}$$$$\n"),
        ("in.mol", f"{_record(0.76)}> <ID>\n1\n\n$$$$\n{_record(0.77)}"),
        ("in.gjf", f"# hf\n\nt\n\n0 1\n{WATER}\n--Link1--\n# hf\n\nt\n\n0 1\n{LONGER}\n"),
        ("in.gjf", f"# hf opt=(qst2,calcfc)\n\nt\n\n0 1\n{WATER}\nu\n\n0 1\n{LONGER}\n"),
        ("coord", f"{COORD.format(y=1.436)}{COORD.format(y=1.4551)}$end\n"),
    ],
)
def test_the_last_of_several_structures_is_taken_and_said(
    tmp_path: Path, name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        _, positions = read_structure(_file(tmp_path, name, text))
    assert positions[1, 1] == pytest.approx(0.77, abs=1e-4)
    assert "holds 2 structures; the last one is used" in caplog.text


@pytest.mark.parametrize("ends", [("ENDMDL\n", "ENDMDL\nEND\n"), ("END\n", ""), ("", "")])
def test_models_of_a_pdb_file(
    tmp_path: Path, ends: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (_pdb((" C  ", "CO", 0.0), (" O  ", "CO", z)) for z in (1.1, 1.2))
    text = f"MODEL        1\n{first}{ends[0]}MODEL        2\n{second}{ends[1]}"
    with caplog.at_level(logging.WARNING):
        _, positions = read_structure(_file(tmp_path, "in.pdb", text))
    assert positions[:, 2].tolist() == [0.0, 1.2]
    assert "holds 2 structures" in caplog.text


def test_whole_numbers_are_coordinates_in_gaussian_inputs(tmp_path: Path) -> None:
    text = "# hf\n\nt\n\n0 1\nO 0 0 0\nH 0, 1, 0\nH 1 0 0.0\n\n"
    _, positions = read_structure(_file(tmp_path, "in.gjf", text))
    np.testing.assert_array_equal(positions, [[0, 0, 0], [0, 1, 0], [1, 0, 0]])


def test_the_three_structures_of_a_path_search_in_gaussian(tmp_path: Path) -> None:
    parts = [f"t\n\n0 1\n{text}\n" for text in (WATER, LONGER, WATER)]
    frames = read_frames(_file(tmp_path, "in.gjf", "\n".join(["# hf opt=qst3\n", *parts])))
    assert [frame.atoms.positions[1, 1] for frame in frames] == [0.76, 0.77, 0.76]
    with pytest.raises(InputError, match="must hold charge and multiplicity"):
        read_frames(_file(tmp_path, "in.gjf", "\n".join(["# hf opt=qst3\n", *parts[:2]])))


def test_a_route_that_holds_the_words_of_the_state(tmp_path: Path) -> None:
    text = f"# hf iop(1/5=0,1)\n\nt\n\n0,1\n{WATER}\n"
    assert read_structure(_file(tmp_path, "in.gjf", text))[0].formula == "H2O"


def test_a_job_without_coordinates_is_no_structure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"# hf\n\nt\n\n1 2\n{WATER}\n--Link1--\n# hf geom=allcheck\n\n"
    with caplog.at_level(logging.WARNING):
        molecule, _ = read_structure(_file(tmp_path, "in.gjf", text))
    assert molecule.state == "charge +1, multiplicity 2"
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "residue", "symbol"),
    [
        (" CA ", "ALA", "C"),  # the alpha carbon
        (" HG ", "SER", "H"),
        ("HG21", "THR", "H"),
        ("1HB ", "ALA", "H"),
        (" OD1", "ASP", "O"),
        ("CA  ", "CA", "Ca"),  # the ion
        ("ZN  ", "ZN", "Zn"),
        ("   C", "MOL", "C"),
        ("C   ", "MOL", "C"),
        ("CB  ", "ALA", "C"),
        ("CA  ", "ALA", None),  # calcium, or a carbon atom one column too far left
        ("HG  ", "SER", None),
        ("CL1 ", "LIG", "Cl"),  # no carbon atom has such a name
        ("BR1 ", "LIG", "Br"),
        (" CA ", "CA", "Ca"),
        (" CL ", "CL", "Cl"),
        (" NA ", "NA", "Na"),
        ("NA+ ", "Na+", "Na"),
        ("FE  ", "FE2", "Fe"),
        (" NE2", "HIS", "N"),
        (" CL1", "LIG", None),
        (" NA ", "HEM", None),  # nitrogen of ring A, or sodium
        ("SOD ", "SOD", None),  # sodium in the names of CHARMM
        ("CLA ", "LIG", None),
        ("  CA", "ALA", None),
        ("QQ  ", "ALA", None),
    ],
)
def test_elements_of_a_pdb_file_without_their_column(
    tmp_path: Path, name: str, residue: str, symbol: str | None
) -> None:
    path = _file(tmp_path, "in.pdb", _pdb((name, residue, 0.0)))
    if symbol is None:
        with pytest.raises(InputError, match=r"line 1 does not tell the element.*columns 77"):
            read_frames(path)
    else:
        assert read_frames(path)[0].atoms.get_chemical_symbols() == [symbol]
    told = _file(tmp_path, "told.pdb", _pdb((name, residue, 0.0), element="SI"))
    assert read_frames(told)[0].atoms.get_chemical_symbols() == ["Si"]


@pytest.mark.parametrize(
    ("said", "charge"),
    [
        ("1+", 1),
        ("+1", 1),
        ("+", 1),
        (" +", 1),
        ("1", 1),
        (" 1", 1),
        ("2-", -2),
        ("-2", -2),
        ("0", 0),
    ],
)
def test_formal_charges_of_a_pdb_file(tmp_path: Path, said: str, charge: int) -> None:
    line = _pdb((" N  ", "LIG", 0.0), element="N").rstrip("\n")
    frame = read_frames(_file(tmp_path, "in.pdb", f"{line}{said}\n"))[0]
    assert (frame.stated.charge or 0) == charge


@pytest.mark.parametrize(
    ("element", "said"), [("N", "xy"), ("N", "+-"), ("N", "12"), ("10", "02"), ("", " 2")]
)
def test_columns_of_a_pdb_file_that_hold_no_charge_are_refused(
    tmp_path: Path, element: str, said: str
) -> None:
    line = _pdb((" N  ", "LIG", 0.0), element=element).rstrip("\n")
    with pytest.raises(InputError, match="line 1 must hold a formal charge such as 1"):
        read_frames(_file(tmp_path, "in.pdb", f"{line}{said}\n"))


def test_alternative_places_of_atoms_are_refused(tmp_path: Path) -> None:
    one, other = (_pdb((" O  ", "HOH", z), place=p) for z, p in ((0.0, "A"), (0.6, "B")))
    with pytest.raises(
        InputError, match=r"column 17 names alternative locations of atoms \(A, B\)"
    ):
        read_structure(_file(tmp_path, "in.pdb", one + other))


PLAIN = f"3\nWasser für später\n{WATER}"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode("latin-1"),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.encode("utf-32"),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace(" ", "\t").encode(),
        PLAIN.replace("Wasser für später", "=").encode(),
        PLAIN.replace("Wasser für später", "a == b 'c").encode(),
        PLAIN.replace("ü", "\x85").encode("latin-1"),
        ("\n \n" + PLAIN + "\n\n").encode(),
        PLAIN.replace("0.12", "1.2D-01").encode(),
        PLAIN.encode() + b"   \t",
    ],
)
def test_text_as_other_machines_write_it(tmp_path: Path, content: bytes) -> None:
    molecule, positions = read_structure(_file(tmp_path, "in.xyz", content))
    assert molecule.symbols == ("O", "H", "H")
    np.testing.assert_allclose(positions[:2], [[0, 0, 0.12], [0, 0.76, -0.48]])


@pytest.mark.parametrize(
    "name", ["in.txt", "in.allxyz", "in", "in.dat", "postgres.xyz", "mysql", "in@2.xyz", "in.XYZ"]
)
def test_xyz_under_other_names(tmp_path: Path, name: str) -> None:
    text = PLAIN.replace("Wasser", "GAMESS and * O   R   C   A * on")
    assert read_structure(_file(tmp_path, name, text))[0].formula == "H2O"


def test_a_packed_file_is_unpacked(tmp_path: Path) -> None:
    _file(tmp_path, "in.xyz.gz", gzip.compress(PLAIN.encode()))
    assert read_structure(tmp_path / "in.xyz.gz")[0].formula == "H2O"
    _file(tmp_path, "in.xyz.gz", gzip.compress(PLAIN.encode())[:-9])
    with pytest.raises(InputError, match=r"in\.xyz\.gz cannot be read"):
        read_structure(tmp_path / "in.xyz.gz")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("in.xyz", f"²\n\n{WATER}", "line 1 must be the number of atoms, got '²'"),
        ("in.xyz", f"99999999999999\n\n{WATER}", "announces 99999999999999 atoms, but 3 follow"),
        ("in.xyz", f"3\n\n{WATER}velocities\n", "line 6 must be the number of atoms"),
        ("in.xyz", f"3\n\n{WATER.replace('0.12', '0_1')}", "three coordinates in Å, got '0_1'"),
        ("in.xyz", f"3\n\n{WATER.replace('0.12', '٣')}", "three coordinates in Å, got '٣'"),
        ("in.xyz", f"3\nProperties=pos:R:99999999999\n{WATER}", "line 2 must name columns"),
        ("in.xyz", f"3\nProperties=species:S:1:pos:R:3:q:R:1\n{WATER}", "line 3 must hold the 5"),
        ("in.xyz", PLAIN.encode("utf-16-le"), "must be a text file, but its content is binary"),
        ("in.mol", _record(0.76).replace("  3  0", " 99  0"), "announces 99 atoms"),
        ("in.mol", _record(0.76) + _record(0.77), "must not be of another structure"),
        ("in.mol", _record(0.76).replace("M  END", "M  CHG  1   7   1\nM  END"), "atoms up to 3"),
        ("in.mol", _record(0.76).replace(" H  ", " D  "), "must be an element, got 'D'"),
        ("in.gjf", f"# hf units=au\n\nt\n\n0 1\n{WATER}\n", "says units of bohr"),
        ("in.gjf", f"# hf\n\nt\n\n{WATER}\n", "must hold charge and multiplicity, got 'O 0.0"),
        ("coord", "$coord frac\n 0 0 0 o\n$end\n", r"must be \$coord"),
        ("in.json", "[" * 100000, "cannot be read"),
        ("in.cjson", json.dumps({"atoms": 1}), "cannot be read"),
    ],
)
def test_broken_files_give_one_sentence(
    tmp_path: Path, name: str, text: str | bytes, words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_structure(_file(tmp_path, name, text))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 250


def test_coordinates_of_turbomole_may_be_in_angstrom(tmp_path: Path) -> None:
    text = "$coord angs\n 0 0 0.12 o\n 0 0.76 -0.48 h\n 0 -0.76 -0.48 h\n$end\n"
    _, positions = read_structure(_file(tmp_path, "coord", text))
    np.testing.assert_allclose(positions[1], [0.0, 0.76, -0.48], atol=1e-6)


METHANE = 0.63 * np.array([[0, 0, 0], [1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1.0]])


def _methane(folder: Path, positions: np.ndarray) -> Path:
    rows = "".join(f"{s} {x} {y} {z}\n" for s, (x, y, z) in zip("CHHHH", positions, strict=True))
    return _file(folder, "in.xyz", f"5\n\n{rows}")


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (100.0, "about 100 times those in a molecule, as with coordinates in pm"),
        (0.1, "so they overlap; check the coordinates and that they are in Å"),
    ],
)
def test_coordinates_in_another_unit_are_refused(tmp_path: Path, times: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_structure(_methane(tmp_path, times * METHANE))


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (1 / 0.529177, "about 1.89 times those in a molecule, as with coordinates in bohr"),
        (0.529177, "about 0.529 times those in a molecule, as with coordinates in Å that are"),
    ],
)
def test_distances_that_may_be_meant_or_in_bohr_are_doubted(
    tmp_path: Path, times: float, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        read_structure(_methane(tmp_path, times * METHANE))
    assert words in caplog.text


@pytest.mark.parametrize(
    "text",
    ["4\n\nH 0 0 0\nH 1.6 0 0\nH 1.6 1.6 0\nH 0 1.6 0\n", "3\n\nO 0 0 0\nH 2 0 0\nH 0 2 0\n"],
)
def test_stretched_bonds_are_read(tmp_path: Path, text: str) -> None:
    _, positions = read_structure(_file(tmp_path, "in.xyz", text))
    assert np.linalg.norm(positions[1] - positions[0]) in (1.6, 2.0)


def test_a_question_about_separated_atoms_may_be_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        read_structure(_methane(tmp_path, METHANE + np.array([[0], [0], [0], [0], [3.0]])))
        read_structure(_file(tmp_path, "two.xyz", "2\n\nHe 0 0 0\nHe 0 0 3\n"))
        read_structure(_file(tmp_path, "far.xyz", "3\n\nAr 0 0 0\nAr 0 0 3.8\nAr 0 3.8 0\n"))
        read_structure(_file(tmp_path, "hg.xyz", "3\n\nHg 0 0 0\nHg 0 0 3.7\nHg 0 3.7 0\n"))
        assert caplog.text == ""
        read_structure(_methane(tmp_path, 4.0 * METHANE))
    assert "no two atoms are close enough to be bonded; check that the coordinates" in caplog.text


def test_atoms_very_far_away_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be within 100000 Å, got .* for atom 2 \(H\)"):
        read_structure(_file(tmp_path, "in.xyz", f"3\n\n{WATER.replace('-0.76', '1e8')}"))


def test_numbers_that_are_no_elements_are_refused(tmp_path: Path) -> None:
    atoms = ase_molecule("H2O")
    atoms.numbers[1] = 119
    ase.io.write(tmp_path / "in.traj", atoms)
    with pytest.raises(InputError, match="atom 1 must be an element, got the number 119"):
        read_structure(tmp_path / "in.traj")
