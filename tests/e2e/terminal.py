"""An operator at a terminal of 80 columns: reads what is shown, types answers, hangs up."""

import fcntl
import os
import select
import struct
import termios
import threading
from collections.abc import Mapping
from typing import Self

from tests.e2e.product import SECONDS, Product, Ran


class Terminal:
    """A command line on a pseudo-terminal. Its output and errors are one stream, as on a screen."""

    def __init__(
        self, product: Product, *words: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        files = product.new_files()
        files[1].touch()
        self._out = files[0].open("wb", buffering=0)
        more = {"TERM": "xterm-256color", **(environment or {})}
        self.running = product.start(words, more, (slave, slave, slave), files, terminal=True)
        os.close(slave)
        self._stop, self._stopped = os.pipe()
        self._reader = threading.Thread(target=self._read, name="terminal")
        self._reader.start()
        self._seen = 0

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._stop], [], [])
            if self._stop in ready:
                return
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: nobody has the other end open any more
                return
            self._out.write(data)

    @property
    def text(self) -> str:
        """All that was shown so far, lines as the screen had them."""
        return self.running.out.replace("\r\n", "\n")

    def until(self, words: str, seconds: float = SECONDS) -> str:
        """Waits until these words stand on the screen after what was waited for before."""
        self.running.until(lambda _: words in self.text[self._seen :], seconds)
        self._seen = self.text.index(words, self._seen) + len(words)
        return self.text

    def type(self, line: str) -> None:
        os.write(self._master, line.encode() + b"\n")

    def interrupt(self) -> None:
        """Ctrl+C and nothing after it."""
        os.write(self._master, b"\x03")

    def hang_up(self) -> None:
        """Closes the terminal's window, so to speak: the kernel sends SIGHUP."""
        if self._master >= 0:
            os.write(self._stopped, b"x")
            self._reader.join()
            for fd in (self._master, self._stop, self._stopped):
                os.close(fd)
            self._master = -1
            self._out.close()

    def finish(self, seconds: float = SECONDS) -> Ran:
        ran = self.running.finish(seconds)
        self._reader.join(5)
        return ran

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
