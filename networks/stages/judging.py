"""What the answers to a trial mean: new nodes, rejected structures, the row of the trial.

What was numbered when it was asked for is found by its number. A trial is judged after all trials
before it, so what another trial met first is known by then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from afir.searches.flat import RISE
from afir.stationary import Confirmation, Minimum, Outcome, StationaryPoint, TrialResult
from networks.execution.tasks import Labelled
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.ids import Id
from networks.records.structures import DC, EQ, TS, Dismissed
from networks.records.trials import Absorbed, Key, Trial
from networks.stages.comparisons import COMPARE, proven
from networks.stages.note import Note
from networks.stages.surface_check import CHECKS, check_surface
from networks.stages.trial import CHARACTERISE, CONFIRM, LABEL, PUSH, Mark, Sighting, TrialStage
from networks.stages.window import Window


def judge(
    stage: TrialStage, window: Window, network: ReactionNetwork, dismissals: Dismissals
) -> Absorbed:
    """The results of a trial, added to the network.

    Parameters
    ----------
    stage
        The trial; all its tasks are done (`Window.finished`).
    window
        The trials in flight.
    network, dismissals
        Changed.

    Raises
    ------
    AfirError
        If the surface has stopped working or has changed since the run began; then nothing is
        changed.
    """
    check_surface(stage.answers, network, f"trial {stage.trial}")
    judging = _Judging(stage, window, network, dismissals)
    trial, rejected_before = judging.trial()
    unowned = [stage.answers[key] for key in CHECKS if key in stage.answers]
    gradients: Counter[str] = Counter()
    for answer in unowned:
        gradients.update(answer.gradients)
    records = judging.note.new.values()
    return Absorbed(
        stage=stage.number,
        eqs=tuple(r for r in records if isinstance(r, EQ)),
        tss=tuple(r for r in records if isinstance(r, TS)),
        # As they are now: a new transition state may connect to one.
        dcs=tuple(network.dcs[r.id] for r in records if isinstance(r, DC)),
        trial=trial,
        dismissed=tuple(judging.note.dismissed),
        gradients=dict(gradients),
        cpu_seconds=sum(answer.cpu_seconds for answer in unowned),
        nodes=dict(stage.nodes),
        again=rejected_before,
    )


class _Judging:
    """The decisions on one trial."""

    def __init__(
        self,
        stage: TrialStage,
        window: Window,
        network: ReactionNetwork,
        dismissals: Dismissals,
    ) -> None:
        self._stage = stage
        self._window = window
        self._answers = stage.answers
        self.note = Note(network, dismissals, stage.trial)

    def trial(self) -> tuple[Trial, tuple[Dismissed, ...]]:
        """The row of the trial, and the records of candidates that were rejected before."""
        stage, note = self._stage, self.note
        own = stage.own_candidates()
        ends = [id for place in own for id in self._judge(place)]
        behind = [self._place(seen) for _, seen in self._behind()]
        saddles = [self._saddle(seen) for seen in stage.candidates]
        met = dict.fromkeys(filter(None, [*saddles, *ends, *behind]))
        return self._row(tuple(note.new), tuple(met)), tuple(self._rejected_before())

    def _rejected_before(self) -> Iterator[Dismissed]:
        """The records of candidates that another trial had found and that were rejected."""
        for seen in self._stage.candidates:
            record = seen.before
            if seen.mark is not None and seen.mark.trial != self._stage.trial:
                x, energy = seen.structure.positions, seen.structure.energy
                record = self.note.dismissals.find("TS", x, energy)
            if record is not None and record.node is None:
                yield record

    def _row(self, found: tuple[Id, ...], met: tuple[Id, ...]) -> Trial:
        stage = self._stage
        answer, planned, task = self._answers[PUSH], stage.planned, stage.task
        own = [answer for key, answer in self._answers.items() if key not in CHECKS]
        gradients: Counter[str] = Counter()
        for each in own:
            gradients.update(each.gradients)
        outcome, crossed, gamma = answer.outcome or Outcome.SURFACE_FAILED, False, 0.0
        if isinstance(answer.value, TrialResult):
            value = answer.value
            outcome, crossed, gamma = value.outcome, value.crossed, value.gamma
        return Trial(
            number=stage.trial,
            known=planned.known.trials,
            eq=planned.item.eq,
            push=planned.item.push,
            method=task.offer.method,
            offer=task.offer.data,
            seed=task.seed,
            outcome=outcome,
            crossed=crossed,
            gradients=dict(gradients),
            cpu_seconds=sum(each.cpu_seconds for each in own),
            found=found,
            error=answer.error,
            pushes_left=planned.left,
            gamma=gamma,
            met=met,
        )

    def _behind(self) -> Iterator[tuple[int, Sighting]]:
        """The minima of the push that were looked at, each with its place."""
        for place, _ in self._stage.behind():
            if place in self._stage.minima:
                yield place, self._stage.minima[place]

    # -- transition states ---------------------------------------------------------------

    def _saddle(self, seen: Sighting) -> Id | None:
        """The id of the TS that a candidate is, or of the EQ on whose flat turn it lies."""
        if seen.mark is not None:
            return self._window.stage(seen.mark.trial).nodes.get(Key(CONFIRM, seen.mark.place))
        return seen.node or (seen.before.node if seen.before else None)

    def _judge(self, place: int) -> list[Id]:
        """The ends of the path of a candidate, which becomes a transition state or is rejected."""
        stage, note = self._stage, self.note
        key = Key(CONFIRM, place)
        candidate, answer = stage.candidates[place].structure, self._answers[key]
        confirmation = answer.value
        stage.nodes[key] = None

        def dismiss(outcome: Outcome, reason: str, node: Id | None = None) -> None:
            stage.nodes[key] = node
            note.dismiss("TS", candidate, outcome, reason, node)

        if not isinstance(confirmation, Confirmation):
            dismiss(answer.outcome or Outcome.SURFACE_FAILED, answer.error)
            return []
        point = confirmation.point
        if confirmation.outcome in (Outcome.CONFIRMED, Outcome.OUTSIDE_WINDOW):
            # The window may have changed since.
            if self._window.is_outside(confirmation):
                dismiss(Outcome.OUTSIDE_WINDOW, "it lies above the energy window")
                return []
            if confirmation.outcome is Outcome.OUTSIDE_WINDOW:
                return []  # it will be examined when it is found again
        elif confirmation.outcome is Outcome.CONVERGED:
            id = note.network.find_ts(point.positions, point.energy)
            dismiss(Outcome.CONFIRMED, f"it is {id}", id)
            return []
        else:
            dismiss(confirmation.outcome, confirmation.outcome.value)
            return []
        sightings = [stage.minima[at] for at, _ in stage.ends(place)]
        first, second = [self._place(seen) for seen in sightings]
        ends = [end for end in (first, second) if end is not None]
        if first is None or second is None:
            if any(map(self._is_doubted, sightings)):
                return ends  # a push met the end first: it will be found again
            dismiss(Outcome.IRC_FAILED, "an end of its reaction path is no minimum")
            return ends
        if first == second and first in note.network.eqs:
            rise = point.energy - note.network.eqs[first].energy
            if rise < RISE:
                dismiss(Outcome.CONFIRMED, f"it lies on a flat turn of {first}", first)
                return ends
        id, is_new = note.network.add_ts(confirmation, (first, second))
        stage.nodes[key] = id
        if is_new:
            note.new[id] = note.network.tss[id]
        if note.network.find_ts(candidate.positions, candidate.energy) != id:
            # Verification moved it: this version belongs to the same TS.
            dismiss(Outcome.CONFIRMED, f"it is {id}", id)
        return ends

    # -- minima and channels -------------------------------------------------------------

    def _place(self, seen: Sighting) -> Id | None:
        """The node of a minimum, added if it is new; None if it is no node."""
        minimum = seen.structure
        assert isinstance(minimum, Minimum)
        if seen.node is not None:
            return seen.node
        if seen.before is not None:
            return seen.before.node
        mark = seen.mark
        if mark is None:
            if not minimum.dissociated:
                return None
            return self._channel(minimum, minimum.energy)
        owner = self._window.stage(mark.trial)
        key = Key(LABEL if minimum.dissociated else CHARACTERISE, mark.place)
        if key not in owner.nodes:  # its own, met for the first time
            label = minimum.dissociated
            owner.nodes[key] = self._labelled(key, minimum) if label else self._new(mark, minimum)
        node = owner.nodes[key]
        if node is not None and not minimum.dissociated:
            self.note.is_node(minimum, node)
        return node

    def _channel(self, minimum: Minimum, energy: float) -> Id:
        """The node of a channel with this energy in eV, added if it is new."""
        origin = self._stage.planned.item.eq
        id, is_new = self.note.network.add_dc(minimum.positions, energy, origin=origin)
        if is_new:
            self.note.new[id] = self.note.network.dcs[id]
        return id

    def _labelled(self, key: Key, minimum: Minimum) -> Id | None:
        """The node of a channel with its energy on the reference; None if that failed."""
        answer = self._answers[key].value
        return self._channel(minimum, answer.energy) if isinstance(answer, Labelled) else None

    def _new(self, mark: Mark, minimum: Minimum) -> Id | None:
        """The node of a minimum that was new: a known one, or added; None if it is no node."""
        note, network = self.note, self.note.network
        answer = self._answers[Key(CHARACTERISE, mark.place)]
        point = answer.value
        if not isinstance(point, StationaryPoint):
            outcome = answer.outcome or Outcome.SURFACE_FAILED
            before = note.dismissals.find("EQ", minimum.positions, minimum.energy)
            if before is None or outcome is not Outcome.DOUBTED:
                note.dismiss("EQ", minimum, outcome, answer.error, None)
            return None
        id = network.find_eq(point.positions, point.energy) or self._turned(mark, point)
        if id is None:
            id, _ = network.add_eq(point)
            note.new[id] = network.eqs[id]
        note.is_node(point, id)
        wanted = self._window.comparisons.wanted(mark.place, self._answers)
        if wanted is not None:
            note.is_node(replace(point, positions=wanted[0], energy=wanted[1]), id)
        return id

    def _turned(self, mark: Mark, point: StationaryPoint) -> Id | None:
        """The id of the node that a minimum is by a rotation without a barrier; None if none."""
        number = proven(self._answers, Key(COMPARE, mark.place))
        if number is None:
            return self.note.dismissals.node(point.positions, point.energy)
        other = self._stage.others[mark.place][number]
        if isinstance(other, Id):
            return other
        return self._window.stage(other.trial).nodes.get(Key(CHARACTERISE, other.place))

    def _is_doubted(self, seen: Sighting) -> bool:
        """Whether an end was rejected only because a learned surface is unreliable there."""
        if seen.before is not None:
            return seen.before.outcome is Outcome.DOUBTED
        if seen.mark is None:
            return False
        answers = self._window.stage(seen.mark.trial).answers
        answer = answers.get(Key(CHARACTERISE, seen.mark.place))
        return answer is not None and answer.outcome is Outcome.DOUBTED
