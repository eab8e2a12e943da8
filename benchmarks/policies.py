"""How well the learned policy does on molecules that it was not trained on.

`replay` takes runs of the part `unseen` of `policy_molecules.json`, 150 trials each with offers in
random order; those that are missing are made. Their trials are replayed in the order of the model,
of a table of what each kind of push brings, and at random. `--without N` trains without any
molecule that has nitrogen, and looks only at those that have it. `live` explores with two policies
until both have asked for so many gradients, and counts transition states.

    python benchmarks/policies.py replay runs/unseen --training runs/training
    python benchmarks/policies.py live learned stochastic --molecules furan --output runs/live
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from policy_runs import PARTS, SURFACE, make_runs, molecules, worlds
from table import print_table

from afir.units import KJ_PER_MOL
from mlpot.policies.directions import table_of
from mlpot.policies.evaluation import Held, judged, summary
from mlpot.policies.model import load_model, shipped_model
from mlpot.policies.replay import LOW
from mlpot.policies.rows import rows_of
from mlpot.policies.training import learned_from
from networks import Settings, explore
from networks.storage.run_file import RunFile

REPLAY = ("molecule", "TSs", "random", "learned", "table", "oracle", "AUC", "table AUC")


def replay(args: argparse.Namespace) -> None:
    training, unseen = (
        worlds(make_runs("training", args.training)),
        worlds(make_runs("unseen", args.folder)),
    )
    if args.without:
        element = atomic_numbers[args.without]
        training = [world for world in training if element not in world.numbers]
        unseen = [world for world in unseen if element in world.numbers]
    if isomers := {world.formula for world in training} & {world.formula for world in unseen}:
        sys.exit(f"unseen molecules must be no isomers of those of the training: {sorted(isomers)}")
    rng = np.random.default_rng(args.seed)
    data = [rows_of(world, rng) for world in training]
    table, rng = table_of(data), np.random.default_rng(args.seed)
    if args.without:
        model = learned_from(training, data, args.seed, {})
    else:
        model = load_model(args.model) if args.model else shipped_model()
    held = [judged(world, rows_of(world, rng), model, table) for world in unseen]
    columns, rows = REPLAY, [_row(each) for each in held]
    if args.without:
        full = [judged(world, rows_of(world, rng), shipped_model(), table) for world in unseen]
        columns = (*REPLAY, "shipped model")
        rows = [
            (*row, _number(each.relative("learned"))) for row, each in zip(rows, full, strict=True)
        ]
        ratio = summary(held)["learned_gradients"] / summary(full)["learned_gradients"]
        print(f"gradients without {args.without} relative to the shipped model: {ratio:.3f}")
    print_table(columns, rows, markdown=args.markdown)
    means = [(name, _number(x, 3)) for name, x in summary(held).items()]
    print_table(("mean", "value"), means, markdown=args.markdown)


def _row(held: Held) -> tuple[str, ...]:
    return (
        *(held.name, str(held.tss), _number(held.gradients["random"], 0)),
        *(_number(held.relative(order)) for order in ("learned", "table", "oracle")),
        *(_number(held.auc), _number(held.table_auc)),
    )


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""


def live(args: argparse.Namespace) -> None:
    known = {name: found for part in PARTS for name, found in molecules(part).items()}
    args.output.mkdir(parents=True, exist_ok=True)
    options = [json.loads(text) for text in (args.options, args.other_options)]
    counts: dict[str, list[np.ndarray[Any, Any]]] = {}
    for name in args.molecules.split(","):
        for seed in range(args.seeds):
            each = []
            for place, (policy, given) in enumerate(
                zip((args.policy, args.other), options, strict=True)
            ):
                file = args.output / f"{place}-{policy}-{name}-{seed}.db"
                settings = Settings(
                    SURFACE,
                    policy=policy,
                    policy_options=given,
                    seed=seed,
                    max_gradients=args.gradients,
                    in_flight=args.in_flight,
                )
                if not file.exists():
                    draft = file.with_suffix(".part")
                    draft.unlink(missing_ok=True)
                    for _ in explore(*known[name], settings, draft):
                        pass
                    draft.rename(file)
                each.append(found_within(file, args.gradients))
            counts.setdefault(name, []).append(np.array(each))
    _print_live(args, {name: np.sum(some, axis=0) for name, some in counts.items()})


def found_within(file: Path, gradients: int) -> tuple[int, int]:
    """The TSs, and the low ones among them, of the first trials that stay within some gradients."""
    with RunFile.open(file) as store:
        network, trials = store.load_network(), list(store.trials())
    limit = network.eqs["EQ0"].energy + LOW * KJ_PER_MOL
    spent, found = 0, []
    for trial in trials:
        spent += sum(trial.gradients.values())
        if spent > gradients:
            break
        found += [network.tss[id] for id in trial.found if id in network.tss]
    return len(found), sum(ts.energy < limit for ts in found)


def _print_live(args: argparse.Namespace, sums: dict[str, np.ndarray[Any, Any]]) -> None:
    rows, logs = [], []
    for name, ((tss, low), (other, other_low)) in sums.items():
        logs += [math.log(tss / other)] if tss and other else []
        rows.append(_counts(name, tss, other, low, other_low))
    (tss, low), (other, other_low) = np.sum(list(sums.values()), axis=0)
    rows.append(_counts("all", tss, other, low, other_low))
    policies = args.policy, args.other
    counted = (f"{sort} {policy}" for sort in ("TSs", "low") for policy in policies)
    print_table(("molecule", *counted, "TSs ratio", "low ratio"), rows, markdown=args.markdown)
    if logs:
        print(f"geometric mean of the ratios of TSs: {math.exp(sum(logs) / len(logs)):.3f}")


def _counts(name: str, tss: int, other: int, low: int, other_low: int) -> tuple[str, ...]:
    ratios = (_number(a / b) if b else "" for a, b in ((tss, other), (low, other_low)))
    return (name, *map(str, (tss, other, low, other_low)), *ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", action="store_true")
    what = parser.add_subparsers(required=True)
    one = what.add_parser("replay", help="replays of runs of unseen molecules")
    one.add_argument("folder", type=Path, help="of the runs of unseen molecules")
    one.add_argument("--training", type=Path, required=True, help="folder of the runs of training")
    one.add_argument("--model", type=Path, help="the shipped one if it is not given")
    one.add_argument("--without", metavar="ELEMENT")
    one.add_argument("--seed", type=int, default=0)
    one.set_defaults(do=replay)
    two = what.add_parser("live", help="explorations with two policies")
    two.add_argument("policy")
    two.add_argument("other")
    two.add_argument("--options", default="{}", help="of the first policy, JSON")
    two.add_argument("--other-options", default="{}", help="of the second policy, JSON")
    two.add_argument("--molecules", required=True, help="names, with commas between them")
    two.add_argument("--seeds", type=int, default=1)
    two.add_argument("--gradients", type=int, default=9000)
    two.add_argument("--in-flight", type=int, default=4)
    two.add_argument("--output", type=Path, required=True, help="folder of the runs")
    two.set_defaults(do=live)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()
