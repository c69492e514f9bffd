"""``prompt --explain`` as text: the parts of a prompt. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.text.for_people import columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.prompts.size import Explained

OF_ONE_KIND = 20
"""Most left-out things of one section that are named."""


def explained(found: Explained) -> Iterator[str]:
    """Yield the lines: a table of sections, and below it what was left out of each."""
    rows = [("section", "tokens", "budget", "left out")]
    for part in found.sections:
        budget = "" if part.budget is None else f"{part.budget:,}"
        rows.append((part.name, f"{part.tokens:,}", budget, f"{len(part.left_out):,}" if part.left_out else ""))
    rows.append(("the rest", f"{found.rest:,}", "", ""))
    rows.append(("total", f"{found.total:,}", f"{found.limit:,}", ""))
    yield from columns(rows)
    yield ""
    own = f" without the {found.overhead:,} of the agent's own prompt" if found.overhead else ""
    yield (
        f"{found.limit:,} tokens fit: {found.fit:.0%} of the {found.window:,} of the window{own}. "
        f"Counted as {found.agent} does: {found.factor:g} for one of o200k_base."
    )
    if found.made:
        more = f"; {found.made} {'was' if found.made == 1 else 'were'} made. "
        yield (
            f"This is a first attempt of {found.id} (profile {found.profile}){more}"
            "A repair also gets its errors, and has the sections as of the commit it started from."
        )
    else:
        yield f"This is the first attempt of {found.id} (profile {found.profile})."
    for part in found.sections:
        if part.left_out:
            yield ""
            yield f"Left out of {part.name}:"
            shown = part.left_out[:OF_ONE_KIND]
            yield from (f"  {' '.join(what.split())}: {why}" for what, why in shown)
            if len(part.left_out) > len(shown):
                yield f"  and {len(part.left_out) - len(shown):,} more (--json names all)"
