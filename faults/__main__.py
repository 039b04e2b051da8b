"""Runs the parts that are named, or all, and prints a table for each."""

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

from faults import comparison, kills, table, triggers
from faults.report import Report

_TRIGGERS, _FAST_TRIGGERS = 1000, 8
_KILLS, _FAST_KILLS = 100, 6


def main() -> None:
    """Measure; the exit code says whether every goal is met."""
    options = _options()
    parts = _parts(options)
    usual = [name for name in parts if not (options.fast and name == "peers")]
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
        "peers": lambda: comparison.measure(options.venvs),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    known = ("table", "kills", "triggers", "peers")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(known))
    parser.add_argument("--fast", action="store_true", help="less of everything, and no peers")
    parser.add_argument("--triggers", type=int, help=f"how many (default {_TRIGGERS})")
    parser.add_argument("--kills", type=int, help=f"how many (default {_KILLS})")
    parser.add_argument("--seed", type=int, help="repeat the random choices of another time")
    parser.add_argument(
        "--venvs",
        type=Path,
        default=Path("data/peers"),
        help="folder of the peers' virtual environments, made when missing (default data/peers)",
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.parts) - set(known)):
        parser.error(f"no part is named {', '.join(unknown)}; there are {', '.join(known)}")
    if options.triggers is None:
        options.triggers = _FAST_TRIGGERS if options.fast else _TRIGGERS
    if options.kills is None:
        options.kills = _FAST_KILLS if options.fast else _KILLS
    if options.seed is None:
        options.seed = random.randrange(10**6)  # noqa: S311  # to be repeated, not to be secret
    return options


if __name__ == "__main__":
    main()
