"""What a profile puts into prompts besides its template: ``[profiles.NAME.context]`` of agentjobs.toml. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Budget = Annotated[int, Meta(ge=0)]


class TaskContext(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a profile's prompts hold of the repository, each part under a budget: tokens as its agent counts them.

    A part whose budget is 0 is left away. All is read from the commit that the task starts from; what does not fit is
    left out whole. Where the whole prompt is over `fit`, the parts are cut back further.
    """

    files: Literal["paths", "inline", "none"] = "none"
    """The task's own files: `paths` names them, `inline` also shows what is in them."""
    inline_tokens: Budget = 20_000
    """Budget of what `files = "inline"` shows; a file that does not fit is named by its path alone."""
    imports_tokens: Budget = 0
    """Budget of the signatures of what those files import from other files of the repository, one level deep:
    JavaScript, TypeScript and Python."""
    tests_tokens: Budget = 0
    """Budget of the list of tests that import those files or mention their names, with the lines where."""
    memory_tokens: Budget = 0
    """Budget of AGENTS.md (or CLAUDE.md) of the directories of those files and of all above them, the nearest first;
    for agents that do not read it by themselves."""
    handoffs_tokens: Budget = 0
    """Budget of what the tasks in `after` left for this one; a template that prints `handoffs` by itself gets no more
    of them either."""
