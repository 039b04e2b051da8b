"""Measuring in turns, so that a busy machine is busy for all that are compared."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Measure = Callable[[], float]


@dataclass(frozen=True)
class Spread:
    """The same number from several rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The number that half of the rounds do not reach."""
        return statistics.median(self.values)

    def show(self, digits: int = 2) -> str:
        """The median, with the extremes in brackets."""
        low, high = min(self.values), max(self.values)
        return f"{self.median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def alternate(rounds: int, *measures: Measure) -> list[Spread]:
    """Run measures in turns; every second round goes backwards, so that none is always first.

    Args:
        rounds: How often each is run.
        measures: Each returns what it measured, mostly seconds.

    Returns:
        For each measure its numbers, in the order of the rounds.
    """
    found: list[list[float]] = [[] for _ in measures]
    order = list(range(len(measures)))
    for _ in range(rounds):
        for index in order:
            found[index].append(measures[index]())
        order.reverse()
    return [Spread(tuple(values)) for values in found]


def ratios(above: Spread, below: Spread) -> Spread:
    """The ratio of two measures in each round."""
    pairs: Sequence[tuple[float, float]] = list(zip(above.values, below.values, strict=True))
    return Spread(tuple(numerator / denominator for numerator, denominator in pairs))


def seconds_of(action: Callable[[], object]) -> float:
    """How long an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
