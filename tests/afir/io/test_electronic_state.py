"""Charge and multiplicity as people and programs write them into files."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from ase import Atoms
from ase.io import write

from afir.errors import InputError
from afir.io.electronic_state import in_comment
from afir.io.structures import read_structure

ATOMS = "O 0.0 0.0 0.12\nH 0.0 0.76 -0.48\nH 0.0 -0.76 -0.48\n"
ROWS = [("O", 0.0, 0.0, 0.12), ("H", 0.0, 0.76, -0.48), ("H", 0.0, -0.76, -0.48)]
WATER = (8, 1, 1)


def _water(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def _mol(more: str = "", codes: tuple[int, int, int] = (0, 0, 0)) -> str:
    atoms = "".join(
        f"{x:10.4f}{y:10.4f}{z:10.4f} {symbol:<3} 0{code:3d}  0  0\n"
        for (symbol, x, y, z), code in zip(ROWS, codes, strict=True)
    )
    counts = "  3  0  0  0  0  0  0  0  0  0999 V2000\n"
    return f"water\n  x\n\n{counts}{atoms}{more}M  END\n"


def _v3000(first: str) -> str:
    lines = ["BEGIN CTAB", "COUNTS 3 0 0 0 0", "BEGIN ATOM", f"1 O 0 0 0.12 0{first}"]
    lines += ["2 H 0 0.76 -0.48 0", "3 H 0 -0.76 -0.48 0", "END ATOM", "END CTAB"]
    block = "".join(f"M  V30 {line}\n" for line in lines)
    return f"water\n\n\n  0  0  0  0  0  0            999 V3000\n{block}M  END\n"


def _pdb(charge: str) -> str:
    return "".join(
        f"HETATM{i:5d}  {s:<3} HOH     1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          "
        f"{s:>2}{charge if s == 'O' else ''}\n"
        for i, (s, x, y, z) in enumerate(ROWS, start=1)
    )


COORD = "$coord\n 0 0 0.227 o\n 0 1.436 -0.907 h\n 0 -1.436 -0.907 h\n"


@pytest.mark.parametrize(
    ("comment", "charge", "multiplicity"),
    [
        ("", 0, 1),
        ("water from step 12, E = -5.07", 0, 1),
        ("Charge=1 mult=2", 1, 2),
        ("CHARGE=+1, Multiplicity=2", 1, 2),
        ("charge: 1 spin_multiplicity: 2", 1, 2),
        ('total_charge = "1" unpaired=1', 1, 2),
        ("charge=2- spin-multiplicity=3", -2, 3),
        ("net_charge=1.0 uhf=1", 1, 2),
        ("water, charge 1 multiplicity 2", 1, 2),
        ("charge 0", 0, 1),
        ("charge=2 total-charge=2", 2, 1),
        ('note="charge=5 mult=4" charge=2', 2, 1),
        ("spin=0", 0, 1),  # S, 2S, and no 2S + 1
        ("charge=1 spin=1", 1, 2),  # an odd number of electrons has no S = 1
        ("charge=1 spin=0.5", 1, 2),
        ("spin=2 multiplicity=3", 0, 3),  # 2S
        ("charge 2.0 mult 1.0", 2, 1),
        ('{"charge": 2, "mult": 3}', 2, 3),
        ("{'charge': '2', 'spin_multiplicity': 3}", 2, 3),
        ("CSD_code = WIXKOE | q = -2 | S = 0 | Stoichiometry = H2O", -2, 1),
        ("reaction coordinate q = 0.35", 0, 1),
        ("total charge = 2, nuclear charge = 10", 2, 1),
        ("nuclear charge = 10", 0, 1),
        ("dication: charge=2 mult=1", 2, 1),
        ("dication:charge=2 mult:1", 2, 1),
        ("title: charge 2, mult 1", 2, 1),
        ("Molecule: charge 1 multiplicity 2", 1, 2),
        ("XTB run: total charge 2 mult 1", 2, 1),
        ("config_type=charge=2", 2, 1),
        ("note: next: 'charge' : 2", 2, 1),
        ('{"info": {"charge": 1, "mult": 2}}', 1, 2),
        ("E = -5.2 charge = 2", 2, 1),
        ("afir relax in.xyz --charge=1 --multiplicity=2", 1, 2),
        ("charge is: 2", 2, 1),
        ("charge 2 (mult 1)", 2, 1),
        ("charge(1) mult(2)", 1, 2),
        ("partial charge 0.35, charge 2 mult 1", 2, 1),
        ("transfer of charge step=3", 0, 1),
        ("partial charge 0.35 on one atom", 0, 1),
    ],
)
def test_keys_of_a_comment(tmp_path: Path, comment: str, charge: int, multiplicity: int) -> None:
    molecule, _ = read_structure(_water(tmp_path, "in.xyz", f"3\n{comment}\n{ATOMS}"))
    assert (molecule.charge, molecule.multiplicity) == (charge, multiplicity)


@pytest.mark.parametrize(
    ("comment", "words", "flag"),
    [
        ("charge=1 total_charge=2", "`charge` must be said once, got charge=1 and", "--charge"),
        ("mult=1 unpaired=2", "`multiplicity` must be said once", "--multiplicity"),
        ("charge=half", "`charge` must be a whole number, got 'half'", "--charge"),
        ("charge=1.5", "`charge` must be a whole number, got '1.5'", "--charge"),
        ("charge=", "`charge` must be a whole number, got ''", "--charge"),
        ("charge= mult=1", "`charge` must be a whole number, got ''", "--charge"),
        ("charge=[1, 2]", "`charge` must be a whole number, got '1, 2'", "--charge"),
        ("title: charge 2", "`charge 2` in its comment may be", "--charge"),
        ("a net charge of +2", "may be its charge or not (write charge=+2)", "--charge"),
        ("q=2 charge=0", "`charge` must be said once, got q=2 and charge=0", "--charge"),
        ("core charge 8", "`charge 8` in its comment may be its charge or not", "--charge"),
        ("charge 1.5 mult 2", "`charge` must be a whole number, got '1.5'", "--charge"),
        ("spin=2", "`spin=2` may mean S, 2S or 2S + 1", "--multiplicity"),
        ("spin=0 multiplicity=3", "`spin=0` may mean", "--multiplicity"),
        ("spin=up", "`spin` must be a number", "--multiplicity"),
    ],
)
def test_what_is_not_clear_is_refused_unless_it_is_given(
    tmp_path: Path, comment: str, words: str, flag: str
) -> None:
    path = _water(tmp_path, "in.xyz", f"3\n{comment}\n{ATOMS}")
    with pytest.raises(InputError) as caught:
        read_structure(path)
    assert words in str(caught.value)
    assert str(caught.value).endswith(f"give {flag}")
    molecule, _ = read_structure(path, charge=0, multiplicity=1)
    assert molecule.state == ""


def test_two_numbers_alone_are_no_state_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _water(tmp_path, "in.xyz", f"3\n1 2\n{ATOMS}")
    with caplog.at_level(logging.WARNING):
        molecule, _ = read_structure(path)
        assert molecule.state == ""
        assert "write charge=1 multiplicity=2 if it is meant so" in caplog.text
        caplog.clear()
        read_structure(path, charge=1, multiplicity=2)
        read_structure(_water(tmp_path, "neutral.xyz", f"3\n0 1\n{ATOMS}"))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("comment", "charge", "words"),
    [
        ("NEB image q=2", 2, "`q=2` is taken as its charge"),
        ("state: q = -2", -2, "`q=-2` is taken as its charge"),
        ("stationary point charge=2", 0, "`point charge=2` in its comment is not taken as its"),
        ('note="charge=2"', 0, '`note="charge=2"` in its comment is not taken as its charge'),
        ('note="a charge 2"', 0, "in its comment is not taken as its charge"),
    ],
)
def test_what_may_be_a_charge_is_warned_of(
    tmp_path: Path, comment: str, charge: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = _water(tmp_path, "in.xyz", f"3\n{comment}\n{ATOMS}")
    with caplog.at_level(logging.WARNING):
        assert read_structure(path)[0].charge == charge
        assert words in caplog.text
        caplog.clear()
        read_structure(path, charge=0)
        named = f"{comment} charge={charge}"  # says the same by a clear name
        read_structure(_water(tmp_path, "named.xyz", f"3\n{named}\n{ATOMS}"))
    assert caplog.text == ""


def test_columns_of_charges_are_no_state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = "".join(f"{line} 0.0\n" for line in ATOMS.splitlines())
    for columns in ("species:S:1:pos:R:3:charge:R:1", '"species:S:1:pos:R:3:charge:R:1"'):
        text = f"3\nProperties={columns} charge=2\n{rows}"
        with caplog.at_level(logging.WARNING):
            assert read_structure(_water(tmp_path, "in.xyz", text))[0].charge == 2
            text = text.replace(" charge=2", "")
            assert read_structure(_water(tmp_path, "in.xyz", text))[0].charge == 0
    assert caplog.text == ""


@pytest.mark.parametrize(
    "piece", ["a=1 ", "a={", "a:A:1:", "charge=[", "a='b=\"", "core ", "charge ", " ", "aa", "-"]
)
def test_long_comments_are_read_to_their_end(piece: str) -> None:
    """Extended XYZ holds whole matrices there; in quadratic time each would take hours."""
    found = in_comment(f"{piece * (200_000 // len(piece))} charge=2")
    assert found.charge == 2 or found.doubts or found.remarks


@pytest.mark.parametrize(
    ("name", "text", "charge", "multiplicity"),
    [
        ("in.gjf", f"%mem=1GB\n# hf\n\ntitle\n\n-2 1\n{ATOMS}\n", -2, 1),
        ("in.com", f"#p hf\n\n2 3\n\n 1,2\n{ATOMS}\n", 1, 2),
        ("in.com", f"# hf\n\nfragments\n\n1 2 0 1 1 2\n{ATOMS}\n", 1, 2),
        ("coord", f"{COORD}$eht charge=1 unpaired=1\n$end\n", 1, 2),
        ("coord", f"{COORD}$chrg -1\n$spin 1\n$end\n", -1, 2),
        ("in.mol", _mol(), 0, 1),
        ("in.mol", _mol("M  CHG  2   1   2   2  -1\nM  RAD  1   1   2\n"), 1, 2),
        ("in.sdf", _mol("M  RAD  1   1   3\n"), 0, 3),
        ("in.sdf", _mol("M  RAD  1   1   1\n"), 0, 1),
        ("in.sdf", _mol(codes=(3, 0, 4)), 1, 2),  # the column of charges: +1, and a doublet
        ("in.sdf", _mol("M  CHG  1   1  -2\n", codes=(3, 0, 4)), -2, 1),  # which CHG overrides
        ("in.mol", _v3000(" CHG=1 RAD=2"), 1, 2),
        ("in.mol", _v3000(" CHG=1 -\nM  V30 RAD=2"), 1, 2),
        ("in.pdb", _pdb("2+"), 2, 1),
        ("in.pdb", _pdb("2-"), -2, 1),
    ],
)
def test_formats_that_carry_a_state(
    tmp_path: Path, name: str, text: str, charge: int, multiplicity: int
) -> None:
    molecule, positions = read_structure(_water(tmp_path, name, text))
    assert (molecule.numbers, molecule.charge, molecule.multiplicity) == (
        WATER,
        charge,
        multiplicity,
    )
    assert positions[1, 1] == pytest.approx(0.76, abs=1e-3)
    given, _ = read_structure(tmp_path / name, charge=-1, multiplicity=2)
    assert (given.charge, given.multiplicity) == (-1, 2)


def test_several_radical_centres_are_parallel_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _water(tmp_path, "in.mol", _mol("M  RAD  2   1   2   2   2\n"))
    with caplog.at_level(logging.WARNING):
        assert read_structure(path)[0].multiplicity == 3
    assert "2 radical centres are taken as parallel: multiplicity 3" in caplog.text


@pytest.mark.parametrize("name", ["in.traj", "in.json", "in.extxyz"])
def test_charges_and_moments_of_the_atoms_add_up(tmp_path: Path, name: str) -> None:
    atoms = Atoms([row[0] for row in ROWS], [row[1:] for row in ROWS])
    atoms.set_initial_charges([1.8, -0.4, -0.4])
    atoms.set_initial_magnetic_moments([1.2, -0.1, -0.1])
    write(tmp_path / name, atoms)
    molecule, _ = read_structure(tmp_path / name)
    assert (molecule.charge, molecule.multiplicity) == (1, 2)


@pytest.mark.parametrize("total", [0.5, 0.03])
def test_partial_charges_of_atoms_tell_no_charge_and_that_is_said(
    tmp_path: Path, total: float, caplog: pytest.LogCaptureFixture
) -> None:
    atoms = Atoms([row[0] for row in ROWS], [row[1:] for row in ROWS])
    atoms.set_initial_charges([total - 0.8, 0.4, 0.4])
    write(tmp_path / "in.traj", atoms)
    with caplog.at_level(logging.WARNING):
        assert read_structure(tmp_path / "in.traj")[0].state == ""
        assert f"add up to {total:.3f}, which is not a whole number" in caplog.text
        caplog.clear()
        atoms.info["charge"] = 2
        write(tmp_path / "in.traj", atoms)
        assert read_structure(tmp_path / "in.traj")[0].charge == 2
        assert read_structure(tmp_path / "in.traj", charge=-2)[0].charge == -2
    assert caplog.text == ""


@pytest.mark.parametrize(("spin", "multiplicity"), [(1, 1), (3, 3)])
def test_the_spin_of_data_sets_is_2s_plus_1_and_that_is_said(
    tmp_path: Path, spin: int, multiplicity: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = _water(tmp_path, "in.xyz", f"3\ncharge=0 spin={spin}\n{ATOMS}")
    with caplog.at_level(logging.WARNING):
        assert read_structure(path)[0].multiplicity == multiplicity
        assert f"`spin={spin}` is taken as 2S + 1: multiplicity {multiplicity}" in caplog.text
        caplog.clear()
        assert read_structure(path, multiplicity=5)[0].multiplicity == 5
        path = _water(tmp_path, "in.xyz", f"3\ncharge=1 spin={spin}\n{ATOMS}")
        assert read_structure(path)[0].multiplicity == spin + 1
    assert caplog.text == ""


def test_outputs_tell_their_state(tmp_path: Path) -> None:
    table = "".join(
        f" {index:6d} {number:10d} 0 {x:12.6f}{y:12.6f}{z:12.6f}\n"
        for index, (number, (_, x, y, z)) in enumerate(zip(WATER, ROWS, strict=True), start=1)
    )
    rule = f" {'-' * 69}\n"
    text = (
        " Entering Gaussian System, Link 0=g16\n Charge =  1 Multiplicity = 2\n"
        f"                         Standard orientation:\n{rule}"
        " Center     Atomic      Atomic             Coordinates (Angstroms)\n"
        f" Number     Number       Type             X           Y           Z\n{rule}{table}{rule}"
        " SCF Done:  E(UHF) =  -74.5  A.U. after    9 cycles\n"
    )
    molecule, _ = read_structure(_water(tmp_path, "in.log", text))
    assert (molecule.numbers, molecule.charge, molecule.multiplicity) == (WATER, 1, 2)


def test_a_state_that_cannot_be_read_must_be_given(tmp_path: Path) -> None:
    text = f"geometry units angstrom\n{ATOMS}end\n\ncharge 1\n"
    path = _water(tmp_path, "in.nwi", text)
    with pytest.raises(InputError, match=r"`charge` must be given.*give --charge"):
        read_structure(path)
    with pytest.raises(InputError, match=r"`multiplicity` must be given.*give --multiplicity"):
        read_structure(path, charge=1)
    assert read_structure(path, charge=1, multiplicity=2)[0].state == "charge +1, multiplicity 2"


def test_a_spin_is_told_by_the_number_of_electrons() -> None:
    for spin, electrons, multiplicity in [(1.5, 9, 4), (2, 9, 2), (1, 9, 2), (0, 10, 1)]:
        said = in_comment(f"spin={spin}")
        molecule = said.molecule((electrons,), source="x")
        assert molecule.multiplicity == multiplicity
