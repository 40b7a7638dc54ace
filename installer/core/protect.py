"""Keeps a process that holds secrets from being dumped or read by others of the same user."""

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def protect_process() -> None:
    """No core file, no core handed to a crash collector, no ptrace and no ``/proc/PID/mem`` or
    ``environ`` for others without privileges (prctl(2), PR_SET_DUMPABLE).

    A program started from here begins undumpable only until its exec; its core limit stays 0.
    Raises OSError when the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
