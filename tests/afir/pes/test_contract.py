"""check_surface passes good surfaces and names what is wrong with deliberately broken ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pytest

from afir.errors import InputError, SurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.contract import ContractError, check_surface
from afir.pes.surface import Evaluation, Surface
from afir.surfaces.analytic import lennard_jones
from afir.units import BOHR, HARTREE

ARGON = Molecule((18,) * 4)
TETRAHEDRON = 1.2 * np.array(
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.87, 0.0], [0.5, 0.29, 0.82]]
)


def clusters() -> Positions:
    return TETRAHEDRON + np.random.default_rng(3).normal(scale=0.05, size=(2, 4, 3))


@dataclass(frozen=True)
class Broken:
    """A Lennard-Jones cluster with something wrong about it."""

    answer: Callable[[Surface, Positions, Sequence[object] | None], Evaluation]
    paths: Surface | None = None
    molecule: Molecule = ARGON

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        return self.answer(lennard_jones(ARGON), positions, owners)

    def for_paths(self) -> Surface:
        return lennard_jones(ARGON) if self.paths is None else self.paths


def good(surface: Surface, positions: Positions, owners: Sequence[object] | None) -> Evaluation:
    return surface.evaluate(positions, owners)


def times(energy: float, gradient: float) -> Callable[..., Evaluation]:
    def answer(
        surface: Surface, positions: Positions, owners: Sequence[object] | None
    ) -> Evaluation:
        right = surface.evaluate(positions)
        return replace(
            right, energies=energy * right.energies, gradients=gradient * right.gradients
        )

    return answer


def changes_input(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    positions += 0.1
    return answer


def single_precision(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    return replace(answer, energies=answer.energies.astype(np.float32))


def flat_gradients(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    return replace(answer, gradients=answer.gradients.reshape(len(positions), -1))


def no_empty_batch(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    return replace(surface.evaluate(positions), energies=np.zeros(max(1, len(positions))))


def mixes_batch(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    return replace(answer, energies=answer.energies + 0.01 * (len(positions) > 2))


def order_matters(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    return replace(answer, energies=answer.energies + 0.01 * np.arange(len(positions)))


def in_a_field(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    return replace(
        answer,
        energies=answer.energies + positions[:, :, 0].sum(axis=1),
        gradients=answer.gradients + np.array([1.0, 0.0, 0.0]),
    )


def tells_atoms_apart(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    gap = positions[:, 0] - positions[:, 1]
    gradients = answer.gradients.copy()
    gradients[:, 0] += gap
    gradients[:, 1] -= gap
    return replace(
        answer, energies=answer.energies + 0.5 * (gap**2).sum(axis=1), gradients=gradients
    )


def raises_for_the_batch(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    if answer.failures:
        raise SurfaceError("one geometry is impossible, so all are")
    return answer


def hides_failures(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    return replace(surface.evaluate(positions), failures={})


def fails_with_numbers(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    return replace(answer, energies=np.nan_to_num(answer.energies))


def always_fails(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    return surface.evaluate(np.full_like(positions, np.nan))


def memory_leaks(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    return replace(answer, energies=answer.energies + 1e-3 * (owners is not None))


def flat(surface: Surface, positions: Positions, owners: Sequence[object] | None) -> Evaluation:
    answer = surface.evaluate(positions)
    failed = np.isnan(answer.energies)
    energies = np.where(failed, np.nan, -3.0)
    return replace(answer, energies=energies, gradients=0.0 * answer.gradients)


def drifting() -> Callable[..., Evaluation]:
    """One whose energy rises a little with every call, too little to be seen in one check."""
    calls = count()

    def answer(
        surface: Surface, positions: Positions, owners: Sequence[object] | None
    ) -> Evaluation:
        right = surface.evaluate(positions)
        return replace(right, energies=right.energies + 5e-8 * next(calls))

    return answer


KEPT: list[object] = []


def keeps_owners(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    KEPT.extend(owners or ())
    return surface.evaluate(positions)


BUFFER = np.zeros(100)


def reuses_a_buffer(
    surface: Surface, positions: Positions, owners: Sequence[object] | None
) -> Evaluation:
    answer = surface.evaluate(positions)
    BUFFER[: len(positions)] = answer.energies
    return replace(answer, energies=BUFFER[: len(positions)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (times(1.0, -1.0), "forces were returned"),
        (times(1.0, 1.0 / HARTREE), "derivative in hartree/Å"),
        (times(1.0, BOHR / HARTREE), "derivative in hartree/bohr"),
        (times(1.0, BOHR), "derivative in eV/bohr"),
        (times(HARTREE, 1.0), "derivative in hartree/Å"),
        (times(1.0, 1.01), "1.01 times as long"),
        (changes_input, "changed the positions"),
        (single_precision, "must be float64"),
        (flat_gradients, "`gradients` must have the shape"),
        (no_empty_batch, "for an empty batch"),
        (mixes_batch, "being in a batch changes an energy"),
        (order_matters, "order of a batch changes an energy"),
        (in_a_field, "translation changes an energy"),
        (in_a_field, "rotation changes an energy"),
        (tells_atoms_apart, "exchange of like atoms changes an energy"),
        (raises_for_the_batch, "one geometry is impossible"),
        (hides_failures, "must be the only one in `failures`"),
        (fails_with_numbers, "must have a NaN energy"),
        (always_fails, "geometry 1 failed"),
        (memory_leaks, "an owner changes an energy"),
        (keeps_owners, "keeps an owner alive"),
        (reuses_a_buffer, "changed the arrays an earlier one returned"),
        (flat, "geometry 1 does not change when atoms move"),
        (drifting(), "asking again in the end changes an energy"),
    ],
)
def test_a_broken_surface_is_caught(answer: Callable[..., Evaluation], sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence) as caught:
        check_surface(Broken(answer), clusters(), rng=np.random.default_rng(5))
    assert caught.value.problems


def test_a_broken_surface_for_paths_is_caught() -> None:
    surface = Broken(good, paths=Broken(times(1.0, -1.0)))
    with pytest.raises(ContractError, match=r"for paths: .* forces were returned"):
        check_surface(surface, clusters(), rng=np.random.default_rng(5))
    surface = Broken(good, paths=Broken(good, molecule=Molecule((18,) * 3)))
    with pytest.raises(ContractError, match="must keep the molecule"):
        check_surface(surface, clusters(), rng=np.random.default_rng(5))


def test_a_surface_that_says_nonsense_of_itself_is_caught() -> None:
    class Boasting(Broken):
        traits = "fast"

    with pytest.raises(ContractError, match=r"`traits` .* must be a value of afir\.Traits"):
        check_surface(Boasting(good), clusters(), rng=np.random.default_rng(5))


def test_a_good_surface_passes_and_reports_how_good_it_is() -> None:
    report = check_surface(Broken(good), clusters(), rng=np.random.default_rng(5))
    assert 0.0 < report.gradient < 1e-3
    assert report.motion < 1e-9
    assert report.batch < 1e-9
    assert report.memory < 1e-9
    assert report.drift < 1e-9


def test_an_external_field_passes_when_it_is_announced() -> None:
    check_surface(Broken(in_a_field), clusters(), rng=np.random.default_rng(5), rigid=False)


def test_everything_wrong_is_listed_at_once() -> None:
    def answer(
        surface: Surface, positions: Positions, owners: Sequence[object] | None
    ) -> Evaluation:
        return times(1.0, -1.0)(surface, positions, owners)

    surface = Broken(answer, paths=Broken(in_a_field, molecule=Molecule((18,) * 3)))
    with pytest.raises(ContractError) as caught:
        check_surface(surface, clusters(), rng=np.random.default_rng(5))
    assert len(caught.value.problems) >= 2
    assert str(caught.value).count("\n- ") == len(caught.value.problems)


def test_one_geometry_is_a_batch_of_one() -> None:
    check_surface(Broken(good), TETRAHEDRON + 0.01, rng=np.random.default_rng(5))


@pytest.mark.parametrize("shape", [(4, 2), (1, 3, 3), (0, 4, 3), (12,)])
def test_positions_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"`positions` must have the shape \(k, 4, 3\)"):
        check_surface(Broken(good), np.zeros(shape), rng=np.random.default_rng(5))
