"""Questions on the terminal that Ctrl+C ends at once."""

import getpass
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def interruptible() -> Iterator[None]:
    """Lets Ctrl+C raise KeyboardInterrupt in a read that blocks.

    ``asyncio.run`` makes the first one a cancellation of its task, which is delivered at the next
    await only (https://docs.python.org/3/library/asyncio-runner.html#handling-keyboard-interruption):
    a question would stay on the screen until Enter.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ask(question: str, out: TextIO) -> str:
    """One line from the keyboard; empty at its end. Raises KeyboardInterrupt."""
    out.write(question)
    out.flush()
    with interruptible():
        return sys.stdin.readline().strip()


def ask_hidden(question: str) -> str:
    """The same without echo, from the terminal itself. Raises KeyboardInterrupt, EOFError."""
    with interruptible():
        return getpass.getpass(question)
