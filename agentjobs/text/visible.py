r"""Make text from outside safe for a terminal: control characters are shown (``\x1b``), not obeyed. Pure.

Agents choose the names of files and the text of logs and findings. An escape sequence in them could set the title of a
terminal, write its clipboard or hide a line. All text we print goes through a ``Stream``, and each note of the table
through ``visible``; so no code that prints has to think of it.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\udc80-\udc9f]")
"""C0 except tab and newline, C1 (in UTF-8, or as a single byte), and what reverses the order of letters."""

_COLOUR: Final = re.compile("\x1b\\[[0-9;:]*m")
_BEGUN: Final = re.compile("(?:\x1b(?:\\[[0-9;:]{0,40})?|\r)\\Z")


def visible(text: str) -> str:
    r"""Return the text with its control characters written out: ``\x1b``, and ``\u009b`` as JSON writes it."""
    return _UNSAFE.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code >= 0xDC00:  # noqa: PLR2004 -- a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}"  # noqa: PLR2004 -- C0 is never bare in JSON


def coloured(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield output of a program for a terminal: colours stay, as in ``less -R``, other control characters are shown.

    The pieces may be cut anywhere: what may be the beginning of a colour is kept for the next one.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    held = ""
    for piece in pieces:
        text = held + decoder.decode(piece)
        begun = _BEGUN.search(text)
        held = begun[0] if begun else ""
        yield _but_colours(text.removesuffix(held))
    yield _but_colours(held + decoder.decode(b"", final=True))


def _but_colours(text: str) -> bytes:
    text = text.replace("\r\n", "\n")
    parts = [visible(part) for part in _COLOUR.split(text)]
    colours = [*_COLOUR.findall(text), ""]
    shown = "".join(part for pair in zip(parts, colours, strict=True) for part in pair)
    return shown.encode("utf-8", "surrogateescape")


class Stream:
    """A text stream that only lets visible text through. ``buffer`` is the way around it, for raw bytes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text with its control characters shown."""
        return self.stream.write(visible(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
