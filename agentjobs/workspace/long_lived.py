"""A git that lives as long as it is asked, in place of one process for each question."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from agentjobs.model.errors import GitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentjobs.disk.run_command import Dialogue

Answer = TypeVar("Answer")


class UnansweredError(Exception):
    """Git gave no answer; the same question to a new process may show why."""


class LongLived:
    """One git, until ``close``; the next question starts another.

    ``start`` starts one (it is given what to call while we wait), ``ready`` makes the repository safe to read, ``free``
    unblocks a git that waits at a pipe and returns whether there was one.
    """

    def __init__(
        self, start: Callable[[Callable[[], object]], Dialogue], ready: Callable[[], object], free: Callable[[], bool]
    ) -> None:
        self._start, self._ready, self._free = start, ready, free
        self._dialogue: Dialogue | None = None
        self._freed = False
        self._one_at_a_time = Lock()

    def close(self) -> None:
        """End git, if it runs."""
        if self._dialogue is not None:
            self._dialogue.close()
            self._dialogue = None

    def ask(self, question: bytes, read: Callable[[bytes, Dialogue], Answer | None]) -> Answer | None:
        """Return what ``read`` makes of the first line of the answer and of what follows it.

        A git that died is replaced, once. Raises ``UnansweredError`` if that does not help either, and ``GitError`` if
        git takes too long.
        """
        with self._one_at_a_time:
            for _ in range(2):
                self._freed = False
                self._ready()
                try:
                    if self._dialogue is None:
                        self._dialogue = self._start(self._meanwhile)
                    answer = read(self._dialogue.ask(question), self._dialogue)
                    if answer is not None or not self._freed:
                        return answer  # otherwise it read the end of a pipe, which is removed now
                except TimeoutError as error:
                    self.close()
                    raise GitError(f"git was killed: {error}") from error
                except OSError:
                    pass
                except BaseException:
                    self.close()  # or the next question gets the answer to this one
                    raise
                self.close()
            raise UnansweredError

    def _meanwhile(self) -> None:
        self._freed |= self._free()
