"""What it costs a policy to choose one offer among very many, and to learn from its trial.

Conformers and isomers of n-butane with made-up energies are open, all with the offers of mode
following, inversions and SC-AFIR. Each chosen offer is answered at once and learned.

    OMP_NUM_THREADS=1 python benchmarks/choices.py --markdown
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from ase.build import molecule as build
from table import print_table

from afir import Molecule, Outcome, StationaryPoint
from networks import Settings
from networks.graph.network import ReactionNetwork
from networks.policies.base import load_policy
from networks.policies.choice import Choice
from networks.records.ids import Id
from networks.records.structures import EQ, content
from networks.records.trials import Item, Trial
from networks.scheduling.offers import Mixture
from networks.scheduling.queue import Frontier

ATOMS = build("trans-butane")
MOLECULE = Molecule(tuple(ATOMS.numbers))
POLICIES = ("lowest-energy", "exhaustive", "stochastic", "learned")
COLUMNS = ("policy", "EQ", "offers", "first s", "choice µs", "learning µs", "choices / s")
WIDTH = 3.0  # eV: energies are spread over this


def structures(count: int) -> list[EQ]:
    """Displaced butanes; in every third the carbon and hydrogen atoms have changed places."""
    rng = np.random.default_rng(0)
    size = 3 * MOLECULE.n_atoms
    made = []
    for number in range(count):
        order = rng.permutation(MOLECULE.n_atoms) if number % 3 == 1 else slice(None)
        x = ATOMS.positions[order] + rng.normal(size=ATOMS.positions.shape) * 0.05
        energy = float(rng.uniform(0.0, WIDTH)) if number else 0.0
        mode = np.full(x.shape, size**-0.5)
        point = StationaryPoint(x, energy, 1e-4, np.eye(size), np.ones(size - 6), mode, 0)
        made.append(EQ(**content(point), id=Id.of("EQ", number)))
    return made


def trial(number: int, item: Item, frontier: Frontier) -> Trial:
    """A trial of an offer, which is used up; one of three finds something."""
    offer = frontier.take(item)
    rng = np.random.default_rng([number, item.push])
    return Trial(
        number=number,
        known=number - 1,
        eq=item.eq,
        push=item.push,
        method=offer.method,
        offer=offer.data,
        seed=(0,),
        outcome=Outcome.FOUND,
        crossed=True,
        gradients={"push": int(rng.integers(20, 600))},
        cpu_seconds=0.0,
        found=(f"TS{number}",) if rng.integers(3) == 0 else (),
        pushes_left=0,
    )


def measured(name: str, eqs: list[EQ], count: int) -> tuple[str, ...]:
    """The row of a policy."""
    network, mixture = ReactionNetwork(MOLECULE), Mixture(MOLECULE, Settings(), 0)
    frontier = Frontier(lambda eq: dict(enumerate(mixture.offers(eq))))
    for eq in eqs:
        network.insert(eq)
        frontier.add(eq)
    choice = Choice(name, load_policy(name))
    choosing, learning = [], []
    for number in range(count):
        began = time.process_time()
        (item,) = choice.choose(frontier, network, 1, np.random.default_rng(number))
        chosen = time.process_time()
        made = trial(number + 1, item, frontier)
        told = time.process_time()
        choice.learn([made], network)
        choosing.append(chosen - began)
        learning.append(time.process_time() - told)
    each, more = np.mean(choosing[1:]), np.mean(learning[1:])
    offers = np.mean([frontier.count(eq.id) for eq in eqs[:20]])
    return (
        name,
        str(len(eqs)),
        f"{offers:.0f}",
        f"{choosing[0]:.1f}",
        f"{1e6 * each:.0f}",
        f"{1e6 * more:.0f}",
        f"{1.0 / (each + more):.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--structures", type=int, default=1000, help="open EQs")
    parser.add_argument("--choices", type=int, default=2000, help="choices of each policy")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    eqs = structures(options.structures)
    rows = [measured(name, eqs, options.choices) for name in POLICIES]
    print_table(COLUMNS, rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
