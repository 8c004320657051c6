"""Kill everything, many times, and count what was lost:  make test-faults [ARGS="--times 3"]"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time

from rich.console import Console
from rich.table import Table
from tests.faults.kills import FAULTS, PATIENCE, Tally, finish, play
from tests.faults.stage import Stage

COLUMNS = (
    "killed", "times", "alerts expected", "received", "duplicates", "rows missed", "median s to recover", "max",
)  # fmt: skip
console = Console(width=None if sys.stdout.isatty() else 120)


def run(stage: Stage, faults: list[str], times: int, seed: int, deadline: float) -> list[Tally]:
    """Rounds in an order drawn from the seed, until all are done or the time is up."""
    tallies = {name: Tally(name) for name in faults}
    order = [name for name in faults for _ in range(times)]
    random.Random(seed).shuffle(order)
    hosts = [*stage.entities]
    for i, name in enumerate(order):
        if time.monotonic() > deadline:
            console.print(f"time is up after {i} of {len(order)} kills", style="yellow")
            break
        pair = hosts[2 * i % len(hosts)], hosts[(2 * i + 1) % len(hosts)]
        done = play(stage, name, pair)
        tallies[name].rounds.append(done)
        finish(stage, done)
        console.print(
            f"{i + 1:4}/{len(order)} {name}: {done.received} of {done.expected} alerts, "
            f"{done.missed} rows missed, {done.seconds:.1f} s {done.problem}",
            highlight=False,
        )
    return [tally for tally in tallies.values() if tally.rounds]


def report(tallies: list[Tally]) -> Table:
    table = Table(*COLUMNS)
    for tally in tallies:
        table.add_row(*tally.row())
    return table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="kills of each kind (default 20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(FAULTS), help="this fault only; may be repeated")
    parser.add_argument("--minutes", type=float, default=60, help="no kill is begun after so long (default 60)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    began = time.monotonic()
    with Stage(args.seed).running() as stage:
        console.print(f"platform up after {time.monotonic() - began:.0f} s", highlight=False)
        deadline = time.monotonic() + args.minutes * 60
        tallies = run(stage, args.only or list(FAULTS), args.times, args.seed, deadline)
    console.print(report(tallies))
    kills = sum(len(tally.rounds) for tally in tallies)
    console.print(f"{kills} kills in {(time.monotonic() - began) / 60:.1f} min, seed {args.seed}", highlight=False)
    return 0 if all(tally.ok for tally in tallies) and kills == args.times * len(tallies) else 1


if __name__ == "__main__":
    assert PATIENCE > 30
    sys.exit(main())
