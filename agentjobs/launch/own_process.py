"""What our parent may leave us that breaks a program: closed streams, an ignored SIGCHLD, blocked signals.

Ignored SIGHUP, SIGINT and SIGTERM stay ignored in agentjobs itself: that is the purpose of `nohup` and a shell's `&`.
Steps start with the defaults in any case (``local.start``).
"""

from __future__ import annotations

import os
import signal
import sys

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def make_ready() -> None:
    """Correct the inherited state; call it before anything is opened or started."""
    _open_streams()
    # If it is ignored, the kernel forgets how children ended, and Python reports exit code 0 for each of them.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _open_streams() -> None:
    """Open /dev/null for each closed stream; otherwise a file that we open gets its number, and our output."""
    for number, (name, mode) in enumerate(_MODES.items()):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest free number, so this one
            os.set_inheritable(null, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - stays open to the end
