"""Reading structures: what comes back, and one clear sentence for everything that is wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule as ase_molecule
from hypothesis import given
from hypothesis import strategies as st

from afir.errors import InputError
from afir.io.structures import check_positions, read_structure, write_xyz
from afir.molecule import Molecule

WATER = "3\n\nO 0.0 0.0 0.12\nH 0.0 0.76 -0.48\nH 0.0 -0.76 -0.48\n"


def _file(folder: Path, text: str, name: str = "in.xyz") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_plain_xyz(tmp_path: Path) -> None:
    molecule, positions = read_structure(_file(tmp_path, WATER))
    assert molecule == Molecule((8, 1, 1), 0, 1)
    assert positions.dtype == np.float64
    np.testing.assert_allclose(positions[1], [0.0, 0.76, -0.48])


@pytest.mark.parametrize("suffix", ["xyz", "extxyz", "traj", "pdb", "sdf", "mol"])
def test_reads_what_ase_wrote(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in.{suffix}"
    if suffix in ("sdf", "mol"):
        block = "\n".join(
            f"{x:10.4f}{y:10.4f}{z:10.4f} {s:<3} 0  0  0  0  0  0  0  0  0  0  0  0"
            for s, x, y, z in [("O", 0, 0, 0.12), ("H", 0, 0.76, -0.48), ("H", 0, -0.76, -0.48)]
        )
        path.write_text(f"water\n x\n\n  3  0  0  0  0  0  0  0  0  0999 V2000\n{block}\nM  END\n")
    else:
        ase.io.write(path, ase_molecule("H2O"))
    molecule, positions = read_structure(path)
    assert molecule.formula == "H2O"
    assert positions.shape == (3, 3)


def test_last_frame_is_taken_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    second = WATER.replace("0.12", "0.13")
    path = _file(tmp_path, WATER + second)
    with caplog.at_level(logging.WARNING):
        _, positions = read_structure(path)
    assert positions[0, 2] == pytest.approx(0.13)
    assert "2 structures; the last one is used: save another in a file of its own" in caplog.text


def test_periodic_cell_is_ignored_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    atoms = ase_molecule("H2O")
    atoms.set_cell([9, 9, 9])
    atoms.pbc = True
    ase.io.write(tmp_path / "in.traj", atoms)
    with caplog.at_level(logging.WARNING):
        read_structure(tmp_path / "in.traj")
    assert "cell is ignored" in caplog.text


def test_state_comes_from_the_file_unless_given(tmp_path: Path) -> None:
    path = _file(tmp_path, WATER.replace("\n\n", "\ncharge=1 multiplicity=2\n", 1))
    assert read_structure(path)[0] == Molecule((8, 1, 1), 1, 2)
    assert read_structure(path, charge=0, multiplicity=1)[0] == Molecule((8, 1, 1), 0, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("hello\nworld\n", "line 1 must be the number of atoms, got 'hello'"),
        (WATER.replace("3", "5", 1), "announces 5 atoms, but 3 follow"),
        (WATER.replace("O 0.0", "Qq 0.0"), "line 3 must start with an element symbol, got 'Qq'"),
        (WATER.replace("O 0.0", "C1 0.0"), "line 3 must start with an element symbol, got 'C1'"),
        (WATER.replace("O 0.0", "X 0.0"), "atom 0 must be an element, got 'X'"),
        (WATER.replace("0.12", "zero"), "line 3 must hold three coordinates in Å, got 'zero'"),
        (WATER.replace(" 0.12", ""), "line 3 must be an element and three coordinates"),
        (WATER.replace("0.12", "nan"), "must be finite numbers"),
        (WATER.replace("0.12", "inf"), "must be finite numbers"),
        ("0\n\n", "holds no atoms"),
        (WATER.replace("\n\n", "\ncharge=half\n", 1), "`charge` must be a whole number"),
        (WATER.replace("\n\n", "\nmultiplicity=2\n", 1), "`multiplicity` must be odd"),
        ("\x00\x01\x02", "must be a text file, but its content is binary"),
        (WATER.replace("0.76 -0.48", "0.0 0.22", 1), "atoms 0 (O) and 1 (H) are 0.100 Å apart"),
        (WATER.replace("-0.76", "0.77", 1), "atoms 1 (H) and 2 (H) are 0.010 Å apart"),
    ],
)
def test_bad_files_give_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_structure(_file(tmp_path, text))
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert len(message) < 300


def test_other_formats_give_one_sentence_too(tmp_path: Path) -> None:
    for name in ("in.foo", "in.pdb", "in.cif", "in.traj", "in.mol"):
        with pytest.raises(InputError, match=r"in\.") as caught:
            read_structure(_file(tmp_path, "junk\nmore junk\n", name))
        assert "\n" not in str(caught.value)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_structure(tmp_path / "nothing.xyz")
    with pytest.raises(InputError, match="is a directory"):
        read_structure(tmp_path)


@pytest.mark.parametrize(("charge", "multiplicity"), [(0, 2), (1, 1), (-1, 3), (0, 0), (11, 1)])
def test_impossible_states(tmp_path: Path, charge: int, multiplicity: int) -> None:
    with pytest.raises(InputError, match="must"):
        read_structure(_file(tmp_path, WATER), charge=charge, multiplicity=multiplicity)


@given(distance=st.floats(0.0, 3.0))
def test_overlap_is_told_by_distance(distance: float) -> None:
    carbons = Molecule((6, 6))
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]])
    if distance < 0.3 * 1.5:  # two Pyykkö radii of 0.75 Å
        with pytest.raises(InputError, match=r"atoms 0 \(C\) and 1 \(C\)"):
            check_positions(carbons, positions, source="x")
    else:
        check_positions(carbons, positions, source="x")


def test_a_lone_atom_is_a_structure(tmp_path: Path) -> None:
    molecule, positions = read_structure(_file(tmp_path, "1\n\nHe 0 0 0\n"))
    assert molecule.n_atoms == 1
    assert positions.shape == (1, 3)


def test_written_structures_come_back(tmp_path: Path) -> None:
    molecule = Molecule((8, 1, 1), 1, 2)
    frames = np.random.default_rng(0).normal(size=(3, 3, 3)) * 3
    path = tmp_path / "out.xyz"
    energies = [-100.25, -99.5, -101.0 - 1e-12]
    labels = [{"id": f"EQ{i}", "kind": "EQ"} for i in range(3)]
    write_xyz(path, molecule, frames, energies=energies, labels=labels)

    back = ase.io.read(path, index=":")
    assert [atoms.get_potential_energy() for atoms in back] == energies
    assert [atoms.info["id"] for atoms in back] == ["EQ0", "EQ1", "EQ2"]
    np.testing.assert_allclose([atoms.positions for atoms in back], frames, atol=1e-10)
    again, positions = read_structure(path)
    assert again == molecule
    np.testing.assert_allclose(positions, frames[-1], atol=1e-10)


def test_an_existing_file_is_never_replaced_unasked(tmp_path: Path) -> None:
    molecule = Molecule((2,))
    path = _file(tmp_path, "precious")
    with pytest.raises(InputError, match="exists already"):
        write_xyz(path, molecule, np.zeros((1, 1, 3)))
    assert path.read_text() == "precious"
    write_xyz(path, molecule, np.zeros((1, 1, 3)), overwrite=True)
    assert path.read_text().startswith("1\n")
