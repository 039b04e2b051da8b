"""Runs the benchmarks and prints one table: what was measured, and whether a goal is met."""

import argparse
import sys
from collections.abc import Callable

from benchmarks import (
    buckets,
    command_line,
    downloads,
    glance,
    history,
    imports,
    landings,
    left_runs,
    memory,
    monitor_tick,
    node_events,
    node_results,
    traffic,
    upserts,
)
from benchmarks.report import Result, table

_BENCHMARKS: dict[str, Callable[[], list[Result]]] = {
    "traffic": traffic.measure,
    "downloads": downloads.measure,
    "buckets": buckets.measure,
    "memory": memory.measure,
    "glance": glance.measure,
    "history": history.measure,
    "upserts": upserts.measure,
    "imports": imports.measure,
    "command_line": command_line.measure,
    "monitor_tick": monitor_tick.measure,
    "landings": landings.measure,
    "left_runs": left_runs.measure,
    "node_events": node_events.measure,
    "node_results": node_results.measure,
}


def main() -> None:
    """Run what the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(_BENCHMARKS))
    wanted = parser.parse_args().names or list(_BENCHMARKS)
    if unknown := set(wanted) - set(_BENCHMARKS):
        known = ", ".join(_BENCHMARKS)
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}; there are {known}")
    results: list[Result] = []
    for name in wanted:
        sys.stderr.write(f"measuring {name} …\n")
        results += _BENCHMARKS[name]()
    sys.stdout.write(table(results) + "\n")


if __name__ == "__main__":
    main()
