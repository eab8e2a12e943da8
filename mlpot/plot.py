"""Plots of the errors of a potential: parity plots, and error against spread.

With `networks.reporting.energy_diagram` the only module that imports matplotlib.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from afir.io.printable import printable
from afir.units import KJ_PER_MOL
from mlpot.dataset import Dataset
from mlpot.neural.calibration import atom_errors
from mlpot.neural.potential import Potential

_COLOURS = ("#1f4e79", "#d9730d", "#3d8bc4", "#b03a3a", "#6b6b6b", "#2e7d4f")


def error_figure(potential: Potential, data: Dataset) -> Figure:
    """Parity plots of energies and gradients; with a committee also error against spread.

    Parameters
    ----------
    potential
        The potential.
    data
        Labelled frames with the base surface subtracted.
    """
    said = potential.predict(data.molecule, data.positions)
    committee = len(potential) > 1
    figure = Figure(figsize=(4.2 * (2 + committee), 4.0), layout="constrained")
    axes = [figure.add_subplot(1, 2 + committee, index + 1) for index in range(2 + committee)]
    zero = float(data.energies.min())
    above = f" above {potential.description.base}" if potential.description.base else ""
    _parity(
        axes[0],
        (data.energies - zero) / KJ_PER_MOL,
        (said.energies - zero) / KJ_PER_MOL,
        f"energy{above} / kJ mol⁻¹",
        data.stages,
    )
    rows = len(data)
    _parity(
        axes[1],
        data.gradients.reshape(rows, -1),
        said.gradients.reshape(rows, -1),
        f"gradient{above} / eV Å⁻¹",
        data.stages,
    )
    if committee:
        about = potential.description
        spread = about.calibration * said.gradient_spread.max(axis=1)
        wrong = atom_errors(said, data).max(axis=1)
        _by_stage(axes[2], spread, wrong, data.stages)
        ends = np.array([min(spread.min(), wrong.min()), max(spread.max(), wrong.max())])
        axes[2].plot(ends, ends, color="#6b6b6b", linewidth=0.8)
        if np.isfinite(about.limit):
            axes[2].axvline(about.limit, color="#b03a3a", linewidth=0.8, linestyle="--")
        axes[2].set(
            xscale="log",
            yscale="log",
            xlabel="largest spread / eV Å⁻¹",
            ylabel="largest error / eV Å⁻¹",
        )
    for text in axes[0].legend(frameon=False, fontsize=7).get_texts():
        text.set_parse_math(False)  # names of stages are those of a file
    return figure


def _parity(
    axes: Axes,
    labels: NDArray[np.float64],
    said: NDArray[np.float64],
    what: str,
    stages: tuple[str, ...],
) -> None:
    _by_stage(axes, labels, said, stages)
    ends = np.array([labels.min(), labels.max()])
    axes.plot(ends, ends, color="#6b6b6b", linewidth=0.8)
    axes.set(xlabel=f"{what}, label", ylabel=f"{what}, potential")


def _by_stage(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], stages: tuple[str, ...]
) -> None:
    """Plot points in one colour a stage; each row of x and y is one frame."""
    for index, stage in enumerate(sorted(set(stages))):
        chosen = np.array([name == stage for name in stages])
        colour = _COLOURS[index % len(_COLOURS)]
        axes.plot(
            x[chosen].ravel(),
            y[chosen].ravel(),
            ".",
            color=colour,
            markersize=2.5,
            label=printable(stage or "unknown"),
        )
