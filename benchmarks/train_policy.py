"""Makes the model of the policy `learned` that is part of the package.

Explores the molecules of the part `training` of `policy_molecules.json` on GFN2-xTB, twice 100
trials each, with offers in random order on all structures, and in shares of 16 on each structure
in turn, and trains on these runs as `afir learn-policy` does. Runs that are in the folder already
are used. Tells how models do on formulas that were held out.

    python benchmarks/train_policy.py runs/training --markdown
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from policy_runs import make_runs, past
from table import print_table

import mlpot.policies
from mlpot.policies.trainer import train

SHIPPED = Path(mlpot.policies.__file__).with_name("default.npz")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of the runs")
    parser.add_argument("--output", type=Path, default=SHIPPED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    files = make_runs("training", args.folder)

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    report = train(map(past, files), args.output, seed=args.seed, tell=tell)
    training = report["training"]
    print(
        f"{training['runs']} runs of {len(training['formulas'])} formulas, {training['trials']} "
        f"trials, {training['tss']} TSs; {args.output.stat().st_size} bytes"
    )
    rows = [(name, f"{value:.3f}") for name, value in report["held_out"].items()]
    print_table(("formulas held out", "value"), rows, markdown=args.markdown)
    columns = ("share_of_trials", "new_tss_per_trial", "new_tss_per_1000_gradients")
    rows = [(row["direction"], *(f"{row[c]:.2f}" for c in columns)) for row in report["directions"]]
    print_table(("direction", "share", "TSs / trial", "TSs / 1,000"), rows, markdown=args.markdown)


if __name__ == "__main__":
    main()
