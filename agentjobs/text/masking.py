"""Replace secrets in what is shown or written by ``***NAME***``. Pure.

The secrets are the values of variables with a name that looks secret, and the passwords in addresses
(``https://me:password@…``). Each is found in plain form, as JSON writes it, and percent-encoded.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agentjobs.text.variables import looks_secret

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST: Final = 8
"""A shorter value ("1", "true") is not masked: it would be found everywhere."""

SHORTEST_LINE: Final = 16
"""In a value of several lines (a private key), each line with this many characters is a secret, too."""

TEXTS: Final = frozenset({"detail", "errors", "check", "note", "why", "blamed", "excerpt", "findings"})
"""Fields of facts, states and events that hold output of programs; names, ids and commits are not masked."""

_PASSWORD: Final = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_ODD: Final = re.compile(r"[^A-Za-z0-9_]")
_RESERVED: Final = re.compile(rb"[^A-Za-z0-9_.~-]")


class Masking:
    """Knows the secrets. ``variables``: names and values; one that does not look secret is skipped."""

    def __init__(self, variables: Iterable[tuple[str, str]]) -> None:
        masks: dict[bytes, bytes] = {}
        for name, value in variables:
            mask = f"***{_ODD.sub('_', name)}***".encode()
            for secret in _secrets(name, value):
                for form in _forms(secret):
                    masks.setdefault(form, mask)
        self.masks = masks
        """Mask for each form of each secret."""
        self.longest = max(map(len, masks), default=1)
        """Bytes of the longest form."""

    def __bool__(self) -> bool:
        """Return whether there is anything to mask."""
        return bool(self.masks)

    def mask(self, data: bytes) -> bytes:
        """Return the bytes without secrets."""
        if not any(secret in data for secret in self.masks):
            return data
        stream = MaskedStream(self)
        return stream.feed(data) + stream.end()

    def tail(self, data: bytes, lead: int) -> bytes:
        """Return all but the first ``lead`` bytes, masked; the lead is needed for a secret that starts in it."""
        stream = MaskedStream(self)
        stream.take(data, lead)
        return stream.end()

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        if not self.masks:
            return text
        data = text.encode("utf-8", "surrogatepass")
        masked = self.mask(data)
        return text if masked is data else masked.decode("utf-8", "surrogatepass")

    def texts(self, value: Any) -> Any:
        """Return a JSON value with the secrets masked in all its strings, but not in keys."""
        return self._within(value, TEXTS, inside=True) if self.masks else value

    def mask_fields(self, value: Any) -> Any:
        """Return a JSON value with the secrets masked in the fields that hold output of programs (``TEXTS``)."""
        return self._within(value, TEXTS, inside=False) if self.masks else value

    def _within(self, value: Any, fields: frozenset[str], *, inside: bool) -> Any:
        if isinstance(value, str):
            return self.text(value) if inside else value
        if isinstance(value, dict):
            return {key: self._within(item, fields, inside=inside or key in fields) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._within(item, fields, inside=inside) for item in value]
        return value


class MaskedStream:
    """Masks a stream that arrives in pieces. What may be the beginning of a secret is kept until the next piece.

    Together, the pieces that come out equal ``Masking.mask`` of the whole.
    """

    def __init__(self, masking: Masking) -> None:
        self._masks = masking.masks
        self._longest = masking.longest
        self._held = b""
        self._covered = 0
        """This many bytes at the beginning of the kept part belong to a secret whose mask was already returned."""

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece and return what is final by now."""
        if not self._masks:
            return piece
        data = self._held + piece
        return self.take(data, len(data) - self._beginning(data))

    def end(self) -> bytes:
        """Return the rest, after the last piece."""
        return self.take(self._held, len(self._held))

    def _beginning(self, data: bytes) -> int:
        """Return how many bytes at the end may be the beginning of a secret."""
        for size in range(min(self._longest - 1, len(data)), 0, -1):
            end = data[-size:]
            if any(len(secret) > size and secret.startswith(end) for secret in self._masks):
                return size
        return 0

    def take(self, data: bytes, certain: int) -> bytes:
        """Return the first ``certain`` bytes, masked; keep the others."""
        out = []
        at = self._covered
        for start, end, mask in self._found(data):
            if start >= certain:
                break
            if start >= at:
                out += [data[at:start], mask]
            at = max(at, end)
        out.append(data[at:certain])
        self._held = data[certain:]
        self._covered = max(at - certain, 0)
        return b"".join(out)

    def _found(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Return the secrets in ``data`` as (start, end, mask), in order; at one place the longest first."""
        found = []
        for secret, mask in self._masks.items():
            at = data.find(secret)
            while at >= 0:
                found.append((at, at + len(secret), mask))
                at = data.find(secret, at + 1)
        return sorted(found, key=lambda place: (place[0], -place[1]))


def _secrets(name: str, value: str) -> list[str]:
    """Return the secret parts of a variable's value."""
    if not looks_secret(name):
        return [password for password in _PASSWORD.findall(value) if len(password) >= SHORTEST]
    lines = [line.strip() for line in value.splitlines()]
    found = [value, value.strip()]
    if len(lines) > 1:
        found += [line for line in lines if len(line) >= SHORTEST_LINE and not line.startswith("-----")]
    return [secret for secret in dict.fromkeys(found) if len(secret) >= SHORTEST]


def _forms(secret: str) -> set[bytes]:
    """Return the forms in which the secret may appear in a log."""
    raw = secret.encode("utf-8", "surrogateescape")
    forms = {raw, _RESERVED.sub(lambda found: b"%%%02X" % found[0][0], raw)}
    if '"' in secret or "\\" in secret or not secret.isprintable():
        with contextlib.suppress(UnicodeEncodeError):
            forms.add(msgspec.json.encode(secret)[1:-1])
    if not secret.isascii():
        import json  # 5 ms

        forms.add(json.dumps(secret)[1:-1].encode())
    return forms
