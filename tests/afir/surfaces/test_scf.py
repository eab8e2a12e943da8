"""The SCF of tblite: what is remembered of a search, and what is tried when one fails."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tblite.exceptions import TBLiteRuntimeError

import afir.surfaces.tblite as tblite_module
from afir.errors import InputError
from afir.molecule import Molecule, Positions
from afir.pes.loading import load_surface
from afir.surfaces.tblite import TBLiteSurface, gfn2

H2CO = Molecule((6, 8, 1, 1))
PLANAR = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.2], [0.94, 0.0, -0.59], [-0.94, 0.0, -0.59]])


class Owner:
    """Something that can own geometries."""


def distorted(positions: Positions, count: int, seed: int = 0) -> Positions:
    rng = np.random.default_rng(seed)
    return positions + rng.normal(scale=0.05, size=(count, *positions.shape))


# The memory of the SCF


def memory_of(surface: TBLiteSurface, owner: object) -> Any:
    return surface._memory.recall(owner)


def test_an_owner_is_remembered_weakly() -> None:
    surface, owner = gfn2(H2CO), Owner()
    surface.evaluate(PLANAR[None])
    assert memory_of(surface, owner) is None
    surface.evaluate(PLANAR[None], [owner])
    first = memory_of(surface, owner)
    assert first is not None
    surface.evaluate(PLANAR[None] * 1.01, [owner])
    assert memory_of(surface, owner) is first  # updated in place
    assert len(surface._memory._states) == 1
    del owner
    gc.collect()
    assert len(surface._memory._states) == 0


def test_several_geometries_of_one_owner_leave_its_memory_alone() -> None:
    surface, owner, other = gfn2(H2CO), Owner(), Owner()
    batch = distorted(PLANAR, 3)
    surface.evaluate(batch, [owner, owner, other])
    assert memory_of(surface, owner) is None
    assert memory_of(surface, other) is not None
    surface.evaluate(PLANAR[None], [owner])
    kept = memory_of(surface, owner)
    before = surface._engine.read(kept)[0]
    answer = surface.evaluate(batch, [owner] * 3)
    assert memory_of(surface, owner) is kept
    assert surface._engine.read(kept)[0] == before
    reverse = surface.evaluate(batch[::-1], [owner] * 3)
    assert np.array_equal(answer.energies, reverse.energies[::-1])


def test_a_failure_makes_the_owner_forgotten() -> None:
    surface, owner = gfn2(H2CO), Owner()
    surface.evaluate(PLANAR[None], [owner])
    surface.evaluate(np.zeros((1, 4, 3)), [owner])
    assert memory_of(surface, owner) is None


@pytest.mark.parametrize("name", ["gfn2", "ase:ase.calculators.emt.EMT"])
def test_owners_must_fit_the_batch(name: str) -> None:
    surface = load_surface(name, H2CO)
    with pytest.raises(InputError, match="`owners` must name 1 owners"):
        surface.evaluate(PLANAR[None], [])
    with pytest.raises(InputError, match=r"`owners` must hold objects .* got int"):
        surface.evaluate(PLANAR[None], [7])
    assert np.isfinite(surface.evaluate(PLANAR[None], [None]).energies).all()


# Difficult SCFs


def failing(surface: TBLiteSurface, times: int) -> list[int]:
    """Let the next `times` SCFs of a surface fail; returns a list that counts the calls."""
    engine = surface._engine
    converge: Callable[[Any], None] = engine.converge
    calls: list[int] = []

    def unreliable(result: Any) -> None:
        calls.append(1)
        converge(result)  # leaves something behind, as a failed SCF does
        if len(calls) <= times:
            raise TBLiteRuntimeError("SCF not converged in 250 cycles")

    engine.converge = unreliable  # type: ignore[method-assign]
    return calls


@pytest.mark.parametrize("times", [0, 1, 2, 3])
@pytest.mark.parametrize("remembered", [False, True])
def test_a_failed_scf_is_tried_again(times: int, remembered: bool) -> None:
    surface, owner = gfn2(H2CO), Owner()
    expected = gfn2(H2CO).evaluate(PLANAR[None])
    if remembered:
        surface.evaluate(1.02 * PLANAR[None], [owner])
    calls = failing(surface, times)
    answer = surface.evaluate(PLANAR[None], [owner])
    # Fresh, patient, annealed; what was remembered is one try more.
    if times == 3 and not remembered:
        assert "SCF not converged" in str(answer.failures[0])
        assert memory_of(surface, owner) is None
    else:
        assert not answer.failures
        assert answer.energies == pytest.approx(expected.energies, abs=1e-6)
        assert memory_of(surface, owner) is not None
        assert len(calls) > times
    again = surface.evaluate(PLANAR[None])
    assert again.energies == pytest.approx(expected.energies, abs=1e-9)


def test_the_retries_are_real(monkeypatch: pytest.MonkeyPatch) -> None:
    surface = gfn2(H2CO)
    expected = surface.evaluate(PLANAR[None])
    monkeypatch.setattr(tblite_module, "_USUAL", (10, 2))
    impatient = gfn2(H2CO)
    with_patience = impatient.evaluate(PLANAR[None])
    assert with_patience.energies == pytest.approx(expected.energies, abs=1e-8)
    monkeypatch.setattr(tblite_module, "_PATIENT", (10, 2))
    hopeless = impatient.evaluate(np.concatenate([PLANAR[None], PLANAR[None]]))
    assert sorted(hopeless.failures) == [0, 1]
    assert "SCF not converged in 2 cycles" in str(hopeless.failures[0])
    monkeypatch.undo()
    impatient._engine.set_mixer(*tblite_module._USUAL)
    assert impatient.evaluate(PLANAR[None]).energies == pytest.approx(expected.energies, abs=1e-9)


def test_an_interrupt_is_not_taken_for_a_failed_scf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in an SCF that is about to fail, before anyone has looked at its error."""
    surface = gfn2(H2CO)
    known = surface.evaluate(PLANAR[None]).energies[0]
    engine = surface._engine
    library = tblite_module.library
    unchecked = library.lib.tblite_get_singlepoint
    context = engine._context[0] if isinstance(engine._context, tuple) else engine._context
    calls = []

    def converge(result: Any) -> None:
        calls.append(result)
        unchecked(context, engine._structure, engine._calculator, result)
        if len(calls) > 1:
            raise KeyboardInterrupt
        library.context_check(lambda ctx: None)(context)

    monkeypatch.setattr(tblite_module, "_PATIENT", (10, 2))
    engine.set_mixer(10, 2)
    monkeypatch.setattr(engine, "converge", converge)
    with pytest.raises(KeyboardInterrupt):
        surface.evaluate(PLANAR[None])
    assert len(calls) == 2
    monkeypatch.undo()
    assert surface.evaluate(PLANAR[None]).energies[0] == pytest.approx(known, abs=1e-6)
