"""One round of trials: the next tasks, and the results of the answers.

Pure decisions. Tasks and results depend on the answers alone, not on the order in which they
come: every decision about a trial waits for the trials before it. So an interrupted round can be
repeated from the answers that were kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from afir.molecule import Positions
from afir.searches.flat import RISE
from afir.stationary import (
    Candidate,
    Confirmation,
    Minimum,
    Outcome,
    StationaryPoint,
    TrialResult,
)
from networks.execution.tasks import Characterise, Confirm, Label, Labelled, Push, TaskResult
from networks.graph.identity import IdentityIndex, fingerprint
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.structures import DC, EQ, TS, Dismissed
from networks.records.trials import Absorbed, Key, Plan, Trial
from networks.rounds.base import Question
from networks.rounds.comparisons import COMPARE, WANTED, Comparisons, Wanted, nearest
from networks.rounds.note import Note
from networks.rounds.surface_check import (
    AGAIN,
    PROBE,
    again,
    changed,
    check_again,
    check_works,
    probe,
)

_MORE = 0.7  # eV: margin for fragments, where surfaces differ more than elsewhere


class Round:
    """A round of trials.

    Parameters
    ----------
    plan
        The pushes to try.
    tasks, left
        The task of each item of the plan, and how many pushes of its EQ are left after it.
    network, dismissals
        The known structures before the round; read only until `absorb`.
    referenced
        Whether there is a reference: then it evaluates new dissociation channels too, and minima
        above the ceiling of the plan are ignored.
    window
        Energy in eV above which transition states of a reference are of no interest.
    wanted
        The wanted structure, until it is found.
    """

    def __init__(
        self,
        plan: Plan,
        tasks: list[Push],
        left: list[int | None],
        network: ReactionNetwork,
        dismissals: Dismissals,
        *,
        referenced: bool = False,
        window: float | None = None,
        wanted: Wanted | None = None,
    ) -> None:
        self.number = plan.round
        self._plan = plan
        self._tasks = tasks
        self._left = left
        self._network = network
        self._dismissals = dismissals
        self._answers: dict[Key, TaskResult] = {}
        self._probed = False
        # New in this round, in the order of the trials; a trial owns what it met first.
        self._candidates: list[Candidate] = []
        self._minima: list[Minimum] = []
        self._own_candidates: list[range] = []
        self._own_minima: list[range] = []
        self._saddle_index = IdentityIndex(network.molecule)
        self._minimum_index = IdentityIndex(network.molecule)
        self._comparisons = Comparisons(network, dismissals, wanted)
        self._placed: dict[int, str] = {}
        # Channels that were new in this round.
        self._referenced = referenced
        self._window = window
        self._channels = ReactionNetwork(network.molecule)
        self._own_channels: list[range] = []

    def begin(self) -> list[Question]:
        """The pushes, then the recheck of EQ0 if it is due."""
        pushes: list[Question] = [(Key("push", k), task) for k, task in enumerate(self._tasks)]
        return [*pushes, *again(self._network, self.number, referenced=self._referenced)]

    def take(self, key: Key, result: TaskResult) -> list[Question]:
        """Verification of candidates, optimisation and comparison of minima; see `Stage.take`."""
        self._answers[key] = result
        # The surface is dead, or these structures are too much for it: try one it could do.
        dead = key.phase == "push" and self._none_began()
        if (dead or (key == AGAIN and changed(result, self._network))) and not self._probed:
            self._probed = True
            return [probe(self._network)]
        return [*self._scan_candidates(), *self._scan_minima(), *self._scan_refined()]

    def _none_began(self) -> bool:
        """Whether all pushes are answered and none got beyond its first geometry."""
        answers = [self._answers.get(Key("push", index)) for index in range(len(self._tasks))]
        return all(
            answer is not None
            and answer.outcome is Outcome.SURFACE_FAILED
            and answer.gradients.total() <= 1
            for answer in answers
        )

    def _scan_candidates(self) -> Iterator[Question]:
        """Tasks for new candidates, trial by trial, up to the first missing answer."""
        while (number := len(self._own_candidates)) < len(self._tasks):
            answer = self._answers.get(Key("push", number))
            if answer is None:
                return
            first = len(self._candidates)
            for candidate in _candidates(answer):
                x, energy = candidate.positions, candidate.energy
                if self._is_new("TS", self._saddle_index, x, energy):
                    index = len(self._candidates)
                    self._candidates.append(candidate)
                    known = self._alike(self._network.tss, energy)
                    yield Key("confirm", index), Confirm(candidate, self._window, known)
            self._own_candidates.append(range(first, len(self._candidates)))

    def _scan_minima(self) -> Iterator[Question]:
        """The same for the minima of a trial, once its own candidates are verified or rejected."""
        while (number := len(self._own_minima)) < len(self._own_candidates):
            if any(Key("confirm", i) not in self._answers for i in self._own_candidates[number]):
                return
            first = len(self._minima)
            first_channel = len(self._channels.dcs)
            for minimum, is_end in self._met(number):
                x, energy = minimum.positions, minimum.energy
                if minimum.dissociated:
                    if self._referenced and self._network.find_dc(x) is None:
                        id, is_new = self._channels.add_dc(x, energy, origin="")
                        if is_new:
                            yield Key("label", int(id[2:])), Label(x)
                    continue
                if minimum.outcome is not Outcome.CONVERGED:
                    continue
                if self._is_new("EQ", self._minimum_index, x, energy, is_end=is_end):
                    index = len(self._minima)
                    self._minima.append(minimum)
                    known = self._alike(self._network.eqs, energy)
                    task = Characterise(x, minimum.hessian, known, is_end)
                    yield Key("characterise", index), task
            self._own_minima.append(range(first, len(self._minima)))
            self._own_channels.append(range(first_channel, len(self._channels.dcs)))

    def _scan_refined(self) -> Iterator[Question]:
        """The same for the optimised minima."""
        while (number := len(self._comparisons)) < len(self._minima):
            answer = self._answers.get(Key("characterise", number))
            if answer is None:
                return
            yield from self._comparisons.take(answer)

    def _too_high(self, minimum: Minimum) -> bool:
        """Whether it is too far above the window to spend gradients of the reference."""
        ceiling = self._plan.ceiling
        if not self._referenced or ceiling is None:
            return False
        return minimum.energy > ceiling + (_MORE if minimum.dissociated else 0.0)

    def _outside(self, confirmation: Confirmation) -> bool:
        """Whether a transition state on the reference lies above the window."""
        return self._window is not None and confirmation.point.energy > self._window

    def _alike(
        self, nodes: Mapping[str, EQ] | Mapping[str, TS], energy: float
    ) -> tuple[StationaryPoint, ...]:
        """Known points that a new one may be: nearest in energy (eV, on the searched surface)."""
        if not self._referenced:
            return ()
        zero, start = self._dismissals.zero, self._network.eqs["EQ0"].energy
        return nearest(nodes, energy if zero is None else energy - zero + start)

    def _met(self, number: int) -> Iterator[tuple[Minimum, bool]]:
        """The minima of a trial: the ends of its new transition states, then its own.

        Each with whether it is such an end.
        """
        for index in self._own_candidates[number]:
            value = self._answers[Key("confirm", index)].value
            if not isinstance(value, Confirmation) or self._outside(value):
                continue
            if value.outcome is Outcome.CONFIRMED:
                yield from ((end, True) for end in value.ends)
        yield from ((minimum, False) for minimum in self._behind(number))

    def _behind(self, number: int) -> Iterator[Minimum]:
        """The minima that a push itself reached, up to the ceiling."""
        value = self._answers[Key("push", number)].value
        for minimum in value.minima if isinstance(value, TrialResult) else ():
            if not self._too_high(minimum):
                yield minimum

    def _is_new(
        self,
        kind: str,
        index: IdentityIndex,
        x: Positions,
        energy: float,
        *,
        is_end: bool = False,
    ) -> bool:
        """Whether a structure is new, to the run and to this round; it is known from now on.

        The end of a verified path is new even if it was doubted when a push found it.
        """
        find = self._network.find_ts if kind == "TS" else self._network.find_eq
        if find(x, energy):
            return False
        before = self._dismissals.find(kind, x, energy)
        if before is not None and not (is_end and before.outcome is Outcome.DOUBTED):
            return False
        mark = fingerprint(self._network.molecule, x, energy)
        if index.find(mark, x) is not None:
            return False
        index.add(str(len(index)), mark, x)
        return True

    # -- the end of the round --------------------------------------------------------------

    def absorb(self, network: ReactionNetwork, dismissals: Dismissals, trials: int) -> Absorbed:
        """The results of the trials, added in their order; see `Stage.absorb`.

        Raises
        ------
        AfirError
            If the surface has stopped working or has changed since the run began.
        """
        check_works(self._answers, self.number)
        unowned = check_again(self._answers, network, self.number)
        rows: list[Trial] = []
        dismissed: list[Dismissed] = []
        new: dict[str, EQ | TS | DC] = {}
        again: dict[int, tuple[Dismissed, ...]] = {}
        for number, item in enumerate(self._plan.items):
            before = len(new)
            note = Note(network, dismissals, dismissed, new, trials + number + 1, item.eq)
            ends = [id for i in self._own_candidates[number] for id in self._judge(i, note)]
            behind = [self._place(minimum, note) for minimum in self._behind(number)]
            met = dict.fromkeys(filter(None, [*self._saddles(number, note), *ends, *behind]))
            rows.append(self._row(number, note.trial, tuple(list(new)[before:]), tuple(met)))
            again[note.trial] = tuple(self._rejected_before(number, note))
        records = new.values()
        return Absorbed(
            round=self.number,
            eqs=tuple(r for r in records if isinstance(r, EQ)),
            tss=tuple(r for r in records if isinstance(r, TS)),
            # As they are now: a new transition state may connect to one.
            dcs=tuple(network.dcs[r.id] for r in records if isinstance(r, DC)),
            trials=tuple(rows),
            dismissed=tuple(dismissed),
            gradients={} if unowned is None else dict(unowned.gradients),
            cpu_seconds=0.0 if unowned is None else unowned.cpu_seconds,
            again=again,
            owners={
                key: trials + number + 1
                for number in range(len(self._tasks))
                for key in self._caused(number)
            },
        )

    def _caused(self, number: int) -> list[Key]:
        """The tasks of a trial: its push, verifications, optimisations, comparisons."""
        keys = [Key("push", number)]
        keys += [Key("confirm", i) for i in self._own_candidates[number]]
        keys += [Key("characterise", i) for i in self._own_minima[number]]
        compared = [Key(phase, i) for i in self._own_minima[number] for phase in (COMPARE, WANTED)]
        keys += [key for key in compared if key in self._answers]
        keys += [Key("label", i) for i in self._own_channels[number]]
        if number == len(self._tasks) - 1 and PROBE in self._answers:
            keys.append(PROBE)
        return keys

    def _saddles(self, number: int, note: Note) -> Iterator[str | None]:
        """The known TSs that the candidates of a trial are, once its own are verified."""
        for candidate in _candidates(self._answers[Key("push", number)]):
            x = candidate.positions
            mark = fingerprint(self._network.molecule, x, candidate.energy)
            alike = self._saddle_index.find(mark, x)
            yield note.saddle(candidate) or (alike and note.saddle(self._candidates[int(alike)]))

    def _rejected_before(self, number: int, note: Note) -> Iterator[Dismissed]:
        """The records of candidates that another trial had found and that were rejected."""
        for candidate in _candidates(self._answers[Key("push", number)]):
            known = note.dismissals.find("TS", candidate.positions, candidate.energy)
            if known is not None and known.node is None and known.trial != note.trial:
                yield known

    def _row(self, number: int, trial: int, found: tuple[str, ...], met: tuple[str, ...]) -> Trial:
        answer = self._answers[Key("push", number)]
        value = answer.value
        gradients: Counter[str] = Counter()
        cpu_seconds = 0.0
        for key in self._caused(number):
            gradients.update(self._answers[key].gradients)
            cpu_seconds += self._answers[key].cpu_seconds
        item, task = self._plan.items[number], self._tasks[number]
        outcome, crossed, gamma = answer.outcome or Outcome.SURFACE_FAILED, False, 0.0
        if isinstance(value, TrialResult):
            outcome, crossed, gamma = value.outcome, value.crossed, value.gamma
        return Trial(
            number=trial,
            round=self.number,
            eq=item.eq,
            push=item.push,
            method=task.offer.method,
            offer=task.offer.data,
            seed=task.seed,
            outcome=outcome,
            crossed=crossed,
            gradients=dict(gradients),
            cpu_seconds=cpu_seconds,
            found=found,
            error=answer.error,
            pushes_left=self._left[number],
            gamma=gamma,
            met=met,
        )

    def _judge(self, index: int, note: Note) -> list[str]:
        """The ends of the path of a candidate, which becomes a transition state or is rejected."""
        candidate, answer = self._candidates[index], self._answers[Key("confirm", index)]
        confirmation = answer.value

        def dismiss(outcome: Outcome, reason: str, node: str | None = None) -> None:
            note.dismiss("TS", candidate, outcome, reason, node)

        if not isinstance(confirmation, Confirmation):
            dismiss(answer.outcome or Outcome.SURFACE_FAILED, answer.error)
            return []
        if confirmation.outcome in (Outcome.CONFIRMED, Outcome.OUTSIDE_WINDOW):
            # The window may have changed since.
            if self._outside(confirmation):
                dismiss(Outcome.OUTSIDE_WINDOW, "it lies above the energy window")
                return []
            if confirmation.outcome is Outcome.OUTSIDE_WINDOW:
                return []  # it will be examined when it is found again
        elif confirmation.outcome is Outcome.CONVERGED:
            id = note.network.find_ts(confirmation.point.positions, confirmation.point.energy)
            dismiss(Outcome.CONFIRMED, f"it is {id}", id)
            return []
        else:
            dismiss(confirmation.outcome, confirmation.outcome.value)
            return []
        first, second = [self._place(end, note) for end in confirmation.ends]
        ends = [end for end in (first, second) if end is not None]
        if first is None or second is None:
            if any(self._doubted(end, note) for end in confirmation.ends):
                return ends  # a push of this round found the end first: it will be found again
            dismiss(Outcome.IRC_FAILED, "an end of its reaction path is no minimum")
            return ends
        if first == second and first in note.network.eqs:
            rise = confirmation.point.energy - note.network.eqs[first].energy
            if rise < RISE:
                dismiss(Outcome.CONFIRMED, f"it lies on a flat turn of {first}", first)
                return ends
        id, is_new = note.network.add_ts(confirmation, (first, second))
        if is_new:
            note.new[id] = note.network.tss[id]
        if note.network.find_ts(candidate.positions, candidate.energy) != id:
            # Verification moved it: this version belongs to the same TS.
            dismiss(Outcome.CONFIRMED, f"it is {id}", id)
        return ends

    def _place(self, minimum: Minimum, note: Note) -> str | None:
        """The node of a minimum, added if it is new; None if it is no node."""
        network, x, energy = note.network, minimum.positions, minimum.energy
        if minimum.dissociated:
            if self._referenced and network.find_dc(x) is None:
                channel = self._channel(x)
                if channel is None:
                    return None
                x, energy = channel
            id, is_new = network.add_dc(x, energy, origin=note.eq)
            if is_new:
                note.new[id] = network.dcs[id]
            return id
        if minimum.outcome is not Outcome.CONVERGED:
            return None
        index = self._minimum_index.find(fingerprint(network.molecule, x, energy), x)
        known = network.find_eq(x, energy)
        if known is not None:
            if index is not None:
                self._placed.setdefault(int(index), known)
            return known
        before = note.dismissals.find("EQ", x, energy)
        if before is not None and before.outcome is not Outcome.DOUBTED:
            return before.node
        if index is None and before is not None:
            return before.node
        if index is None:
            raise AssertionError("every minimum of a round was known or optimised")
        answer = self._answers[Key("characterise", int(index))]
        if not isinstance(answer.value, StationaryPoint):
            outcome = answer.outcome or Outcome.SURFACE_FAILED
            if before is None or outcome is not Outcome.DOUBTED:
                note.dismiss("EQ", minimum, outcome, answer.error, None)
            return None
        return self._refined(int(index), minimum, answer.value, note)

    def _refined(self, index: int, minimum: Minimum, point: StationaryPoint, note: Note) -> str:
        """The node of an optimised minimum: a known one, perhaps by a flat rotation, or new."""
        network = note.network
        id = network.find_eq(point.positions, point.energy)
        if id is None:
            id = self._comparisons.node(index, self._answers, self._placed)
        if id is None:
            id, _ = network.add_eq(point)
            note.new[id] = network.eqs[id]
        self._placed[index] = id
        note.is_node(point, id)
        note.is_node(minimum, id)
        wanted = self._comparisons.wanted(index, self._answers)
        if wanted is not None:
            note.is_node(replace(point, positions=wanted[0], energy=wanted[1]), id)
        return id

    def _doubted(self, end: Minimum, note: Note) -> bool:
        """Whether an end was rejected only because a learned surface is unreliable there."""
        record = note.dismissals.find("EQ", end.positions, end.energy)
        return record is not None and record.outcome is Outcome.DOUBTED

    def _channel(self, x: Positions) -> tuple[Positions, float] | None:
        """The channel with these fragments and its energy on the reference; None if that failed."""
        id = self._channels.find_dc(x)
        if id is None:
            raise AssertionError("every channel of a round was known or evaluated")
        answer = self._answers[Key("label", int(id[2:]))].value
        if not isinstance(answer, Labelled):
            return None
        return self._channels.dcs[id].positions, answer.energy


def _candidates(answer: TaskResult) -> tuple[Candidate, ...]:
    return answer.value.candidates if isinstance(answer.value, TrialResult) else ()
