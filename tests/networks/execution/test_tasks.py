"""Tasks on the bench: what is doubted, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from runs import HCN, HCN_START

from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.searches.hessian import hessian
from afir.stationary import Candidate, Outcome
from afir.verification.minima import characterise
from networks.execution.context import Bench
from networks.execution.tasks import Characterise, Confirm

SADDLE = np.array([[0.717, 0.0, 0.107], [-0.183, 0.0, -0.628], [-0.535, 0.0, 0.522]])


def test_what_a_learned_surface_makes_up_is_doubted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is learned, and the path of a proven transition state does not lead there."""
    monkeypatch.setattr("networks.execution.context._STEEPEST", 1e-3)
    monkeypatch.setattr("afir.multilevel.trust._LESS", 0.0)
    surface = load_surface("gfn1", HCN)
    start = solve(characterise(HCN, HCN_START), surface)
    top = solve(hessian(HCN, SADDLE), surface)
    tasks = {
        "saddle": Confirm(Candidate(SADDLE, top.energy, top.hessian, "")),
        "minimum": Characterise(start.positions, start.hessian),
        "end": Characterise(start.positions, start.hessian, is_end=True),
    }
    for learned in (True, False):
        bench = Bench(HCN, "gfn1", reference="gfn2", learned=learned)
        perform = bench.open()
        said = {name: perform(task) for name, task in tasks.items()}
        asked = {name: answer.gradients["reference refine"] for name, answer in said.items()}
        doubted = {name for name, answer in said.items() if answer.outcome is Outcome.DOUBTED}
        assert doubted == ({"saddle", "minimum"} if learned else set())
        assert (asked["saddle"] == 1) == learned
        assert (asked["minimum"] == 2) == learned
