"""A policy that is asked about a run: what it would try next, and why it expects what it expects.

Nothing is written: the run is read as it is, also while it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from afir.errors import InputError
from afir.methods.base import Offer
from afir.molecule import Molecule
from afir.policies import Expectation, Explains, Explanation, Policy, Proposes, Step, Structure
from networks.graph.rejected import Dismissals
from networks.learning.models import Learning
from networks.policies.abilities import explanations, proposals, teach, unable
from networks.policies.base import load_policy
from networks.records.trials import Trial
from networks.scheduling.history import History
from networks.scheduling.scheduler import CHOICE, Outlook
from networks.settings import Settings
from networks.storage.run_file import RunFile

ABLE = "learned"
"""The policy that is asked if that of the run cannot answer."""


@dataclass(frozen=True)
class Adviser:
    """The policy to ask, by name; that of the run, or `ABLE`, if the name is empty.

    Attributes
    ----------
    name
        The name.
    options
        Its options. If there are none, a policy of the run has those of the run.
    """

    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def loaded(self, settings: Settings, *abilities: type) -> tuple[str, Policy]:
        """The name of the policy and the policy, which knows nothing of the run yet.

        That of the run is taken only if it has these abilities.

        Raises
        ------
        InputError
            For an unknown name or option.
        """
        name, options = self._meant(settings)
        if not self.name and name != ABLE:
            with suppress(InputError):  # it may be of a package that is not installed here
                policy = load_policy(name, options)
                if all(isinstance(policy, ability) for ability in abilities):
                    return name, policy
            name, options = ABLE, self.options
        return name, load_policy(name, options)

    def told(self, name: str, settings: Settings) -> str:
        """The policy of this name, as it was loaded, with its model in words."""
        meant, options = self._meant(settings)
        return _with_model(name, options if name == meant else self.options)

    def _meant(self, settings: Settings) -> tuple[str, Mapping[str, Any]]:
        """The policy that is asked if it is able to answer, and its options."""
        name = self.name or settings.policy
        return name, self.options or (settings.policy_options if name == settings.policy else {})


def _with_model(name: str, options: Mapping[str, Any]) -> str:
    """A policy with its model in words; other options do not count."""
    model = options.get("model", "packaged" if name == ABLE else "")
    if model == "packaged":
        return f"{name} (packaged model)"
    return f"{name} (model {model})" if model else name


@dataclass(frozen=True)
class Past:
    """The structures that were known when a trial was planned (`afir.policies.Structures`).

    Attributes
    ----------
    molecule
        The molecule.
    eqs, tss
        The structures by id, in the order of discovery.
    """

    molecule: Molecule
    eqs: Mapping[str, Structure]
    tss: Mapping[str, Step]


@dataclass(frozen=True)
class ToldTrial:
    """A trial as a policy saw it when it was planned.

    Attributes
    ----------
    number
        Its number.
    name
        The name of the policy.
    explained
        The explanation.
    trial
        What came of it; None if it is under way.
    by, led_by
        The policy that explains and that of the run, by its settings, with their models.
    """

    number: int
    name: str
    explained: Explanation
    trial: Trial | None
    by: str
    led_by: str


@dataclass(frozen=True, eq=False)
class ToldNext:
    """The next trials as a policy sees them now.

    Attributes
    ----------
    name, policy
        The name of the policy, and the policy.
    proposed
        What it proposes, in order.
    under_way
        The number of trials that are under way.
    """

    name: str
    policy: Policy
    proposed: tuple[Expectation, ...]
    under_way: int


class Consulted:
    """A run about which a policy is asked.

    Parameters
    ----------
    path
        The run file.
    adviser
        The policy.

    Raises
    ------
    InputError
        If there is no such run, or it has not begun.
    """

    def __init__(self, path: Path, adviser: Adviser) -> None:
        self._adviser, self._path = adviser, path
        with RunFile.open(path) as store, store.snapshot():
            self.settings = store.settings
            self.network = store.load_network()
            self._trials = list(store.trials())
            judged = len(self._trials)
            self._flying = [each for each in store.planned() if each.trial > judged]
            wanted = store.settings.tried.attempts
            learns = store.settings.learn
            self._attempts = Learning(store).attempts(wanted) if learns else wanted
            self._dismissals = Dismissals(store.molecule)
            for record in store.dismissed():
                self._dismissals.add(record)
        if "EQ0" not in self.network.eqs:
            raise InputError(f"{path} has no structure yet; resume it first")

    @property
    def molecule(self) -> Molecule:
        """The molecule of the run."""
        return self.network.molecule

    def proposed(self, count: int, *, explaining: bool = False) -> ToldNext:
        """The next trials as the policy proposes them, without using them up.

        With `explaining` it must be able to explain them.
        """
        name, policy = self._adviser.loaded(self.settings, Proposes, *[Explains] * explaining)
        if explaining and not isinstance(policy, Explains):
            raise unable(name, "explain")
        teach(name, policy, self._trials, self.network)
        history = History(self._trials)
        for planned in self._flying:
            history.plan(planned)
        outlook = Outlook(self.settings, self.network, self._dismissals, history)
        outlook.read()
        frontier = outlook.frontier(self._attempts)
        frontier.under_way = history.under_way
        # As the run itself would choose: equal expectations are told apart by chance.
        number = len(self._trials) + len(self._flying) + 1
        rng = np.random.default_rng([self.settings.seed, CHOICE, number])
        best: tuple[Expectation, ...] = ()
        if frontier.anything_left():
            best = proposals(name, policy, frontier, self.network, count, rng)
        return ToldNext(name, policy, best, len(self._flying))

    def explained(self, told: ToldNext) -> tuple[Explanation, ...]:
        """Why the policy expects what it expects of what it has proposed."""
        offers = {(each.eq, each.push): each.offer for each in told.proposed}
        flying = {(str(each.item.eq), each.item.push): each.offer for each in self._flying}
        return explanations(told.name, told.policy, offers, flying, self.network)

    def trial(self, number: int) -> ToldTrial:
        """A trial as the policy saw it when it was planned.

        Raises
        ------
        InputError
            If there is no such trial.
        """
        known, item, offer = self._planned(number)
        name, policy = self._adviser.loaded(self.settings, Explains)
        past = self._past(known)
        teach(name, policy, self._trials[:known], past)
        between = [self._planned(other)[1:] for other in range(known + 1, number)]
        (told,) = explanations(name, policy, {item: offer}, dict(between), past)
        judged = self._trials[number - 1] if number <= len(self._trials) else None
        by = self._adviser.told(name, self.settings)
        led_by = _with_model(self.settings.policy, self.settings.policy_options)
        return ToldTrial(number, name, told, judged, by, led_by)

    def _planned(self, number: int) -> tuple[int, tuple[str, int], Offer]:
        """How many trials were judged when a trial was planned, and its offer."""
        judged, flying = self._trials, self._flying
        if 1 <= number <= len(judged):
            trial = judged[number - 1]
            return trial.known, (trial.eq, trial.push), trial.offered
        if 1 <= number <= len(judged) + len(flying):
            planned = flying[number - len(judged) - 1]
            return planned.known.trials, (planned.item.eq, planned.item.push), planned.offer
        count = len(judged) + len(flying)
        if not count:
            raise InputError(
                f"{self._path} has no trials yet; `afir resume {self._path}` adds some"
            )
        raise InputError(f"`trial` must be a trial of {self._path}, 1 to {count}, got {number}")

    def _past(self, known: int) -> Past:
        """The structures that were known after so many trials."""
        later = {id for trial in islice(self._trials, known, None) for id in trial.found}
        network = self.network
        return Past(
            network.molecule,
            {id: eq for id, eq in network.eqs.items() if id not in later},
            {id: ts for id, ts in network.tss.items() if id not in later},
        )
