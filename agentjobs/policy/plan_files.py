"""Settings of ``plan files``: ``[plan]`` of agentjobs.toml. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from agentjobs.text.toml import FieldError

Several = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]


class Planning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files `plan files` turns into tasks, and how.

    With this section `agentjobs plan` alone is `plan files`. An option of the command overrides the key of the same
    name.
    """

    include: tuple[str, ...] = ()
    """Globs of the files to work on, as in `.gitignore`; needed unless the command names paths."""
    exclude: tuple[str, ...] = ()
    """Globs of files to leave out."""
    max_lines: Several = 3000
    """Lines of all files of a task together; a single file may be longer."""
    max_tokens: Several | None = None
    """Tokens of all files of a task together, like `max_lines`; counted only if set."""
    one_per_file: bool = False
    """One task per file; only files that import each other in a cycle share one."""
    loose_order: bool = False
    """Order tasks by `priority` only: no task waits for what its files import; the gate finds late errors."""
    co_change: Count = 5
    """Files that at least this many commits changed together, and half of those that changed either, share a task or
    are done one after the other; 0: ignore the history."""
    rename: dict[str, str] = field(default_factory=dict)
    """Endings that change, `{ ".js" = ".ts" }`: a task may then write the new name as well."""
    profile: str | None = None
    """The profile of the tasks; `default` if left out."""
    by: Literal["dir", "none"] = "dir"
    """`dir`: keep files of one directory together; `none`: only size and order of imports count."""

    def __post_init__(self) -> None:
        for key, globs in (("include", self.include), ("exclude", self.exclude)):
            if "" in globs:
                raise FieldError(key, "an empty glob matches nothing")
        for old, new in self.rename.items():
            for ending in (old, new):
                if not ending.startswith(".") or "/" in ending or not ending.isprintable():
                    raise FieldError("rename", f"{ending!r} is not an ending such as '.js'")

    def renamed(self, path: str) -> str:
        """Return the new name of a file; the same one if it does not change."""
        fitting = [old for old in self.rename if path.endswith(old)]
        if not fitting:
            return path
        old = max(fitting, key=len)
        return path.removesuffix(old) + self.rename[old]

    def names_after(self, path: str) -> tuple[str, ...]:
        """Return the new names that a file may get: `.ts` of `.js` is `.tsx` if there is JSX in the file."""
        new = self.renamed(path)
        if new == path:
            return ()
        return (new, f"{new}x") if path.endswith(".js") and new.endswith(".ts") else (new,)
