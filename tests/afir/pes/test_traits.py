"""What a surface says of itself: from strangers, through wrappers and out of other processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pairs import PAIR, Shifted, pair

from afir.cli.single_structure import _Watched
from afir.errors import BrokenSurfaceError
from afir.molecule import Molecule, Positions
from afir.pes.isolation import IsolatedSurface
from afir.pes.loading import load_surface
from afir.pes.surface import Checked, Evaluation, Surface, Traits, limit, traits_of
from afir.surfaces.analytic import double_well
from mlpot.process import GaussianSurface


@dataclass(frozen=True)
class Plain:
    """One that says nothing of itself."""

    molecule: Molecule = PAIR

    def evaluate(self, positions: Positions, owners: Sequence[object] | None = None) -> Evaluation:
        return double_well(PAIR).evaluate(positions)

    def for_paths(self) -> Surface:
        return self


class Telling(Plain):
    """One that says the wrong thing of itself, or the right one."""

    SAYS: ClassVar[dict[str, Callable[[], Any]]] = {
        "no batch": lambda: Traits(batch=None),  # type: ignore[arg-type]
        "batch as text": lambda: Traits(batch="8"),  # type: ignore[arg-type]
        "empty batch": lambda: Traits(batch=0),
        "batch as truth": lambda: Traits(batch=True),
        "batch as a method": lambda: Traits(batch=lambda: 8),  # type: ignore[arg-type]
        "doubt as a method": lambda: Traits(doubt=lambda: "why"),  # type: ignore[arg-type]
        "no doubt": lambda: Traits(doubt=None),  # type: ignore[arg-type]
        "expensive as a method": lambda: Traits(expensive=lambda: True),  # type: ignore[arg-type]
        "base as text": lambda: Traits(base="gfn2"),  # type: ignore[arg-type]
        "reference as text": lambda: Traits(reference="gfn2"),  # type: ignore[arg-type]
        "limiters as numbers": lambda: Traits(limiters=(3.0,)),  # type: ignore[arg-type]
        "traits as a method": lambda: lambda: Traits(),
        "traits as a table": lambda: {"batch": 8},
        "nothing": lambda: None,
        "no path form": Traits,
        "all": lambda: Traits(np.int64(8), np.True_, "not made for it", Shifted(2.0)),  # type: ignore[arg-type]
    }

    def __init__(self, molecule: Molecule, *, what: str) -> None:
        super().__init__(molecule)
        self.__dict__["what"] = what

    @property
    def traits(self) -> Any:
        return self.SAYS[self.__dict__["what"]]()

    def for_paths(self) -> Any:
        return None if self.__dict__["what"] == "no path form" else self


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package that brings surfaces."""
    folder = tmp_path / "telling-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: telling\nVersion: 1\n")
    entries = f"[afir.surfaces]\ntelling = {__name__}:Telling\nsilent = {__name__}:Plain\n"
    (folder / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no batch", "the `batch` of the surface must be a whole number, 1 or more, got None"),
        ("batch as text", "the `batch` of the surface must be a whole number, 1 or more, got '8'"),
        ("empty batch", "the `batch` of the surface must be a whole number, 1 or more, got 0"),
        ("batch as truth", "the `batch` of the surface must be .*, got True"),
        ("batch as a method", "the `batch` of the surface must be .*, got a method"),
        ("doubt as a method", "the `doubt` of the surface must be text, got a method"),
        ("no doubt", "the `doubt` of the surface must be text, got None"),
        ("expensive as a method", "the `expensive` of .* must be True or False, got a method"),
        ("no path form", "the `for_paths` of the surface must be a surface, got None"),
        ("base as text", "the `base` of the surface must be a surface, got 'gfn2'"),
        ("reference as text", "the `reference` of the surface must be a surface, got 'gfn2'"),
        ("limiters as numbers", r"the `limiters` .* a tuple of functions, got \(3.0,\)"),
        ("traits as a method", r"the `traits` .* be a value of afir\.Traits, got a method"),
        ("traits as a table", r"the `traits` .* be a value of afir\.Traits, got {'batch': 8}"),
        ("nothing", r"the `traits` of the surface must be a value of afir\.Traits, got None"),
    ],
)
def test_what_a_surface_says_of_itself_is_checked(what: str, words: str) -> None:
    with pytest.raises(BrokenSurfaceError, match=f"^{words}$"):
        load_surface("telling", PAIR, what=what)


@pytest.mark.usefixtures("package")
def test_what_a_surface_says_of_itself_is_known_in_other_processes() -> None:
    surface = load_surface("telling", PAIR, what="all")
    assert isinstance(surface, IsolatedSurface)
    said = traits_of(surface)
    assert (said.batch, said.expensive, said.doubt) == (8, True, "not made for it")
    assert (type(said.batch), type(said.expensive)) == (int, bool)
    assert said.base is not None
    own, below = (each.evaluate(pair(1.5)[None]).energies[0] for each in (surface, said.base))
    assert below == pytest.approx(own + 2.0)
    assert traits_of(said.base).base is None
    silent = traits_of(load_surface("silent", PAIR))
    assert replace(silent, limiters=()) == Traits()


def test_a_surface_that_says_nothing_has_the_defaults() -> None:
    assert traits_of(Plain()) == Traits() == Traits(1, False, "", None, None, ())
    limit(Plain(), 2.0)


@dataclass(frozen=True)
class Limited(Plain):
    """One that says everything, and remembers its time limits."""

    doubt: str = ""
    expensive: bool = False
    limits: list[float] = field(default_factory=list)

    @property
    def traits(self) -> Traits:
        return Traits(8, self.expensive, self.doubt, Shifted(2.0), None, (self.limits.append,))


class Nothing:
    """A Gaussian process that has learned nothing."""

    def predict(self, positions: Positions) -> Evaluation:
        return Evaluation(np.zeros(len(positions)), np.zeros(positions.shape))


def test_wrappers_pass_on_what_the_surface_below_says() -> None:
    below, reference = Limited(doubt="why"), Limited(expensive=True)
    corrected = GaussianSurface(below, Nothing())  # type: ignore[arg-type]
    both = Checked(corrected, reference)
    said = traits_of(both)
    assert said == Traits(1, False, "why", None, reference, said.limiters)
    limit(both, 7.0)
    assert (below.limits, reference.limits) == ([7.0], [7.0])
    # Searches wait for no costly reference of others, and need not where it costs little.
    assert traits_of(Checked(below, reference)).batch == 1
    assert traits_of(Checked(below, Limited())).batch == 8
    assert traits_of(Checked(Plain(), Limited(doubt="why"))).doubt == "why"


def test_a_command_that_counts_gradients_asks_the_surface_itself() -> None:
    watched = _Watched(Limited(doubt="why", expensive=True), None, "pushing")  # type: ignore[arg-type]
    said = traits_of(watched)
    assert said == Traits(8, True, "why", None, None, said.limiters)
    assert len(said.limiters) == 1
