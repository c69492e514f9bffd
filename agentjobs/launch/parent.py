"""What our parent may have left us that breaks a program: closed streams, an ignored SIGCHLD, blocked signals.

Ignored SIGHUP, SIGINT and SIGTERM stay ignored in agentjobs itself: `nohup` and a shell's `&` mean just that. The steps
start with the defaults whatever we were given (``local.start``).
"""

from __future__ import annotations

import os
import signal
import sys

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def make_ready() -> None:
    """Put right what was inherited; call it before anything is opened or started."""
    _open_streams()
    # Ignored, it makes the kernel forget how children ended: Python then reports exit code 0 for each of them.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _open_streams() -> None:
    """Open /dev/null in place of each closed stream; else a file that we open gets its number, and our output."""
    for number, (name, mode) in enumerate(_MODES.items()):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest free number, so this very one
            os.set_inheritable(null, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - stays open to the end
