"""A person who presses Ctrl-C while the main thread waits for others."""

import signal
import sys
import threading
from types import FrameType

from dbt_trigger_dagster_tests.clocks import until


def interrupt_what_waits() -> None:
    """Interrupt the main thread once it waits for results, and not while it hands out the work.

    Python's own locks may be left locked by an interrupt that comes while a thread is started.
    """
    main = threading.main_thread().ident or 0
    frames = sys._current_frames  # there is no other way to see it
    until(lambda: "result_iterator" in _functions_of(frames()[main]), "it waits")
    signal.pthread_kill(main, signal.SIGINT)


def _functions_of(frame: FrameType | None) -> list[str]:
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names
