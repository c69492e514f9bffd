"""What a file under ``cases/`` may say, read strictly: README.md beside this file describes it for people.

One file holds one case, or with ``[each]`` several inputs of one class: each value of the lists there at least once,
or all combinations. ``@NAME@`` in any text of the file is replaced by a value of the list ``NAME``.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NEEDS = ("bwrap", "linux", "node", "tmux", "user")
"""What a machine may lack. ``user``: the program runs without root's right to read and write anything."""
GIVEN = ("WORLD", "ROOT", "PYTHON")
"""Names that the runner replaces itself: the scratch directory, the project in it, the Python that runs the tests."""

_NAME = re.compile(r"@([A-Z][A-Z0-9_]*)@")


class BadCaseError(Exception):
    """A file that breaks the rules; the message names the file."""


class Step(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One thing that a person, or the world, does. Exactly one of the first four keys is set."""

    agentjobs: str | None = None
    """Run the program with these arguments."""
    shell: str | None = None
    """Run a bash script in the project; it must exit 0."""
    until: str | None = None
    """Wait until this bash script exits 0."""
    loop: int | None = None
    """Poll until a poll does not exit 0, but at most this many times; 0: any number."""
    exit: int | None = None
    """The exit code that ``agentjobs`` or ``loop`` must end with."""
    dir: str | None = None
    """Where to run it, from the project's directory."""

    def __post_init__(self) -> None:
        kinds = [name for name in ("agentjobs", "shell", "until", "loop") if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise ValueError(f"a step has one of agentjobs, shell, until, loop; this one has {kinds or 'none'}")
        if self.exit is not None and kinds[0] not in {"agentjobs", "loop"}:
            raise ValueError(f"exit says nothing about {kinds[0]}")


class Expect(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """The expected end. ``expecting.CHECKS`` has one function for each key."""

    exit: int | None = None
    status: dict[str, str | list[str]] | None = None
    note: dict[str, str] | None = None
    landed: dict[str, str] | None = None
    changed: list[str] | None = None
    says: list[str] | None = None
    never_says: list[str] | None = None
    starts: dict[str, int] | None = None
    holds: list[str] | None = None


class Case(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, rename={"about": "class"}):
    """One input and its expected end."""

    title: str
    source: str
    about: str
    expect: Expect
    needs: list[str] = []
    project: str = "project"
    each: dict[str, list[Any]] = {}
    files: dict[str, str] = {}
    settings: dict[str, Any] = {}
    rows: list[dict[str, str]] = []
    table: str | None = None
    before: str | None = None
    steps: tuple[Step, ...] = (Step(agentjobs="dispatch", exit=0), Step(loop=0))
    daemons: list[str] = []
    replay: bool = True
    within: int = 60

    def __post_init__(self) -> None:
        if unknown := set(self.needs) - set(NEEDS):
            raise ValueError(f"needs: {sorted(unknown)} is not one of {NEEDS}")
        if bool(self.rows) == (self.table is not None):
            raise ValueError("a case has either rows or table")
        if self.expect == Expect():
            raise ValueError("expect is empty: nothing would be checked")
        if any(step.loop is not None for step in self.steps) and self.expect.status is None:
            raise ValueError("a case that polls must say in expect.status how every row ends")
        if self.rows and self.expect.status is not None:
            ids = [row.get("id") for row in self.rows]
            if sorted(map(str, ids)) != sorted(self.expect.status):
                raise ValueError(f"expect.status names {sorted(self.expect.status)}, the rows are {ids}")


def load(path: Path, *, every: bool = True) -> dict[str, Case]:
    """Return the cases of a file by name: one, or one for each choice from ``[each]``.

    ``every``: all combinations of its values, not only as many as it takes to have each value once.
    """
    try:
        return _cases(path.stem, tomllib.loads(path.read_text(encoding="utf-8")), every=every)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, BadCaseError) as error:
        raise BadCaseError(f"{path.name}: {error}") from error


def _cases(stem: str, raw: dict[str, Any], *, every: bool) -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for suffix, values in _choices(raw.get("each", {}), every=every):
        used: set[str] = set()
        filled = {key: _filled(value, values, used) for key, value in raw.items() if key != "each"}
        if idle := sorted(set(values) - used):
            raise BadCaseError(f"each: nothing uses {idle}")
        if stem + suffix in cases:
            raise BadCaseError(f"each: two variants are named {stem + suffix!r}; give one an id")
        cases[stem + suffix] = msgspec.convert(filled, Case)
    return cases


def with_given(case: Case, given: Mapping[str, str]) -> Case:
    """Return the case with the names replaced that only the runner knows (``GIVEN``)."""
    return msgspec.convert(_filled(msgspec.to_builtins(case), given, set()), Case)


def _choices(each: Mapping[str, list[Any]], *, every: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield, for each choice of one value from every list, what to add to the name, and the values by name.

    A value that is a table sets several names at once; its ``id`` is for the name of the case.
    """
    longest = range(max(map(len, each.values()), default=1))
    once = ([values[number % len(values)] for values in each.values()] for number in longest)
    for chosen in itertools.product(*each.values()) if every else once:
        words: list[str] = []
        values: dict[str, Any] = {}
        for name, value in zip(each, chosen, strict=True):
            if isinstance(value, dict):
                words.append(str(value.get("id", "")))
                values |= {key: inner for key, inner in value.items() if key != "id"}
            else:
                words.append(str(value))
                values[name] = value
        yield "".join(f"[{_slug(word)}]" for word in words), values


def _slug(text: str) -> str:
    return re.sub(r"[^\w.,+=@-]+", "_", text)[:40]


def _filled(value: Any, values: Mapping[str, Any], used: set[str]) -> Any:
    """Return the value with each ``@NAME@`` replaced; a text that is nothing else becomes the value as it is."""
    if isinstance(value, dict):
        return {_filled(key, values, used): _filled(inner, values, used) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values, used) for inner in value]
    if not isinstance(value, str):
        return value
    names = _NAME.findall(value)
    if missing := [name for name in names if name not in values and name not in GIVEN]:
        raise BadCaseError(f"@{missing[0]}@ is not in each, nor one of {GIVEN}")
    known = [name for name in names if name in values]
    used.update(known)
    if known and value == f"@{known[0]}@":
        return values[known[0]]
    return _NAME.sub(lambda found: str(values.get(found[1], found[0])), value)
