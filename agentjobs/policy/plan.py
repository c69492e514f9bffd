"""What ``plan files`` makes tasks of: ``[plan]`` of agentjobs.toml. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from agentjobs.text.toml import FieldError

Several = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]


class Planning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files `plan files` makes tasks of, and how.

    With this section `agentjobs plan` alone is `plan files`. An option of the command goes before the key of its name.
    """

    include: tuple[str, ...] = ()
    """Globs of the files that are to be worked on, as in `.gitignore`; needed, unless the command names paths."""
    exclude: tuple[str, ...] = ()
    """Globs of files that are left out."""
    max_lines: Several = 3000
    """Lines of all files of a task together; a single file may be longer."""
    max_tokens: Several | None = None
    """Likewise in tokens; counted only where it is set."""
    one_per_file: bool = False
    """A task for each file; only files that import each other in a circle share one."""
    loose_order: bool = False
    """Say the order by `priority` alone: no task waits for what its files import, and late errors are the gate's."""
    co_change: Count = 5
    """Files that so many commits changed together, and half of those that changed either, share a task or are done
    one after the other; 0: history is not looked at."""
    rename: dict[str, str] = field(default_factory=dict)
    """Endings that change, `{ ".js" = ".ts" }`: a task may then write the new name as well."""
    profile: str | None = None
    """The profile of the tasks; `default` when left out."""
    by: Literal["dir", "none"] = "dir"
    """`dir`: files of one directory are kept together; `none`: by size and order of imports alone."""

    def __post_init__(self) -> None:
        for key, globs in (("include", self.include), ("exclude", self.exclude)):
            if "" in globs:
                raise FieldError(key, "an empty glob names nothing")
        for old, new in self.rename.items():
            for ending in (old, new):
                if not ending.startswith(".") or "/" in ending or not ending.isprintable():
                    raise FieldError("rename", f"{ending!r} is not an ending such as '.js'")

    def renamed(self, path: str) -> str:
        """Return the name a file is to have; its own where it stays."""
        fitting = [old for old in self.rename if path.endswith(old)]
        if not fitting:
            return path
        old = max(fitting, key=len)
        return path.removesuffix(old) + self.rename[old]
