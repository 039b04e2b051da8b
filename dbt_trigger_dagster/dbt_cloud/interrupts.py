"""Signals that interrupt the main thread: they come at any moment, and through any thread.

Python handles them in the main thread, between two steps of its own. A signal that comes right
before the main thread begins to wait wakes nobody, nor does one that another thread has got: so
whatever waits looks up from time to time.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What interrupts."""

LOOK_UP = 0.5
"""Longest time in seconds to wait without looking up."""

Handler = Callable[[int, FrameType | None], object] | signal.Handlers


def is_main_thread() -> bool:
    """Whether this is the thread that Python handles signals in."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def handled_by(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Let others handle signals in the block; in the main thread alone.

    Whoever handled them before handles them again then, all of them: also where an interrupt comes
    in the middle of that.

    Args:
        handlers: Who handles which; a signal that something else than Python handles is left out.
    """
    before = {number: signal.getsignal(number) for number in handlers}
    taken = {number: handler for number, handler in before.items() if handler is not None}
    try:
        for number in taken:
            signal.signal(number, handlers[number])
        yield
    finally:
        interrupt: BaseException | None = None
        for _ in (*taken, "once more"):  # each may come, and keep a handler from being put back
            try:
                for number, handler in taken.items():
                    signal.signal(number, handler)
                break
            except BaseException as error:  # noqa: BLE001  # raised below
                interrupt = interrupt or error
        if interrupt is not None:
            raise interrupt


@contextmanager
def held_back() -> Iterator[None]:
    """Let signals wait while threads are started: an interrupt in the middle would lose one.

    The threads leave signals to the main thread, whom a signal is to wake.
    """
    if not is_main_thread():
        yield
        return
    held: dict[int, None] = {}
    try:
        with handled_by(dict.fromkeys(SIGNALS, lambda number, _: held.setdefault(number))):
            if not hasattr(signal, "pthread_sigmask"):  # Windows has none
                yield
                return
            before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            try:
                yield
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
    finally:
        with ExitStack() as stack:  # what the first raises keeps none of the others
            for number in held:
                stack.callback(signal.raise_signal, number)
