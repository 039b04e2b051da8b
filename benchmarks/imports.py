"""What importing this package costs above ``import dagster``, and that loading asks nobody.

Fresh interpreters import dagster first and this package then, and time both, so that each
difference is taken within one process.
"""

from benchmarks.interpreters import python
from benchmarks.report import Result
from benchmarks.rounds import Spread

_MODULES = ("dbt_trigger_dagster", "dbt_trigger_dagster.definitions")
_ROUNDS = 9
_GOAL_SECONDS = 0.15
_TIMER = """
import importlib, sys, time
started = time.perf_counter()
importlib.import_module("dagster")
base = time.perf_counter()
importlib.import_module(sys.argv[1])
print(base - started, time.perf_counter() - base)
"""


def measure() -> list[Result]:
    """Time the imports, then load the code location under guard."""
    return [*_import_times(), _requests_of_loading()]


def _import_times() -> list[Result]:
    timed: dict[str, list[tuple[float, float]]] = {module: [] for module in _MODULES}
    for _ in range(_ROUNDS + 1):
        for module in _MODULES:
            base, extra = map(float, python("-c", _TIMER, module).split())
            timed[module].append((base, extra))
    return [_result(module, pairs[1:]) for module, pairs in timed.items()]  # the first fills caches


def _result(module: str, pairs: list[tuple[float, float]]) -> Result:
    extra = Spread(tuple(extra for _, extra in pairs))
    ratio = Spread(tuple((base + extra) / base for base, extra in pairs))
    return Result(
        f"import {module} above import dagster",
        f"{extra.show(3)} s; {ratio.show()} times import dagster",
        f"<= {_GOAL_SECONDS} s",
        extra.median <= _GOAL_SECONDS,
    )


def _requests_of_loading() -> Result:
    calls = int(python("-m", "benchmarks.guarded_load"))
    return Result("loading the code location", f"{calls} network calls", "0", calls == 0)
