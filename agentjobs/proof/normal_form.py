"""The normal form of a program (pure): a plain tree of what runs, in which equal programs look equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentjobs.source.syntax import Node


class Form:
    """A node of the normal form: its kind, its text and its children (``kids``).

    ``at`` is its place in the source; comparisons ignore it.
    """

    __slots__ = ("at", "kids", "kind", "text")

    def __init__(self, kind: str, at: Node, kids: Sequence[Form] = (), text: str = "") -> None:
        self.kind = kind
        self.at = at
        self.kids = kids
        self.text = text

    def __repr__(self) -> str:
        kids = " ".join(map(repr, self.kids))
        return f"({self.kind}{':' + self.text if self.text else ''}{' ' + kids if kids else ''})"

    @property
    def line(self) -> int:
        """The line in the source, from 1."""
        return self.at.start_point[0] + 1

    def like(self, kids: Sequence[Form]) -> Form:
        """Return the same node with other children."""
        return Form(self.kind, self.at, kids, self.text)


def inside(form: Form) -> Iterator[Form]:
    """Yield ``form`` and everything in it, parents before children."""
    waiting = [form]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += reversed(found.kids)


def equal(a: Form, b: Form) -> bool:
    """Return whether two forms stand for the same program."""
    return first_difference(a, b) is None


def first_difference(old: Form, new: Form) -> tuple[Form | None, Form | None, Form, Form] | None:
    """Return the first place where two forms differ: both sides, and the parents of both.

    None on a side means that nothing is left there. None as a whole: they are equal.
    """
    waiting = [(old, new, old, new)]
    while waiting:
        a, b, parent_a, parent_b = waiting.pop()
        if a.kind != b.kind or a.text != b.text:
            return a, b, parent_a, parent_b
        if len(a.kids) == len(b.kids):
            waiting += [(x, y, a, b) for x, y in zip(reversed(a.kids), reversed(b.kids), strict=True)]
            continue
        for x, y in zip(a.kids, b.kids, strict=False):
            found = first_difference(x, y)
            if found is None:
                continue
            if a.kind in LISTS and (x.kind != y.kind or not _alike(x, y)):
                return x, y, a, b
            return found
        shared = min(len(a.kids), len(b.kids))
        return (
            a.kids[shared] if len(a.kids) > shared else None,
            b.kids[shared] if len(b.kids) > shared else None,
            a,
            b,
        )
    return None


LISTS = frozenset({"program", "statement_block", "class_body"})
"""Kinds whose children are a list, one statement or member each."""


def _alike(a: Form, b: Form) -> bool:
    """Return whether two forms start alike, so that their inner difference says more than both as a whole."""
    return bool(a.kids and b.kids) and len(a.kids) == len(b.kids) and a.kids[0].kind == b.kids[0].kind


Lowered = Form | list[Form] | None
"""The result for a node: one form, several, or nothing."""


class Lowering(Protocol):
    """The pass that makes forms of nodes, as its parts for classes, modules and JSX use it (``lower.Lower``)."""

    properties: set[str]
    derived_properties: set[str]
    emitted_fields: set[str]
    left_out: set[str]

    def kids(self, nodes: Iterable[Node]) -> list[Form]:
        """Return the forms of nodes."""

    def one(self, node: Node | None, around: Node) -> Form:
        """Return the one form of a node."""

    def key(self, node: Node | None, around: Node) -> Form:
        """Return the form of the key of a property."""
