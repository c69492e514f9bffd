"""A check of an output against a JSON Schema: ``checks`` of a profile in agentjobs.toml. Pure."""

from __future__ import annotations

import shlex

from msgspec import Struct

from agentjobs.text.toml import FieldError

ID = "{id}"
"""Stands for the task's id in ``file``."""


class SchemaCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that the task writes, and the JSON Schema that it must fit.

    These checks run before `verify`, in the order in which they stand.
    """

    schema: str
    """Path of the JSON Schema, from the project root: the one that lies there counts, whatever a tree has."""
    file: str
    """Path of the file in the tree, from its top; `{id}` is the task's id."""
    lines: bool = False
    """JSON Lines: each line that is not blank must fit."""

    def __post_init__(self) -> None:
        for key, path in (("schema", self.schema), ("file", self.file)):
            if not path.strip("/.") or path.startswith("/") or ".." in path.split("/") or not path.isprintable():
                raise FieldError(key, f"{path!r} is not a path below the top")
        if "{" in self.schema or "}" in self.schema:
            raise FieldError("schema", f"{self.schema!r}: nothing is filled in here")
        left = self.file.replace(ID, "")
        if "{" in left or "}" in left:
            raise FieldError("file", f"{self.file!r}: only {ID} is filled in")

    @property
    def command(self) -> str:
        """The check as a shell command; the id is a variable of its environment."""
        file = '"$AGENTJOBS_TASK"'.join(shlex.quote(part) if part else "" for part in self.file.split(ID))
        words = ['"$AGENTJOBS_PYTHON" -P -m agentjobs validate', f'"$AGENTJOBS_ROOT"/{shlex.quote(self.schema)}']
        if self.file.startswith("-"):
            file = f"./{file}"
        return " ".join([*words, file, *(["--lines"] if self.lines else [])])
