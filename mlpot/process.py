"""A Gaussian process as a correction of a surface, from few labels of a small molecule.

It is invariant to permutations of like atoms and fits every label. Some hundred labels correct a
surface around all examined structures, also complexes a few kJ/mol deep, and leave it unchanged
elsewhere. Its matrix grows with the labels times the atoms, and its cost with the permutations, so
it is for small molecules; networks (`mlpot.neural.potential`) are for all others.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from math import factorial, prod
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from afir.errors import InputError
from afir.geometry.superposition import far_apart
from afir.molecule import Molecule, Positions
from afir.pes.gaussian_process import GaussianProcess
from afir.pes.named import Named, base_named, load_base
from afir.pes.surface import Evaluation, Surface, Traits, traits_of
from afir.surfaces.series import added, as_batch, at_once
from mlpot.dataset import Dataset
from mlpot.packages import check_file, is_plain_archive

FORMAT = "afir process 1"
"""First entry of every file; another number is another layout."""

MOST_EXCHANGES = 24
"""Largest number of permutations of the like atoms of a molecule: those of CH4. Each makes a
prediction dearer."""

MOST_NUMBERS = 4000
"""Largest number of energies and gradient components in a fit, which take 15 s."""

# With 1 Å⁻¹, as for total energies, errors on held-out tasks are the same, but σ is three times as
# large, and so is the spurious correction far from all labels.
_LENGTH = 0.5
# Of energies and gradients, times some 3 eV: labels are followed to 0.3 meV and 1 meV/Å. Chosen.
_NOISE = (1e-4, 3e-4)
# Å⁻¹: geometries that differ less, in any inverse distance, are one: two of them would make the
# matrix singular but for the noise.
_TWIN = 1e-5


def exchanges(molecule: Molecule) -> NDArray[np.intp]:
    """All (g, n) permutations of the like atoms."""
    numbers = np.array(molecule.numbers)
    kinds = [np.flatnonzero(numbers == z) for z in dict.fromkeys(molecule.numbers)]
    result = []
    for chosen in product(*(permutations(kind) for kind in kinds)):
        order = np.arange(len(numbers))
        for kind, places in zip(kinds, chosen, strict=True):
            order[kind] = places
        result.append(order)
    return np.array(result, dtype=np.intp)


def suits(molecule: Molecule) -> bool:
    """Whether a molecule is small enough for a Gaussian process."""
    counts = Counter(molecule.numbers).values()
    most = max(counts)  # a factorial of millions takes minutes
    return most <= MOST_EXCHANGES and prod(map(factorial, counts)) <= MOST_EXCHANGES


@dataclass(frozen=True, eq=False)
class Correction:
    """Labels of a difference between two surfaces.

    Attributes
    ----------
    base, base_options
        The surface that is corrected.
    data
        Geometries with the difference of the energies and gradients.
    """

    base: str
    base_options: Mapping[str, Any]
    data: Dataset

    def process(self) -> GaussianProcess:
        """The Gaussian process that follows these labels."""
        data = self.data
        # The same number of threads everywhere: the last digits of a factor depend on it.
        with threadpool_limits(limits=1):
            return GaussianProcess(
                data.positions,
                data.energies,
                data.gradients,
                mean=float(np.median(data.energies)),
                exchanges=exchanges(data.molecule),
                length=_LENGTH,
                noise=_NOISE,
            )

    def save(self, path: Path) -> None:
        """Write them to a file, which holds numbers and text and no code.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        data = self.data
        about = json.dumps(
            {
                "format": FORMAT,
                "base": self.base,
                "base_options": dict(self.base_options),
                "numbers": list(data.molecule.numbers),
                "charge": data.molecule.charge,
                "multiplicity": data.molecule.multiplicity,
                "target": data.surface,
            },
            sort_keys=True,
        )
        arrays = (data.positions, data.energies, data.gradients)
        try:
            with path.open("wb") as stream:
                np.savez(
                    stream,
                    about=np.array(about),
                    positions=data.positions,
                    energies=data.energies,
                    gradients=data.gradients,
                    digest=np.array(digest(about, arrays)),
                )
        except OSError as error:
            raise InputError(f"`{path}` must be a file that can be written: {error}") from error


def load_correction(path: Path) -> Correction:
    """Read a correction from its file (`Correction.save`). No code in the file is ever run.

    Raises
    ------
    InputError
        If the file does not exist, is not a correction, or was changed since it was written.
    """
    check_file(path)
    if not is_plain_archive(path):  # as numpy writes arrays that have names
        raise InputError(
            f"{path} must be a correction by a Gaussian process, as a run that learns leaves it"
        )
    try:
        with np.load(path, allow_pickle=False) as content:
            about = str(content["about"])
            arrays = tuple(content[name] for name in ("positions", "energies", "gradients"))
            known = str(content["digest"])
        what = json.loads(about)
        if what["format"] != FORMAT:
            raise ValueError(f"its format is {what['format']}, not {FORMAT}")
        molecule = Molecule(tuple(what["numbers"]), what["charge"], what["multiplicity"])
        positions, energies, gradients = arrays
        if not suits(molecule):
            raise ValueError(f"it is of {molecule.formula}, which has too many like atoms for one")
        count = len(energies)
        shape = (count, molecule.n_atoms, 3)
        shapes = [array.shape for array in arrays]
        if not count or shapes != [shape, (count,), shape]:
            raise ValueError(f"its arrays must be {shape}, ({count},) and {shape}, got {shapes}")
        if any(array.dtype != np.float64 for array in arrays):
            raise ValueError("its arrays must hold numbers of double precision")
        if energies.size + gradients.size > MOST_NUMBERS:
            raise ValueError(f"it must hold {MOST_NUMBERS} energies and derivatives at most")
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("its numbers must be finite")
        nothing = ("",) * count
        data = Dataset(
            molecule, positions, energies, gradients, nothing, nothing, str(what["target"])
        )
        result = Correction(str(what["base"]), dict(what["base_options"]), data)
    except KeyError as error:
        raise InputError(
            f"{path} must be a correction by a Gaussian process, as a run that learns leaves it; a "
            "potential that `afir train` wrote is learned: or delta:"
        ) from error
    # A foreign file may break the reader in any way.
    except Exception as error:
        raise InputError(
            f"{path} must be a correction by a Gaussian process: {type(error).__name__}: {error}"
        ) from error
    if known != digest(about, arrays):
        raise InputError(f"{path} must be unchanged, its checksum is wrong; make it again")
    return result


def digest(about: str, arrays: Sequence[NDArray[np.float64]]) -> str:
    """A checksum of all parts of a correction."""
    result = hashlib.sha256(about.encode())
    for array in arrays:
        result.update(f"{array.dtype} {array.shape}".encode())
        result.update(np.ascontiguousarray(array).tobytes())
    return result.hexdigest()


def apart(data: Dataset) -> Dataset:
    """The frames without duplicates; of too many the most different ones.

    The last of duplicate frames is kept. If more are left than `MOST_NUMBERS` allows, they are
    chosen by farthest-point sampling over inverse distances.
    """
    one, other = np.triu_indices(data.molecule.n_atoms, 1)
    marks = 1.0 / np.linalg.norm(data.positions[:, one] - data.positions[:, other], axis=2)
    most = max(1, MOST_NUMBERS // (1 + data.positions[0].size))
    last = len(data) - 1
    chosen = [last - index for index in far_apart(marks[::-1], 0, most, nearest=_TWIN)]
    return data.part(sorted(chosen))


def gaussian(
    molecule: Molecule,
    *,
    argument: str,
    base: str = "",
    base_options: dict[str, Any] | None = None,
) -> GaussianSurface:
    """A cheap surface plus a Gaussian process of its difference from a better level of theory.

    Parameters
    ----------
    molecule
        The molecule.
    argument
        File of the correction, written by a run with ``--learn``: what follows the colon of
        ``gaussian:MODEL``.
    base
        The base surface, which the file names; required if that runs code from outside.
    base_options
        Its options, in JSON.

    Raises
    ------
    InputError
        If the file is not a correction or does not fit the molecule, or the base surface runs code
        from outside and is not named.
    """
    correction = load_correction(Path(argument))
    known = correction.data.molecule
    if molecule != known:
        raise InputError(
            f"the correction {argument} must be one of {molecule.name} with its atoms in this "
            f"order, it is one of {known.name}"
        )
    below = load_base(
        Named(correction.base, correction.base_options),
        base_named({"base": base, "base_options": base_options}),
        molecule,
        where=argument,
    )
    return GaussianSurface(below, correction.process())


@final
class GaussianSurface:
    """A surface with a Gaussian process added.

    Its traits are those of the surface below, with two exceptions. It has no base: structures are
    better refined on this surface, which is smooth and fits all labels, than on one below. And its
    searches run one after the other: sums over a batch differ in their last bits with its members,
    and so would the networks found.

    Parameters
    ----------
    below
        The surface.
    process
        The Gaussian process.
    """

    def __init__(self, below: Surface, process: GaussianProcess) -> None:
        self._below = below
        self._process = process
        self._paths: GaussianSurface | None = None

    @property
    def molecule(self) -> Molecule:
        """The molecule this surface belongs to."""
        return self._below.molecule

    @property
    def traits(self) -> Traits:
        """Those of the surface below, without base and batches."""
        return replace(traits_of(self._below), batch=1, base=None)

    def for_paths(self) -> GaussianSurface:
        """The same correction of the surface for paths."""
        if self._paths is None:
            below = self._below.for_paths()
            same = below is self._below
            self._paths = self if same else GaussianSurface(below, self._process)
            self._paths._paths = self._paths
        return self._paths

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        """The `Evaluation` of geometries (k, n, 3) in Å; see `afir.pes.surface.Surface`."""
        batch = as_batch(self.molecule, positions)

        def predict(good: NDArray[np.intp]) -> tuple[NDArray[np.float64], Positions]:
            said = self._process.predict(batch[good])
            return said.energies, said.gradients

        return added(at_once(batch, predict), self._below.evaluate(batch, owners))
