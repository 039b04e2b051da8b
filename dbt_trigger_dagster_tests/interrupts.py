"""A person who presses Ctrl-C while the main thread waits for others."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dbt_trigger_dagster_tests.clocks import until

_A_MOMENT = 0.2


def interrupt_what_waits() -> None:
    """Interrupt the main thread once it waits for results, and not while it hands out the work.

    Python's own locks may be left locked by an interrupt that comes while a thread is started.
    """
    main = threading.main_thread().ident or 0
    frames = sys._current_frames  # there is no other way to see it
    until(lambda: "result" in _functions_of(frames()[main]), "it waits")
    signal.pthread_kill(main, signal.SIGINT)


@contextmanager
def another_thread_gets(number: int, *, wanted: threading.Event) -> Iterator[None]:
    """A signal comes once it is wanted, and wakes nobody: so it is where another thread gets it.

    So it is too where it comes in the moment in which the main thread begins to wait.
    """
    is_over = threading.Event()

    def get() -> None:
        wanted.wait()
        # The main thread waits by the end of a moment; where it does not, it hears it too.
        if not is_over.wait(_A_MOMENT):
            signal.pthread_kill(threading.get_ident(), number)

    thread = threading.Thread(target=get)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        wanted.set()
        thread.join()


def _functions_of(frame: FrameType | None) -> list[str]:
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names
