"""Read one list of texts from a YAML file: ``packages`` of a pnpm-workspace.yaml (pure).

The list may be in block or flow style, its texts plain or in quotes. Nothing else of YAML is understood, nor needed.
"""

from __future__ import annotations

import re

_QUOTED = r"""(?<![^\s\[,])(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)')"""
"""A text in quotes; elsewhere than at its beginning, a quote is a character as any other."""
_COMMENT = re.compile(rf"({_QUOTED})|(?:^|(?<=\s))#.*")
_BLOCK_ITEM = re.compile(rf"\s*-\s+(?:{_QUOTED}|([^\s\[{{&*|>].*?))\s*")
_FLOW_ITEM = re.compile(rf"""{_QUOTED}|([^\s,"'][^,]*)""")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")


def list_under(key: str, text: str) -> tuple[str, ...]:
    """Return the texts of the list at ``key`` at the top of a YAML file; empty if the file has none there."""
    lines = iter(text.removeprefix("\ufeff").splitlines())
    named = re.compile(rf"""(?:{key}|"{key}"|'{key}')\s*:(?:\s(.*)|)""")
    rest = next((found[1] or "" for line in lines if (found := named.fullmatch(line))), None)
    if rest is None:
        return ()
    body = [_without_comment(rest)]
    for line in lines:
        plain = _without_comment(line)
        if (plain[:1].strip() and not plain.startswith(("-", "]"))) or plain.startswith("---"):
            break  # the next key, or the next document
        body.append(plain)
    flow = " ".join(body).strip()
    if flow.startswith("["):
        return tuple(_text(item) for item in _FLOW_ITEM.finditer(_inside(flow)))
    if body[0].strip():
        return ()  # not a list
    return tuple(_text(item) for line in body if (item := _BLOCK_ITEM.fullmatch(line)))


def _without_comment(line: str) -> str:
    return _COMMENT.sub(lambda found: found[1] or "", line)


def _inside(flow: str) -> str:
    """Return what is between the brackets at the beginning."""
    found = re.match(rf"\[((?:{_QUOTED}|[^\]])*)", flow)
    return found[1] if found else ""


def _text(item: re.Match[str]) -> str:
    double, single, plain = item.groups()
    if double is not None:
        return _ESCAPE.sub(_unescaped, double)
    return single.replace("''", "'") if single is not None else plain.strip()


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if code is None:
        return {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}.get(found[4], found[4])
    return chr(int(code, 16)) if int(code, 16) <= 0x10FFFF else "\ufffd"  # noqa: PLR2004 - the last character
