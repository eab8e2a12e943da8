"""A trained potential: its networks, their description, and the file of both."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from afir.errors import InputError
from afir.molecule import Molecule, Positions
from mlpot.neural.architecture import Architecture
from mlpot.neural.model import Committee
from mlpot.packages import check_file, is_plain_archive

FORMAT = "afir potential 1"
"""First entry of every file; another number is another layout."""

_FORMULA = re.compile(r"([A-Z][a-z]?[0-9]*)+")


@dataclass(frozen=True)
class Description:
    """The description of a potential, stored beside the weights as JSON.

    Attributes
    ----------
    architecture
        The architecture of each network.
    references
        Atomic reference energies in eV by atomic number, added to the output of the networks.
    scale
        eV per unit of the network output.
    base, base_options
        The base surface, whose energy is added (Δ-learning), or "" for none.
    target
        Level of theory of the labels.
    formulas
        Formulas of the molecules in the training set; empty if unknown.
    charge, multiplicity
        Charge and multiplicity of these molecules.
    calibration
        Calibration factor: expected error over the spread of the networks.
    limit
        Largest calibrated spread of the gradient on an atom, in eV/Å, of a trusted geometry.
    notes
        Notes on the training: counts, seeds, errors.
    """

    architecture: Architecture
    references: Mapping[int, float]
    scale: float = 1.0
    base: str = ""
    base_options: Mapping[str, Any] = field(default_factory=dict)
    target: str = ""
    formulas: tuple[str, ...] = ()
    charge: int = 0
    multiplicity: int = 1
    calibration: float = 1.0
    limit: float = float("inf")
    notes: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """JSON text; `from_json` reads it back."""
        return json.dumps(
            {
                "architecture": self.architecture.to_dict(),
                "references": {str(z): energy for z, energy in sorted(self.references.items())},
                "scale": self.scale,
                "base": self.base,
                "base_options": dict(self.base_options),
                "target": self.target,
                "formulas": list(self.formulas),
                "charge": self.charge,
                "multiplicity": self.multiplicity,
                "calibration": self.calibration,
                "limit": None if np.isinf(self.limit) else self.limit,
                "notes": dict(self.notes),
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Description:
        """Read what `to_json` writes.

        Raises
        ------
        InputError
            If the text is not such a description.
        """
        try:
            data = dict(json.loads(text))
            data["architecture"] = Architecture.from_dict(data["architecture"])
            data["references"] = {int(z): float(e) for z, e in data["references"].items()}
            data["formulas"] = tuple(data.get("formulas", ()))
            if data["limit"] is None:
                data["limit"] = float("inf")
            for name in ("scale", "calibration", "limit"):
                data[name] = float(data[name])
            about = cls(**data)
            about._check()
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise InputError(f"the description must be that of a potential: {error}") from error
        return about

    def _check(self) -> None:
        """Raise TypeError or ValueError for invalid values, as a file may hold them."""
        for name in ("base", "target"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"`{name}` must be a name, got {getattr(self, name)!r}")
        for name in ("base_options", "notes"):
            if not isinstance(getattr(self, name), Mapping):
                raise TypeError(f"`{name}` must be a table, got {getattr(self, name)!r}")
        for name in ("charge", "multiplicity"):
            if type(getattr(self, name)) is not int:
                raise TypeError(f"`{name}` must be a whole number, got {getattr(self, name)!r}")
        if not all(_FORMULA.fullmatch(formula) for formula in self.formulas):
            raise ValueError(f"`formulas` must be formulas of molecules, got {self.formulas!r}")
        if not self.limit > 0.0:
            raise ValueError(f"`limit` must be a positive number, got {self.limit!r}")
        for value in (self.scale, self.calibration, *self.references.values()):
            if not math.isfinite(value):
                raise ValueError(f"its numbers must be finite, got {value!r}")


@dataclass(frozen=True)
class Prediction:
    """The prediction of a potential for a batch of k geometries of n atoms.

    Attributes
    ----------
    energies
        (k,) in eV, the mean of the networks; without the base.
    gradients
        (k, n, 3) in eV/Å.
    energy_spread
        (k,) standard deviation of the networks in eV; zero for a single one.
    gradient_spread
        (k, n) for each atom the standard deviation of its gradient in eV/Å, the root of the sum of
        the variances of its components.
    """

    energies: NDArray[np.float64]
    gradients: NDArray[np.float64]
    energy_spread: NDArray[np.float64]
    gradient_spread: NDArray[np.float64]


class Potential:
    """One or more networks (a committee) trained on the same data.

    Parameters
    ----------
    description
        Their description.
    states
        The weights of each.
    device
        The torch device to evaluate on: ``"cpu"``, ``"cuda"``.
    dtype
        ``"float32"``, the precision of the training, or ``"float64"``.

    Raises
    ------
    InputError
        If there are no networks, the weights do not fit, or the device is not available.
    """

    def __init__(
        self,
        description: Description,
        states: Sequence[Mapping[str, torch.Tensor]],
        *,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        if not states:
            raise InputError("`states` must hold the weights of at least one network, got none")
        if dtype not in ("float32", "float64"):
            raise InputError(f"`dtype` must be float32 or float64, got {dtype!r}")
        self.description = description
        self._states = [dict(state) for state in states]
        place = torch_device(device)
        try:
            self._networks = Committee(
                description.architecture, self._states, place, getattr(torch, dtype)
            )
        # Weights from a file may have anything wrong: missing names, shapes, types.
        except (RuntimeError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"the weights must fit the architecture: {reason}") from error

    @property
    def states(self) -> list[dict[str, torch.Tensor]]:
        """The weights of each network."""
        return [dict(state) for state in self._states]

    def __len__(self) -> int:
        return len(self._networks)

    def check(self, molecule: Molecule) -> None:
        """Raise InputError if the potential was not trained for the elements or state."""
        unknown = sorted(set(molecule.numbers) - set(self.description.references))
        if unknown:
            symbols = [
                s for z, s in zip(molecule.numbers, molecule.symbols, strict=True) if z in unknown
            ]
            raise InputError(
                f"the potential must have learned all elements of {molecule.formula}, "
                f"it does not know {', '.join(sorted(set(symbols)))}"
            )
        wanted = self.description.charge, self.description.multiplicity
        if (molecule.charge, molecule.multiplicity) != wanted:
            raise InputError(
                f"the potential must have learned this charge and multiplicity, it knows charge "
                f"{wanted[0]:+d} and multiplicity {wanted[1]}, got {molecule.charge:+d} and "
                f"{molecule.multiplicity}"
            )

    def predict(self, molecule: Molecule, positions: Positions) -> Prediction:
        """Energies, gradients and their spread, without the base.

        Parameters
        ----------
        molecule
            The molecule.
        positions
            (k, n, 3) in Å, finite, no two atoms on one spot.
        """
        energies, gradients = self._networks.evaluate(molecule.numbers, positions)
        scale = self.description.scale
        energies *= scale
        gradients *= scale
        return Prediction(
            energies.mean(axis=0) + self._reference(molecule),
            gradients.mean(axis=0),
            energies.std(axis=0),
            np.sqrt(gradients.var(axis=0).sum(axis=2)),
        )

    def hessians(self, molecule: Molecule, positions: Positions) -> NDArray[np.float64]:
        """Second derivatives (k, 3n, 3n) in eV/Å² at (k, n, 3) in Å, without the base."""
        return self.description.scale * self._networks.hessians(molecule.numbers, positions)

    def _reference(self, molecule: Molecule) -> float:
        return sum(self.description.references[z] for z in molecule.numbers)

    # -- the file --------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write it to a file, which holds numbers and text and no code.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        text = self.description.to_json()
        content = {
            "format": FORMAT,
            "description": text,
            "states": [{key: value.cpu() for key, value in s.items()} for s in self._states],
            "digest": digest(text, self._states),
        }
        try:
            torch.save(content, path)
        except (OSError, RuntimeError) as error:
            raise InputError(f"`{path}` must be a file that can be written: {error}") from error


def torch_device(name: str) -> torch.device:
    """A torch device by its name; InputError if it is not available."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"`device` must be available here, such as cpu, got {name!r}") from error
    return device


def load_potential(path: Path, *, device: str = "cpu", dtype: str = "float32") -> Potential:
    """Read a potential from its file. No code in it is ever run.

    Raises
    ------
    InputError
        If the file does not exist, is not a potential or was changed since it was written, or
        `device` or `dtype` is not available.
    """
    check_file(path)
    try:
        text, states, known = _parts(path)
        intact = known == digest(text, states)
    # A foreign file may break the reader in any way; weights_only runs none of its code.
    except Exception as error:
        raise InputError(
            f"{path} must be a potential of afir, as `afir train` writes it; it is something else "
            "or was cut off"
        ) from error
    if not intact:
        raise InputError(f"{path} must be unchanged, its checksum is wrong; train it again")
    try:
        about = Description.from_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Potential(about, states, device=device, dtype=dtype)


def _parts(path: Path) -> tuple[str, list[dict[str, torch.Tensor]], str]:
    """Description, weights and checksum in a file; raises any error if it holds none."""
    if not is_plain_archive(path):
        raise ValueError("it is no archive as torch writes it")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']}, not {FORMAT}")
    states = content["states"]
    # A tensor may be a view that repeats few stored numbers any number of times.
    size = sum(value.nbytes for state in states for value in state.values())
    if size > path.stat().st_size:
        raise ValueError("its weights are more than it stores")
    return content["description"], states, content["digest"]


def digest(description: str, states: Sequence[Mapping[str, torch.Tensor]]) -> str:
    """A checksum of the description and the weights."""
    result = hashlib.sha256(description.encode())
    for state in states:
        for key in sorted(state):
            value = state[key].detach().cpu().contiguous()
            result.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            result.update(value.numpy().tobytes())
    return result.hexdigest()
