"""What learned surfaces gain from batches, and what the searches cost beside them.

First displaced geometries of butadiene, evaluated one by one and 64 at a time by networks that
were not trained, and one by one by schnetpack's own calculator for ASE with the same weights.
Then 64 pushes of butadiene side by side on networks that were trained for a minute, with the time
inside the networks, inside the searches and between the two measured apart.

    python benchmarks/batches.py --markdown
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import ase
import numpy as np
import torch
from counted import CountedSurface, Meter
from schnetpack.atomistic import Atomwise, Forces, PairwiseDistances
from schnetpack.interfaces import SpkCalculator
from schnetpack.model import NeuralNetworkPotential
from schnetpack.transform import MatScipyNeighborList
from table import print_table

from afir.errors import SurfaceError
from afir.io.structures import read_structure
from afir.methods.afir_path import PushPath, push
from afir.methods.pushes import pushes
from afir.molecule import Molecule, Positions
from afir.pes.driver import Level, Search, drive, solve, stage
from afir.pes.loading import load_surface
from afir.pes.surface import Evaluation, Surface
from afir.searches.settings import StepSettings
from afir.stationary import StationaryPoint
from afir.verification.minima import characterise
from mlpot.dataset import Dataset
from mlpot.neural.architecture import REPRESENTATIONS, Architecture
from mlpot.neural.model import Network
from mlpot.neural.potential import Description, Potential, Prediction
from mlpot.neural.training import Frames, Training, references, train, typical_gradient
from mlpot.surface import LearnedSurface

MOLECULE, START = read_structure(Path(__file__).parent.parent / "examples" / "butadiene.xyz")
BATCH = 64
PUSHES = 64
SPEED = (
    "network",
    "precision",
    "ASE ms",
    "one by one ms",
    "batch ms",
    "over one by one",
    "over ASE",
    "difference eV/Å",
)
DRIVEN = (
    "surface",
    "gradients",
    "batches",
    "networks ms",
    "batching ms",
    "searches ms",
    "batching / networks",
    "share beside",
)


def fastest(*jobs: Callable[[], object], rounds: int) -> list[float]:
    """CPU seconds of each job: the shortest of several rounds in which they take turns."""
    best = [float("inf")] * len(jobs)
    for _ in range(rounds):
        for index, job in enumerate(jobs):
            begin = time.process_time()
            job()
            best[index] = min(best[index], time.process_time() - begin)
    return best


def state(architecture: Architecture, seed: int) -> dict[str, torch.Tensor]:
    """Weights as they are before training."""
    torch.manual_seed(seed)
    weights: dict[str, torch.Tensor] = Network(architecture).state_dict()
    return weights


def calculator(architecture: Architecture, weights: dict[str, torch.Tensor], dtype: str) -> object:
    """Schnetpack's calculator of the same network."""
    network = Network(architecture)
    network.load_state_dict(weights)
    readout = Atomwise(architecture.features, output_key="energy")
    readout.outnet = network.readout
    model = NeuralNetworkPotential(
        network.representation,
        input_modules=[PairwiseDistances()],
        output_modules=[readout, Forces()],
    ).requires_grad_(False)
    return SpkCalculator(
        model=model,
        neighbor_list=MatScipyNeighborList(cutoff=architecture.cutoff),
        energy_unit="eV",
        dtype=getattr(torch, dtype),
    )


def speed(rounds: int) -> list[tuple[str, ...]]:
    """One row for each network and precision."""
    rng = np.random.default_rng(0)
    x = START + 0.08 * rng.normal(size=(BATCH, *START.shape))
    frames = [ase.Atoms(numbers=MOLECULE.numbers, positions=positions) for positions in x]
    few = 16  # of those that are evaluated alone
    rows = []
    for representation in REPRESENTATIONS:
        architecture = Architecture(representation)
        weights = state(architecture, 0)
        for dtype in ("float32", "float64"):
            potential = Potential(
                Description(architecture, {1: 0.0, 6: 0.0}), [weights], dtype=dtype
            )
            surface = LearnedSurface(MOLECULE, potential)
            theirs = calculator(architecture, weights, dtype)

            def ase_job(theirs: object = theirs) -> list[Positions]:
                slopes = []
                for atoms in frames[:few]:
                    theirs.calculate(atoms)  # type: ignore[attr-defined]
                    slopes.append(-theirs.results["forces"])  # type: ignore[attr-defined]
                return slopes

            def alone(surface: Surface = surface) -> list[Positions]:
                return [surface.evaluate(x[k : k + 1]).gradients[0] for k in range(few)]

            def together(surface: Surface = surface) -> Positions:
                return surface.evaluate(x).gradients

            same = np.abs(np.array(alone()) - together()[:few]).max()
            assert np.allclose(ase_job(), together()[:few], atol=1e-4), "not the same network"
            times = fastest(ase_job, alone, together, rounds=rounds)
            by_ase, single, batch = times[0] / few, times[1] / few, times[2] / BATCH
            rows.append(
                (
                    representation,
                    dtype,
                    *(f"{1e3 * seconds:.2f}" for seconds in (by_ase, single, batch)),
                    f"{single / batch:.1f}",
                    f"{by_ase / batch:.1f}",
                    f"{same:.0e}" if same else "0",
                )
            )
    return rows


@dataclass
class Clock:
    """CPU seconds spent inside something."""

    seconds: float = 0.0

    def around(self, predict: Callable[..., Prediction]) -> Callable[..., Prediction]:
        """The same function with its time added up."""

        def timed(molecule: Molecule, positions: Positions) -> Prediction:
            begin = time.process_time()
            prediction = predict(molecule, positions)
            self.seconds += time.process_time() - begin
            return prediction

        return timed

    def on(self, search: Search[PushPath]) -> Search[PushPath]:
        """The same search with its time added up."""
        reply: Evaluation | SurfaceError | None = None
        while True:
            begin = time.process_time()
            try:
                if isinstance(reply, SurfaceError):
                    asked = search.throw(reply)
                else:
                    asked = next(search) if reply is None else search.send(reply)
            except StopIteration as stop:
                result: PushPath = stop.value
                return result
            finally:
                self.seconds += time.process_time() - begin
            try:
                reply = yield asked
            except SurfaceError as error:
                reply = error


def pushed(surface: Surface, eq: StationaryPoint, clock: Clock) -> list[PushPath]:
    """The same pushes of a minimum, all side by side."""
    listed = pushes(MOLECULE, eq.positions, rng=np.random.default_rng(0))
    chosen = np.random.default_rng(1).permutation(len(listed))[:PUSHES]
    searches = [
        (
            int(k),
            clock.on(
                stage(
                    "push",
                    push(
                        MOLECULE,
                        eq.positions,
                        listed[k],
                        hessian=eq.hessian,
                        rng=np.random.default_rng([2, k]),
                    ),
                    Level.PATH,
                )
            ),
        )
        for k in chosen
    ]
    done = drive(searches, surface, width=PUSHES)
    return [finished.value for finished in done if finished.value is not None]


def lessons(paths: Sequence[PushPath]) -> Dataset:
    """Every third point of pushes as frames to learn from."""
    points = [point for path in paths for point in path.points][::3]
    return Dataset(
        MOLECULE,
        np.array([point.positions for point in points]),
        np.array([point.energy for point in points]),
        np.array([point.gradient for point in points]),
        tuple("" for _ in points),
        tuple("push" for _ in points),
    )


def trained(representation: str, count: int, data: Dataset, steps: int) -> Potential:
    """Networks that know pushes of butadiene well enough to be pushed on."""
    known = references(data)
    scale = typical_gradient(data)
    shift = sum(known[z] for z in MOLECULE.numbers)
    learned = Dataset(
        data.molecule,
        data.positions,
        data.energies - shift,
        data.gradients,
        data.groups,
        data.stages,
    )
    architecture = Architecture(representation)
    training = Training(epochs=1, fewest_steps=steps)
    states = train(
        architecture, training, Frames(learned, learned.part(range(32)), scale), range(count)
    )
    return Potential(Description(architecture, known, scale), states)


def driven(rounds: int, steps: int) -> list[tuple[str, ...]]:
    """One row for each surface: 64 pushes of one structure."""
    gfn2 = load_surface("gfn2", MOLECULE)
    eq = solve(characterise(MOLECULE, START, StepSettings()), gfn2)
    data = lessons(pushed(gfn2, eq, Clock()))
    schnet, painn = trained("schnet", 1, data, steps), trained("painn", 4, data, steps)
    kinds = [
        ("SchNet", schnet.description, schnet.states),
        ("PaiNN", painn.description, painn.states[:1]),
        ("4 PaiNN", painn.description, painn.states),
    ]
    best: dict[str, tuple[float, tuple[str, ...]]] = {}
    for _ in range(rounds):
        for name, description, states in kinds:
            potential = Potential(description, states)
            inside, clock, meter = Clock(), Clock(), Meter()
            potential.predict = inside.around(potential.predict)  # type: ignore[method-assign]
            surface = CountedSurface(LearnedSurface(MOLECULE, potential), meter)
            begin = time.process_time()
            pushed(surface, eq, clock)
            total = time.process_time() - begin
            networks, searches = inside.seconds, clock.seconds
            batching = total - networks - searches
            row = (
                name,
                str(meter.gradients),
                str(meter.calls),
                *(f"{1e3 * t / meter.gradients:.2f}" for t in (networks, batching, searches)),
                f"{batching / networks:.0%}",
                f"{(batching + searches) / total:.0%}",
            )
            if name not in best or total < best[name][0]:
                best[name] = total, row
    return [row for _, row in best.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="of which the fastest counts")
    parser.add_argument("--steps", type=int, default=600, help="of training before the pushes")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print_table(SPEED, speed(options.rounds), markdown=options.markdown)
    print()
    print_table(DRIVEN, driven(options.rounds, options.steps), markdown=options.markdown)


if __name__ == "__main__":
    main()
