"""Methods: ways to elementary steps that an exploration can use, each behind one protocol.

A method lists offers, the trials that it proposes on a known structure, as plain data. It turns one
offer into a search. Policies choose among the offers of all methods of a run. Packages register
methods in the entry-point group `ENTRY_POINT_GROUP`.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from afir.errors import AfirError, InputError, said
from afir.methods.artificial_force import ForceTerm
from afir.molecule import Molecule
from afir.options import entries, load_entry
from afir.pes.driver import Asked, Search, geometries, relayed
from afir.results import plain_result
from afir.searches.settings import StepSettings
from afir.stationary import StationaryPoint, TrialResult

if TYPE_CHECKING:
    from afir.searches.known import KnownStructures

ENTRY_POINT_GROUP = "afir.methods"

MOST_OFFERS = 100_000
"""More offers on one structure are taken for a list without an end."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A trial that a method proposes on a structure.

    The explorer and the policies of this package read these keys of the data; all are optional:

    ``forces``
        A list of ``{"sign": 1, "fragments": [[0, 1], [4]]}``: an artificial force pushes the
        fragments together (1) or pulls them apart (−1). Only such trials have a γ and are repeated
        with a larger one, or from another displacement.
    ``kind``
        A word for what else the trial is, e.g. ``"climb"``.
    ``atoms``
        A list of the atoms that it is about.
    ``mode``
        The number of a normal mode, from 0 for the softest.
    ``late``
        True if it waits until all other offers on its structure are used up.

    Every other key is the method's own.

    Attributes
    ----------
    method
        The name of the method.
    data
        What the method makes a search of: plain JSON values, not to be changed.
    """

    method: str
    data: Mapping[str, Any]

    def __str__(self) -> str:
        """``sc-afir: +0,1|4`` or ``mode-following: kind climb, mode 3, sign 1``."""
        words = [str(ForceTerm.from_plain(force)) for force in self.forces]
        rest = [f"{k} {v}" for k, v in self.data.items() if k not in ("forces", "late")]
        return f"{self.method}: {', '.join([' '.join(words), *rest] if words else rest)}"

    @property
    def forces(self) -> Sequence[Mapping[str, Any]]:
        """The artificial forces that act together."""
        forces: Sequence[Mapping[str, Any]] = self.data.get("forces", ())
        return forces

    @property
    def late(self) -> bool:
        """Whether it waits for all others on its structure."""
        return bool(self.data.get("late", False))

    @property
    def text(self) -> str:
        """The same text for the same offer."""
        return json.dumps([self.method, self.data], sort_keys=True)


@dataclass(frozen=True, eq=False)
class Known:
    """What a method is told to list its offers; not to be changed.

    Attributes
    ----------
    molecule
        The molecule.
    start
        The minimum from which the trials start, with its exact Hessian.
    targets
        The atoms that are meant to react, counted from 0; None means all.
    """

    molecule: Molecule
    start: StationaryPoint
    targets: tuple[int, ...] | None = None


class Method(Protocol):
    """A way to elementary steps.

    A method whose offers have no end, as random geometries have none, has an attribute `endless`
    that is True. Such offers are tried when all others are used up, for as long as they find
    anything. See `is_endless`.
    """

    def offers(self, known: Known, rng: np.random.Generator) -> Iterable[Mapping[str, Any]]:
        """The offers on a structure as data (`Offer.data`), each different.

        Must always be the same for the same arguments, in the same order: a trial is known by its
        number. What a search needs besides the start must be in the data.

        Parameters
        ----------
        known
            The structure.
        rng
            The only source of random numbers.
        """
        ...

    def search(
        self,
        molecule: Molecule,
        start: StationaryPoint,
        data: Mapping[str, Any],
        step: StepSettings,
        *,
        ceiling: float | None,
        rng: np.random.Generator,
    ) -> Search[TrialResult]:
        """The search that an offer stands for.

        It runs anywhere, perhaps in another process. What it finds is verified later: candidates
        by their Hessian and IRC, minima by optimisation and their Hessian. A method whose `search`
        has one more parameter, `known`, is also given the known structures or None
        (`searched_with`).

        Parameters
        ----------
        molecule
            The molecule.
        start
            The minimum, with its exact Hessian.
        data
            The offer.
        step
            Limits of the search, with γ of this attempt.
        ceiling
            Absolute energy in eV above which candidates are of no interest, or None.
        rng
            The only source of random numbers; another one for every attempt.

        Returns
        -------
        Search of TrialResult
            A generator that yields geometries (k, n, 3) in Å and is sent their `Evaluation`.
        """
        ...


def searched_with(
    method: Method, known: KnownStructures | None
) -> Mapping[str, KnownStructures | None]:
    """What the `search` of a method is given besides: the known structures, if it takes them.

    It may give them to the searches that it makes (`afir.saddle`, `afir.minimise`), which end where
    they reach one of them.
    """
    return {"known": known} if "known" in signature(method.search).parameters else {}


def method_names() -> tuple[str, ...]:
    """The names `load_method` knows, sorted."""
    return tuple(entries(ENTRY_POINT_GROUP))


def load_method(name: str, options: Mapping[str, Any] | None = None) -> Method:
    """Build a registered method.

    Raises
    ------
    InputError
        For an unknown name or option, and when the method cannot be built.
    """
    method: Method = load_entry(ENTRY_POINT_GROUP, "method", name, options or {})
    for part in ("offers", "search"):
        if not hasattr(method, part):
            raise InputError(
                f"the method {name!r} must have `offers` and `search` "
                f"(`afir.methods.base.Method`), got {type(method).__name__} without `{part}`"
            )
    return method


def is_endless(method: Method) -> bool:
    """Whether the offers of a method have no end; they have one unless it says otherwise."""
    return bool(getattr(method, "endless", False))


def offers_of(name: str, method: Method, known: Known, rng: np.random.Generator) -> Iterator[Offer]:
    """The offers of a method, checked.

    Raises
    ------
    AfirError
        If the method fails, lists what is no plain data or names atoms that do not exist, or its
        offers have no end though it does not say so.
    """
    count = 0
    try:
        for data in method.offers(known, rng):
            if count == MOST_OFFERS and not is_endless(method):
                raise InputError(f"it lists more than {MOST_OFFERS} and is not `endless`")
            yield Offer(name, _plain(data, known.molecule.n_atoms))
            count += 1
    except (Exception, SystemExit) as error:
        raise AfirError(
            f"the method {name!r} failed while listing its offers: {said(error)}"
        ) from error


_KEYS: Mapping[str, tuple[type, str]] = {
    "forces": (list, "a list of forces"),
    "kind": (str, "a word"),
    "atoms": (list, "a list of atoms"),
    "mode": (int, "a whole number"),
    "late": (bool, "true or false"),
}


def _plain(data: object, n_atoms: int) -> Mapping[str, Any]:
    """The data of an offer as they are read back from a file; InputError for anything else."""
    if not isinstance(data, Mapping):
        raise InputError(f"an offer must be a table of plain values, got {data!r}")
    try:
        read: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"an offer must hold plain JSON values, got {data!r} ({error})") from error
    for key, (kind, what) in _KEYS.items():
        if key in read and type(read[key]) is not kind:
            raise InputError(f"`{key}` of an offer must be {what}, got {read[key]!r}")
    atoms = list(read.get("atoms", ()))
    for force in read.get("forces", ()):
        term = ForceTerm.from_plain(force)
        atoms += [*term.a, *term.b]
    for atom in atoms:
        if type(atom) is not int or not 0 <= atom < n_atoms:
            raise InputError(f"an offer must name atoms from 0 to {n_atoms - 1}, got {atom!r}")
    # Lists often share their parts, a copy would not.
    return data if read == data else read


def checked_trial(name: str, search: Search[TrialResult], n_atoms: int) -> Search[TrialResult]:
    """The search of a method, with its requests and its result checked.

    Raises
    ------
    InputError
        If it is no search, asks for something else than geometries (k, n, 3), or does not return
        what a `TrialResult` describes.
    """
    if not isinstance(search, Generator):
        raise InputError(f"the method {name!r} must make a generator, got {type(search).__name__}")

    def asked_for(asked: Asked) -> Asked:
        x = geometries(asked)
        if not isinstance(x, np.ndarray) or x.ndim != 3 or x.shape[1:] != (n_atoms, 3):
            shape = getattr(x, "shape", type(x).__name__)
            raise InputError(
                f"the method {name!r} must ask for geometries (k, {n_atoms}, 3), got {shape}"
            )
        return asked

    result = yield from relayed(search, asked_for)
    if not isinstance(result, TrialResult):
        raise InputError(
            f"the method {name!r} must return a TrialResult, got {type(result).__name__}"
        )
    try:
        return plain_result(result, n_atoms)
    except InputError as error:
        raise InputError(f"the method {name!r} returned a wrong TrialResult: {error}") from error
