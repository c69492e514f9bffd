"""Write values as TOML text. Pure; ``text.toml`` reads it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WIDTH: Final = 120
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_LITERAL: Final = re.compile(r"[^'\x00-\x1f\x7f]*")
_UNPRINTED: Final = re.compile("[\x7f]")


def table_text(table: Mapping[str, Any], path: Sequence[str] = ()) -> str:
    """Return a table as a file writes it below ``[path]``: plain keys, then a section for each table in it.

    Lists of tables become ``[[path.key]]``; in those sections each key with all its content is on one line.
    """
    plain = {key: value for key, value in table.items() if not _is_section(value)}
    blocks = [_block(f"[{_dotted(path)}]" if path else "", plain)] if plain or not table else []
    for key, value in table.items():
        if _is_section(value):
            name = _dotted((*path, key))
            if isinstance(value, dict):
                blocks.append(_block(f"[{name}]", value))
            else:
                blocks += [_block(f"[[{name}]]", item) for item in value]
    return "\n".join(blocks)


def value_text(value: Any) -> str:
    """Return one value on one line."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {value_text(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(value_text, value))}]"
    return str(value)  # a date or a time: as in TOML, but without the optional T


def _is_section(value: Any) -> bool:
    if isinstance(value, dict):
        return True
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, dict) for item in value)


def _block(header: str, table: Mapping[str, Any]) -> str:
    return "".join(f"{line}\n" for line in (*filter(None, (header,)), *_lines(table)))


def _lines(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        line = f"{_key(key)} = {value_text(value)}"
        if len(line) <= WIDTH or not isinstance(value, list | tuple):
            yield line
            continue
        yield f"{_key(key)} = ["
        row = " "
        for item in value:
            word = f" {value_text(item)},"
            if row.strip() and len(row) + len(word) > WIDTH:
                yield row
                row = " "
            row += word
        yield row
        yield "]"


def _text(text: str) -> str:
    if "\\" in text and _LITERAL.fullmatch(text):
        return f"'{text}'"  # without escapes a regular expression is easier to read
    return _UNPRINTED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _dotted(path: Sequence[str]) -> str:
    return ".".join(map(_key, path))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)
