"""The remains of a run: untried pushes, EQs above the window, unseen transition states."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from afir.errors import AfirError
from networks.graph.flags import LOOP, flags_of
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.ids import Id
from networks.records.trials import Trial
from networks.scheduling.history import History
from networks.scheduling.offers import KICKS, missing_method
from networks.scheduling.scheduler import KeptBack, Outlook
from networks.scheduling.unseen import Unseen, unseen
from networks.settings import Settings

MOST_UNTRIED = 100
"""With more EQs that were not pushed, pushes are not counted: each EQ takes up to 0.05 s."""


@dataclass(frozen=True)
class Remains:
    """The remains of a run.

    Attributes
    ----------
    unseen
        Estimate of the transition states that are still unseen.
    eqs_above
        Number of EQs that were not pushed only because they lie above the window.
    pushes, pushes_left
        Number of pushes of the EQs that are worth expanding, and how many of them were never
        tried, without random geometries. None if they were not counted.
    eqs_untried
        Number of EQs that are worth expanding and were not pushed at all.
    eqs_deeper, complexes
        Number of EQs that were not pushed only because of ``bond_depth``, or only because they
        are complexes.
    eqs_several
        The EQs that were not pushed for more than one of these reasons, by their reasons.
    uncounted
        Why the pushes that are left could not be counted, without a full stop: a method of the run
        is not installed here, or fails. Empty if they were, or were not to be.
    """

    unseen: Unseen = field(default_factory=Unseen)
    eqs_above: int = 0
    pushes: int | None = None
    pushes_left: int | None = None
    eqs_deeper: int = 0
    complexes: int = 0
    eqs_untried: int = 0
    uncounted: str = ""
    eqs_several: Mapping[tuple[KeptBack, ...], tuple[Id, ...]] = field(default_factory=dict)


def remains_of(
    settings: Settings,
    network: ReactionNetwork,
    trials: Sequence[Trial],
    *,
    over: bool,
    count_pushes: bool,
) -> Remains:
    """The remains of a run.

    Parameters
    ----------
    settings
        Of the run.
    network
        What is known.
    trials
        All trials, in order.
    over
        Whether nothing was left to try.
    count_pushes
        Whether to count pushes, which must be worked out for each EQ that was not pushed yet; not
        done for more than `MOST_UNTRIED` EQs.
    """
    outlook = Outlook(settings, network, Dismissals(network.molecule), History(trials))
    ceiling = outlook.ceiling if network.eqs else None
    # Loops connect nothing; a saddle point on a flat rotation is no transition state.
    wanted = {
        ts.id
        for ts in network.tss.values()
        if LOOP not in flags_of(ts) and (ceiling is None or ts.energy <= ceiling)
    }
    counts, pushes = incidence(trials, wanted)
    pushed = {trial.eq for trial in trials}
    untried = [eq for eq in network.eqs.values() if eq.id not in pushed]
    kept: defaultdict[tuple[KeptBack, ...], list[Id]] = defaultdict(list)
    for eq in untried:
        kept[outlook.kept_back(eq)].append(eq.id)
    found = Remains(
        unseen(counts.values(), pushes),
        eqs_above=len(kept[KeptBack.WINDOW,]),
        eqs_deeper=len(kept[KeptBack.DEPTH,]),
        complexes=len(kept[KeptBack.COMPLEX,]),
        eqs_several={reasons: tuple(ids) for reasons, ids in kept.items() if len(reasons) > 1},
        eqs_untried=len(kept[()]),
    )
    if not count_pushes or (found.eqs_untried > MOST_UNTRIED and not over):
        return found
    listed = {_push(trial) for trial in trials if trial.push < KICKS}
    left = 0
    if not over:
        missing = missing_method(settings)
        if missing is not None:
            return replace(found, uncounted=f"the method {missing!r} is not installed here")
        try:
            outlook.read()
            left = outlook.all_never_tried()
        except AfirError as error:  # of a method; what was found must still be shown
            return replace(found, uncounted=str(error))
    return replace(found, pushes=len(listed) + left, pushes_left=left)


def incidence(trials: Iterable[Trial], wanted: Collection[str]) -> tuple[Mapping[str, int], int]:
    """The number of pushes that reached each wanted transition state, and of all pushes.

    Further attempts of a push count as one with it: they reach the same transition states again,
    which would make the network look more complete than it is.
    """
    met: dict[tuple[str, str], set[str]] = {}
    for trial in trials:
        met.setdefault(_push(trial), set()).update(trial.met)
    return Counter(id for ids in met.values() for id in ids if id in wanted), len(met)


def _push(trial: Trial) -> tuple[str, str]:
    """The EQ and the offer of a trial."""
    return trial.eq, trial.offered.text
