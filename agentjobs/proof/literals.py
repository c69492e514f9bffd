"""The values of literals, however they are written (pure): strings, numbers, text between JSX tags."""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    r"\\(?:u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3]?[0-7]{1,2})|(\r\n|[\s\S]))"
)
_NAMED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"}
_LINE_ENDS = {"\n", "\r", "\r\n", "\u2028", "\u2029"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def decoded(source: bytes) -> str:
    """Return source text; bytes that are not UTF-8 stay distinct from all others."""
    return source.decode("utf-8", "surrogateescape")


def string_value(literal: str) -> str:
    """Return the value of a string literal, which is given with its quotes."""
    body = literal[1:-1]
    if "\\" not in body:
        return body
    value = _ESCAPE.sub(_unescaped, body)
    if _SURROGATE.search(value):  # two escapes may form one character
        try:
            value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            return value
    return value


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code is not None:
        number = int(code, 16)
        return chr(number) if number <= 0x10FFFF else match[0]  # noqa: PLR2004 - the last character of Unicode
    if match[4] is not None:
        return chr(int(match[4], 8))
    return "" if match[5] in _LINE_ENDS else _NAMED.get(match[5], match[5])


def number_value(literal: str) -> str:
    """Return a text that two number literals share if, and only if, they are the same number."""
    text = literal.replace("_", "").lower()
    big = text.endswith("n")
    digits = text[:-1] if big else text
    if re.fullmatch(r"0[0-7]+", digits):
        digits = "0o" + digits[1:]
    elif re.fullmatch(r"0\d+", digits):
        digits = digits.lstrip("0") or "0"
    try:
        whole = int(digits, 0)
    except ValueError:
        try:
            return repr(float(digits))
        except ValueError:
            return text
    if big:
        return f"{whole}n"
    try:
        return repr(float(whole))
    except OverflowError:
        return "inf"


def jsx_text(text: str) -> str:
    """Return the value of text between tags: lines are trimmed and joined, blank ones are ignored."""
    lines = text.replace("\r\n", "\n").split("\n")
    last = len(lines) - 1
    parts = []
    for number, line in enumerate(lines):
        kept = line.replace("\t", " ")
        kept = kept.lstrip(" ") if number else kept
        kept = kept.rstrip(" ") if number < last else kept
        if kept:
            parts.append(kept)
    return " ".join(parts)


def module_name(specifier: str) -> str:
    """Return a relative specifier without what a conversion may add or change: the ending, ``/index``."""
    if not re.match(r"\.\.?(?:/|$)", specifier):
        return specifier
    plain = re.sub(r"\.[cm]?[jt]s$", "", re.sub(r"\.[jt]sx$", ".jsx", specifier))
    return re.sub(r"/index$", "", plain).rstrip("/")
