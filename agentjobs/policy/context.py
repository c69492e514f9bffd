"""What a profile adds to its prompts: ``[profiles.NAME.context]`` of agentjobs.toml. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Budget = Annotated[int, Meta(ge=0)]


class TaskContext(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parts of the repository that a profile adds to its prompts, each with a budget in tokens of its agent.

    A part with budget 0 is left out. Everything is read from the commit that the task starts from; an item that does
    not fit is left out as a whole. If the whole prompt is larger than `fit`, the parts are cut further.
    """

    files: Literal["paths", "inline", "none"] = "none"
    """The task's own files: `paths` lists them, `inline` also shows their content."""
    inline_tokens: Budget = 20_000
    """Budget for `files = "inline"`; of a file that does not fit only the path is given."""
    imports_tokens: Budget = 0
    """Budget for the signatures of what those files import from other files of the repository, one level deep:
    JavaScript, TypeScript and Python."""
    tests_tokens: Budget = 0
    """Budget for the list of tests that import those files or mention their names, with the line numbers."""
    memory_tokens: Budget = 0
    """Budget for AGENTS.md (or CLAUDE.md) in the directories of those files and above them, nearest first; for agents
    that do not read them by themselves."""
    handoffs_tokens: Budget = 0
    """Budget for the handoffs of the tasks in `after`; a template that prints `handoffs` itself has the same limit."""
