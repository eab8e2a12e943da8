"""A network drawn by hand, for tests of what is done with networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from minima import made_eq
from offered import pushed

from afir.molecule import Molecule
from afir.searches.settings import StepSettings
from afir.stationary import Outcome
from afir.units import HARTREE, KJ_PER_MOL
from networks.graph.network import ReactionNetwork
from networks.records.runs import Complete, RunSummary, StoppedBy
from networks.records.structures import COMPLEX, DC, EQ, TS
from networks.records.trials import Absorbed, Trial
from networks.reporting.run import Run
from networks.settings import Settings
from networks.storage.run_file import RunFile

FORMALDEHYDE = Molecule((6, 8, 1, 1))
ZERO = -7.175648095 * HARTREE

_CENTRE = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [-0.6, 0.9, 0.0], [-0.6, -0.9, 0.0]])
_APART = np.array([[0.0, 0.0, 0.0], [1.1, 0.0, 0.0], [0.0, 6.0, 0.0], [0.7, 6.0, 0.0]])


def _positions(number: int) -> np.ndarray:
    return _CENTRE + 0.05 * np.random.default_rng(number).normal(size=_CENTRE.shape)


def eq(number: int, height: float, *flags: str) -> EQ:
    """An EQ so many kJ/mol above the lowest."""
    near = _APART - [0, 3.0, 0] * np.array([[0], [0], [1], [1]])
    x = near if flags else _positions(number)
    return made_eq(number, x, ZERO + height * KJ_PER_MOL, *flags)


def ts(number: int, height: float, first: str, second: str) -> TS:
    """A TS so many kJ/mol above the lowest EQ."""
    return TS(
        id=f"TS{number}",
        positions=_positions(100 + number),
        energy=ZERO + height * KJ_PER_MOL,
        gradient_max=1e-4,
        wavenumbers=np.array([-1000.0 - number, 500.0, 900.0, 1000.0, 2000.0, 3000.0]),
        mode=np.full((4, 3), 12**-0.5),
        hessian=np.eye(12),
        order=1,
        ends=(first, second),
        proof={
            "negative_eigenvalues": 1,
            "imaginary_cm1": 1000.0 + number,
            "gradient_max": 1e-4,
            "irc": "monotone",
            "ends": ["converged", "converged"],
        },
        irc_positions=np.array([_CENTRE, _positions(100 + number), _CENTRE]),
        irc_energies=np.array([ZERO, ZERO + height * KJ_PER_MOL, ZERO]),
    )


def exchanging(loop: TS) -> TS:
    """The same, a loop over which a bond changes: one hydrogen goes to the oxygen."""
    path = loop.irc_positions.copy()
    path[-1, 2] = path[-1, 1] + [0.9, 0.3, 0.0]
    return replace(loop, irc_positions=path)


def dc(number: int, height: float, origin: str, *, no_ts_known: bool = True) -> DC:
    """A DC so many kJ/mol above the lowest EQ."""
    return DC(
        id=f"DC{number}",
        positions=_APART,
        energy=ZERO + height * KJ_PER_MOL,
        fragments=("CO", "H2"),
        no_ts_known=no_ts_known,
        origin=origin,
    )


def network_of(records: Sequence[EQ | TS | DC]) -> ReactionNetwork:
    """A network of these records, ends before what they connect."""
    network = ReactionNetwork(FORMALDEHYDE)
    for record in records:
        network.insert(record)
    return network


def records() -> list[EQ | TS | DC]:
    """Formaldehyde, roughly: a loop, parallel edges, a complex and two kinds of channels."""
    return [
        eq(0, 0.0),
        eq(1, 216.5),
        eq(2, 208.6),
        eq(3, 179.6, COMPLEX),
        dc(0, 181.0, "EQ0", no_ts_known=False),
        dc(1, 390.0, "EQ2"),
        ts(0, 384.8, "EQ0", "EQ1"),
        ts(1, 324.5, "EQ2", "EQ1"),
        ts(2, 305.6, "EQ0", "DC0"),
        ts(3, 470.0, "EQ3", "EQ2"),
        ts(4, 492.1, "EQ3", "EQ2"),
        ts(5, 650.0, "EQ0", "EQ0"),
    ]


SETTINGS = Settings(seed=7, max_trials=30, step=StepSettings(gamma=900.0))


def drawn_run(
    stopped: StoppedBy = StoppedBy.TRIALS, found: Sequence[EQ | TS | DC] | None = None
) -> Run:
    """A run with this network in it."""
    summary = RunSummary(
        trials={Outcome.FOUND: 9, Outcome.NO_BARRIER: 21},
        rejected={Outcome.WRONG_ORDER: 2},
        gradients={"push": 1200, "saddle": 300, "irc": 500},
        seconds=12.5,
        cpu_seconds=24.0,
        complete=Complete(stopped is not StoppedBy.NOTHING_LEFT, stopped),
    )
    network = network_of(records() if found is None else found)
    return Run(FORMALDEHYDE, SETTINGS, network, summary)


def write_run(path: Path, stopped: StoppedBy = StoppedBy.TRIALS, job: str = "") -> Path:
    """A run file with the same network in it, and one trial."""
    found = records()
    trial = Trial(
        number=1,
        known=0,
        eq="EQ0",
        push=0,
        method="sc-afir",
        offer=pushed(2, 3).data,
        seed=(7, 3, 1),
        outcome=Outcome.FOUND,
        crossed=True,
        gradients={"push": 40, "saddle": 20},
        cpu_seconds=0.1,
        found=("TS0",),
        pushes_left=0,
    )
    with RunFile.create(path, FORMALDEHYDE, _CENTRE, SETTINGS, job) as store:
        store.absorb(
            Absorbed(
                stage=0,
                eqs=tuple(x for x in found if isinstance(x, EQ)),
                tss=tuple(x for x in found if isinstance(x, TS)),
                dcs=tuple(x for x in found if isinstance(x, DC)),
                trial=trial,
                gradients={"hessian": 13},
                cpu_seconds=0.2,
            ),
            seconds=1.5,
            checked=0,
            seen_from=1,
        )
        store.stopped(Complete(stopped is not StoppedBy.NOTHING_LEFT, stopped), 1.5)
    return path
