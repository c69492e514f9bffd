"""Progress while a run goes on: a live view on a terminal, plain lines elsewhere. The only module that imports rich."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from agentjobs.text.for_people import clock, duration
from agentjobs.text.visible import visible
from agentjobs.views.events_text import event_line
from agentjobs.views.status_text import counts_line, live_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console, Group

    from agentjobs.model.facts import Json
    from agentjobs.views.status import Live

RECENT = 6
"""Events that the live view shows."""

SETTLED = ("DONE", "FAILED", "SKIPPED")


class View(Protocol):
    """Shows the state of a run after every turn."""

    def show(self, counts: Mapping[str, int], running: Sequence[Live], events: Sequence[Json], why: str) -> None:
        """Show the state; ``events`` are those since the last call, ``why`` what the run waits for."""


class Quiet:
    """Shows nothing."""

    def show(self, counts: Mapping[str, int], running: Sequence[Live], events: Sequence[Json], why: str) -> None:
        """Show nothing."""


class Lines:
    """A line on stderr for each event, for setup, and for what ran before; for logs and pipes."""

    def __init__(self) -> None:
        self._why = ""
        self._seen: set[tuple[str, int]] | None = None
        """Attempts of which the setup, or what ran at the beginning, was shown; None before the first turn."""

    def show(
        self,
        counts: Mapping[str, int],  # noqa: ARG002 - the protocol's
        running: Sequence[Live],
        events: Sequence[Json],
        why: str,
    ) -> None:
        """Print the events, and ``why`` when it changes."""
        for event in events:
            print(event_line(event), file=sys.stderr)
        begun = {event.get("id") for event in events}
        for live in running:
            before = self._seen is None and live.id not in begun
            if (before or live.step == "setup") and (live.id, live.attempt) not in (self._seen or ()):
                print(f"{clock(time.time())}  {live.id}  attempt {live.attempt}: {live.step} runs", file=sys.stderr)
        self._seen = (self._seen or set()) | {(live.id, live.attempt) for live in running}
        if why and why != self._why:
            print(f"agentjobs: {why}", file=sys.stderr)
        self._why = why
        sys.stderr.flush()


class Screen:
    """A bar, the counts, the running steps and the last events, redrawn in place."""

    def __init__(self, console: Console, update: Updates) -> None:
        self._console = console
        self._update = update
        self._recent: deque[Json] = deque(maxlen=RECENT)
        self._began = time.monotonic()

    def show(self, counts: Mapping[str, int], running: Sequence[Live], events: Sequence[Json], why: str) -> None:
        """Redraw."""
        self._recent.extend(events)
        self._update(self._drawn(counts, running, why))

    def _drawn(self, counts: Mapping[str, int], running: Sequence[Live], why: str) -> Group:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        total = sum(counts.values())
        settled = sum(counts.get(name, 0) for name in SETTLED)
        head = Table.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(total=max(1, total), completed=settled, width=30),
            Text(f"{settled}/{total}"),
            Text(duration(time.monotonic() - self._began), style="dim"),
        )
        steps = Table.grid(padding=(0, 2))
        now = time.time()
        room = max(3, self._console.height - RECENT - 8)
        for live in running[:room]:
            steps.add_row(*(Text(visible(cell)) for cell in live_cells(live, now)))
        parts: list[Table | Text] = [head, Text(counts_line(counts, total)), steps]
        if len(running) > room:
            parts.append(Text(f"… {len(running) - room} more running", style="dim"))
        if why:
            parts.append(Text(visible(why), style="yellow"))
        lines = [visible(event_line(event)) for event in self._recent]
        parts += [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines]
        return Group(*parts)


class Updates(Protocol):
    """Writes a drawing to the terminal."""

    def __call__(self, renderable: Group, *, refresh: bool = False) -> None:
        """Show it."""


@contextlib.contextmanager
def view(*, quiet: bool) -> Iterator[View]:
    """Return the view that fits: nothing, a live one on a terminal, or lines."""
    if quiet:
        yield Quiet()
        return
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console  # 60 ms, and only a person at a terminal sees it
    from rich.live import Live as Display

    # Rich adds escapes; the texts in it were made visible above.
    console = Console(file=getattr(sys.stderr, "stream", sys.stderr))
    with Display(console=console, auto_refresh=False, transient=False, redirect_stdout=False) as display:
        yield Screen(console, lambda drawn, refresh=True: display.update(drawn, refresh=refresh))
