"""What a policy promises of molecules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from minima import made_eq

from afir.errors import AfirError
from afir.molecule import Molecule
from networks.policies.base import load_policy
from networks.reporting.molecules import promise_of, ranked

WATER = Molecule((8, 1, 1))
BENT = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


class Silent:
    """A policy that expects nothing."""

    def propose(self, *_: object) -> list[object]:
        return []


def test_a_policy_that_expects_nothing_promises_nothing() -> None:
    minimum = made_eq(0, BENT, 0.0)
    with pytest.raises(AfirError, match="the policy silent expects nothing of it"):
        promise_of(Path("h2o.xyz"), WATER, minimum, ("silent", Silent()))  # type: ignore[arg-type]


def test_molecules_far_from_the_training_come_last() -> None:
    minimum = made_eq(0, BENT, 0.0)
    told = promise_of(Path("h2o.xyz"), WATER, minimum, ("learned", load_policy("learned")))
    assert 0 < told.counted <= told.offers
    assert told.tss_per_1000 == pytest.approx(1000.0 * told.tss / told.gradients)
    told = replace(told, distance=0.0)
    richer = replace(told, file="metal.xyz", distance=1.5, tss_per_1000=2.0 * told.tss_per_1000)
    poorer = replace(told, file="poor.xyz", tss_per_1000=0.5 * told.tss_per_1000)
    assert ranked([richer, poorer, told]) == [told, poorer, richer]
