"""The pushes to choose from follow from the trials, not from what was worked out before."""

from __future__ import annotations

import numpy as np

from afir.molecule import Molecule
from afir.stationary import Outcome, StationaryPoint
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.records.ids import Id
from networks.records.trials import Item, Known, Planned, Trial
from networks.scheduling.history import History
from networks.scheduling.offers import KICKS
from networks.scheduling.scheduler import Outlook
from networks.settings import Settings

ARGON = Molecule((18, 18, 18, 18))
SETTINGS = Settings(methods=("kick",), expand_complexes=True)  # offers without an end alone


def point(shift: float) -> StationaryPoint:
    """A minimum of four atoms that lie apart."""
    x = np.array([[0.0, 0.0, 0.0], [3.8 + shift, 0.0, 0.0], [0.0, 3.8, 0.0], [0.0, 0.0, 3.8]])
    waves, mode = np.full(6, 50.0), np.zeros((4, 3))
    return StationaryPoint(x, shift, 0.0, np.eye(12), waves, mode, 0)


def left(outlook: Outlook) -> dict[str, list[int]]:
    """The numbers of what each EQ has left."""
    frontier = outlook.frontier(1)
    return {id: list(frontier.left(id)) for id in frontier.eqs}


def test_a_find_among_offers_without_an_end_is_seen_at_once_as_after_a_kill() -> None:
    network, dismissals = ReactionNetwork(ARGON), Dismissals(ARGON)
    network.add_eq(point(0.0))
    history, trials = History(), []
    outlook = Outlook(SETTINGS, network, dismissals, history)
    outlook.read()
    for number in (1, 2, 3):
        item = Item(Id("EQ0"), KICKS + number - 1)
        frontier = outlook.frontier(1)
        offer, attempt = outlook.use(frontier, item), outlook.attempt(frontier)
        known = Known(number - 1, 1, 0, 0, 0)
        history.plan(Planned(number, number, item, offer, 0, None, None, attempt, known))
        found = ()
        if number == 3:
            id, _ = network.add_eq(point(0.6))
            found = (id,)
        trials.append(
            Trial(
                number=number,
                known=number - 1,
                eq=item.eq,
                push=item.push,
                method=offer.method,
                offer=offer.data,
                seed=(0,),
                outcome=Outcome.NO_SADDLE,
                crossed=False,
                gradients={"saddle": 1},
                cpu_seconds=0.0,
                found=found,
                pushes_left=0,
            )
        )
        history.add(trials[-1])
        outlook.take([network.eqs[id] for id in found])
    resumed = Outlook(SETTINGS, network, dismissals, History(trials))
    resumed.read()
    assert left(outlook) == left(resumed)
    assert list(left(outlook)) == ["EQ1"]  # which had none yet
