"""Labels for the backs of books."""

from textwrap import (
    dedent,
    shorten,
)


def label(book):
    return shorten(book["title"], 30)
