"""Runs the parts that are named, or all, and prints a table for each."""

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

from faults import bodies, comparison, drips, echoes, kills, pairs, pauses, table, triggers
from faults.report import Report

# How many there are of each, and how many with --fast.
_COUNTS = {
    "triggers": (1000, 8),
    "kills": (100, 6),
    "pairs": (200, 8),
    "pauses": (100, 5),
}
_PARTS = ("table", "kills", "triggers", "pairs", "pauses", "drips", "bodies", "echoes", "peers")
_NOT_FAST = ("peers",)


def main() -> None:
    """Measure; the exit code says whether every goal is met."""
    options = _options()
    parts = _parts(options)
    usual = [name for name in parts if not (options.fast and name in _NOT_FAST)]
    reports = []
    for name in options.parts or usual:
        reports.append(parts[name]())
        sys.stdout.write(f"{reports[-1]}\n")
        sys.stdout.flush()
    sys.exit(0 if all(report.is_good for report in reports) else 1)


def _parts(options: argparse.Namespace) -> dict[str, Callable[[], Report]]:
    return {
        "table": lambda: table.measure(fast=options.fast),
        "kills": lambda: kills.measure(options.kills, seed=options.seed),
        "triggers": lambda: triggers.measure(options.triggers, seed=options.seed),
        "pairs": lambda: pairs.measure(options.pairs, seed=options.seed),
        "pauses": lambda: pauses.measure(options.pauses, seed=options.seed),
        "drips": lambda: drips.measure(fast=options.fast),
        "bodies": bodies.measure,
        "echoes": lambda: echoes.measure(fast=options.fast),
        "peers": lambda: comparison.measure(options.venvs),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(_PARTS))
    parser.add_argument("--fast", action="store_true", help="less of everything, and no peers")
    for part, (usual, _) in _COUNTS.items():
        parser.add_argument(f"--{part}", type=int, help=f"how many (default {usual})")
    parser.add_argument("--seed", type=int, help="repeat the random choices of another time")
    parser.add_argument(
        "--venvs",
        type=Path,
        default=Path("data/peers"),
        help="folder of the peers' virtual environments, made when missing (default data/peers)",
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.parts) - set(_PARTS)):
        parser.error(f"no part is named {', '.join(unknown)}; there are {', '.join(_PARTS)}")
    for part, counts in _COUNTS.items():
        if getattr(options, part) is None:
            setattr(options, part, counts[options.fast])
    if options.seed is None:
        options.seed = random.randrange(10**6)  # noqa: S311  # to be repeated, not to be secret
    return options


if __name__ == "__main__":
    main()
