"""Reduce the output of a failed program to one line for people: no JSON, stack frames or log prefixes. Pure.

No text makes it raise, and the work is bounded whatever the text is.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import TYPE_CHECKING, Final

import msgspec

from agentjobs.text.excerpt import looks_like_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LONGEST: Final = 8_000
"""Most characters of a text that are read."""
DEEPEST: Final = 24
"""Most levels of values, and of JSON inside texts, that are read."""
BLOCK: Final = 60
"""Most lines that are joined to one JSON value."""
ITEMS: Final = 20
"""Most entries of a list that are read."""

WORDS: Final = (
    "error", "data", "errorMessage", "error_message", "finalError", "message", "errors", "error_description", "detail",
    "details", "msg", "reason", "description", "cause", "metadata", "raw", "body", "response", "responseBody",
    "result", "text", "title",
)  # fmt: skip
"""Keys under which programs put an error message, the most likely first."""
LABELS: Final = ("type", "subtype", "event", "name", "status", "reason", "code")
"""Keys that describe an event without a message."""

_VAGUE = re.compile(
    r"(?i)(?:provider returned error|unknown(?: error)?|error|(?:an )?(?:internal )?(?:server )?error(?: occurred)?"
    r"|bad request|request failed|failed|failure|null|none|undefined|true|false|success)[.!]?"
)
"""Messages that do not name a cause."""

_BEGIN = re.compile(r"(?:[\[(]\s*)?\{\s*(?:[\"']|\\+\")")
"""Start of a JSON object, or of a Python dict."""
_MESSAGE = re.compile(r"[\"']message\\?[\"']\s*:\s*\\?\"((?:[^\"\\]|\\[^\"]|\\\\)*)|[\"']message'\s*:\s*'([^']*)")
"""The message in an object whose end is missing."""
_HTML = re.compile(r"(?is)<(?:!doctype html|html|head|body)\b.*")
_TITLE = re.compile(r"(?is)<(title|h1)[^>]*>\s*(.*?)\s*</\1>")
_TAG = re.compile(r"<[^>]{0,200}>")
_REPEATED = re.compile(r"\b(?:\w+\.)*(\w+(?:Error|Exception|Exceeded)): (?=(?:\w+\.)*\1: )")
"""An error class that appears twice, as in `litellm.exceptions.Timeout: litellm.Timeout: …`."""

_FRAME = re.compile(
    r"""(?x)
    at\s (?:async\s)?(?:new\s)? (?:\S.*\(.*\)?|(?:file://|node:|/|[A-Za-z]:\\)\S*|<anonymous>|.*:\d+:\d+\)?) \s*\{?$
    | at$
    | File\s".*",\sline\s\d+
    | (?:file://|/|[A-Za-z]:\\|node:)\S+:\d+(?::\d+)?\)?(?:\s\+0x[0-9a-f]+)?$
    | \d+:\s+(?:0x[0-9a-f]+|[\w<>]+::)
    | goroutine\s\d+\s\[ | created\sby\s\S+$ | [\w./*()]+\.[\w.()*]+\([0-9a-fx,\s.{}?]*\)$
    | (?:Traceback\s\(most\srecent | During\shandling\sof\sthe\sabove | The\sabove\sexception\swas
      | stack\sbacktrace: | Stack\strace:? | note:\s(?:run\swith|Some\sdetails\sare\somitted)
      | -+\s?Native\sstack | <---\s | Node\.js\sv\d)
    """
)
_NOTES = re.compile(
    r"""(?xi)
    \(node:\d+\) | \(Use\s`node\s--trace | \(rust-analyzer | npm\s(?:notice|warn)
    | (?:npm\s(?:ERR!|error)\s+)?A\scomplete\slog\sof\sthis\srun
    | .*\b(?:Deprecation|Experimental|Future|User|Runtime|Resource)Warning\b
    | .*\bripgrep\s(?:is\s)?not\savailable | YOLO\smode | Loaded\scached\scredentials | WARNING:\sproceeding
    | [\u2800-\u28ff\u25d0-\u25d3|/\\-]\s | .*[\u2588\u2591\u2592\u2593\u2501#=>.-]{5,}.*\d\s?%
    | \d{1,3}\s?%\s?[|\[]
    """
)
"""Start-up notes and progress: never a message."""
_POOR = re.compile(
    r"""(?xi)
    \[?(?:warn(?:ing)?|info|debug|trace|notice|note|hint|tip|help|usage)\b\]?(?:[:\s]|$)
    | https?://\S+$ | see\s(?:log|also|https?:) | for\smore\s(?:information|details|help) | learn\smore | docs?:
    | more\sinfo | if\syou\sneed\sto\sdebug | litellm\.info: | give\sfeedback | provider\slist: | run\s(?:with|`)
    | please\s(?:report|file)
    | (?:this\sis\san\sunexpected\serror) | update\syour\senvironment | (?:retrying|reconnecting)\b | will\sretry
    | (?:npm\s(?:ERR!|error)\s+)?(?:code|errno|syscall|path|dest|lifecycle)\s\S+$ | .*\bELIFECYCLE\b
    | .*\b(?:exited|failed|terminated|finished)\swith\s(?:non-?zero\s)?(?:exit\s)?(?:code|status)\s?:?\s?\d+\W*$
    | .*\bexit\s(?:status|code):?\s\d+\W*$
    """
)
"""Advice, warnings, dumps and lines that only report that something failed: used if nothing better is found."""
_DUMP = re.compile(r"['\"\[]*[a-z][\w-]*['\"\]]*:\s(?:\[?\{?$|(?:['\"\[{-]|\d|undefined|null|true|false).*[,'\"}\]]$)")
"""A field of an object that was printed with an error."""
_STRONG = re.compile(
    r"""(?xi)
    (?:[\w.$:-]*(?:Error|Exception|Exceeded|Denied)\b (?!\s?\d*\s(?:handling|count|reporting))
     | \[?api\serror | errors?\b\s?[:\]!(] | error\s | fatal\b | panic | failed\b | failure\b | (?:un)?caught
     | unhandled
     | caused\sby: | thread\s.*\spanicked | cannot\b | can't\b | could\snot\b | unable\b | abort)
    """
)
_TROUBLE = re.compile(
    r"(?i)unknown|unrecogni[sz]ed|not (?:support|log|allow|authori|install|enabl)|limit|quota|expired|timed? ?out"
    r"|too (?:long|large|many)|exhaust|must (?:specify|set|be)|please (?:set|log)|exceed"
)

_CROSSES: Final = "\u2716\u2717\u2715\u2718\u00d7\u274c"
_BULLETS: Final = "\u26a0\ufe0f\u25cf\u25a0\u23bf\u23fa\u2139\u2022>"
_EDGE = re.compile(rf"^[\s\u2500-\u257f|{_CROSSES}{_BULLETS}]+|[\s\u2500-\u257f|]+$")
"""Boxes, crosses and bullets around a line."""
_STAMP = re.compile(
    r"""(?x)
    \[?(?:
      \d{4}[-/]\d\d[-/]\d\d[T\s]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s?(?:Z|UTC|[+-]\d\d:?\d\d)?
      | \d\d:\d\d:\d\d(?:[.,]\d+)? | [A-Z][a-z]{2}\s+\d{1,2}\s\d\d:\d\d:\d\d | [EWIF]\d{4}\s\d\d:\d\d:\d\d\.\d+
    )\]?[\s:,|-]*
    """
)
_LEVEL = re.compile(
    r"(?i)[\[(<]?(ERROR|ERR|FATAL|CRITICAL|SEVERE|WARN(?:ING)?|INFO|DEBUG|TRACE|NOTICE)[\])>]?[\s:|-]+"
)
_CALM_LEVEL = re.compile(r"warn|info|debug|trace|notice", re.IGNORECASE)
_ORIGIN = re.compile(
    r"(?:\[[\w.:/ -]{1,60}\]\s*:?\s+|\w+(?:(?:::|\.)\w+)+:\s+|[\w./-]+\.(?:py|go|rs|js|ts):\d+\]?:?\s+|\+\d+ms\s+)"
)
_PAIR = re.compile(r"([\w.]+)=(\"(?:[^\"\\]|\\.)*\"?|\S+)")
_LOGFMT: Final = ("error.error", "error", "err", "cause", "message", "msg")
_REPORT = re.compile(r"\s*Full report available at: \S+")
_PANICKED = re.compile(r"thread '[^']*'(?: \(\d+\))? panicked at \S+:\s*")

FRAME, POOR, PLAIN, TELLING, STRONG = range(5)


def words_of(value: object, depth: int = DEEPEST) -> str:
    """Return the innermost message in a JSON value; empty if there is none."""
    if isinstance(value, str):
        return unwrapped(value, depth)
    if depth <= 0:
        return ""
    if isinstance(value, list):
        return next(filter(None, (words_of(item, depth - 1) for item in value[:ITEMS])), "")
    if not isinstance(value, dict):
        return ""
    vague = ""
    for name in WORDS:
        words = words_of(value[name], depth - 1) if name in value else ""
        if not words or words in vague:
            continue
        if _VAGUE.fullmatch(words) or (" " not in words and name != "message"):
            vague = vague or words  # a code such as rate_limit: another key may have a sentence
            continue
        return words if not vague or not _VAGUE.fullmatch(vague) or " " not in vague else f"{vague}: {words}"
    return vague


def label_of(fields: Mapping[str, object]) -> str:
    """Return a description of an event without a message, as ``result error_max_turns``."""
    found = (fields.get(name) for name in LABELS)
    return " ".join(str(one) for one in found if isinstance(one, str | int) and not isinstance(one, bool))


def unwrapped(text: str, depth: int = DEEPEST) -> str:
    """Return a text on one line: JSON and web pages are replaced by their message, stack frames removed."""
    text = text[:LONGEST]
    parts: list[str] = []
    for _ in range(ITEMS):
        found = _BEGIN.search(text)
        if found is None:
            break
        end, inner = _object(text, found.start(), depth)
        before = text[: found.start()]
        parts += [before, "" if inner and inner in before else inner]
        text = text[end:]
    else:
        text = ""
    whole = "".join(parts) + text.rstrip("\"', ") if parts else text
    page = _HTML.search(whole)
    if page is not None:
        title = _TITLE.search(page[0])
        told = title[2] if title else _TAG.sub(" ", page[0])
        before, first = whole[: page.start()].rstrip(), told.partition(" ")[0]  # as in: 502 <title>502 Bad Gateway
        whole = f"{before.removesuffix(first).rstrip()} {told}" if told not in before else before.rstrip(" :")
    lines = [line for line in whole.split("\n") if not _FRAME.match(line.strip())]
    one = " ".join(" ".join(lines).split())
    one = _REPEATED.sub("", _REPORT.sub("", one)).strip()
    return one[1:-1].strip() if len(one) > 1 and one[0] == one[-1] == '"' else one


def cleaned(line: str) -> tuple[str, int]:
    """Return a line as a message, and how likely it is one: ``FRAME`` (never) to ``STRONG``."""
    text = _EDGE.sub("", line[:LONGEST])
    if not re.search(r"[^\W\d_]{2}", text) or _FRAME.match(text) or _NOTES.match(text):
        return "", FRAME
    text, calm, logged = _without_prefix(text)
    if _FRAME.match(text) or _NOTES.match(text):
        return "", FRAME
    panicked = _PANICKED.match(text)
    words = unwrapped(text[panicked.end() :] if panicked else text)
    if not words:
        return "", FRAME
    if calm or words.endswith(":") or _POOR.match(words) or _DUMP.match(text):
        return words, POOR
    if logged or panicked or _STRONG.match(words) or line.lstrip(" \t\u2502|")[:1] in _CROSSES:
        return words, STRONG
    return words, TELLING if looks_like_error(words) or _TROUBLE.search(words) else PLAIN


def message_in(lines: Sequence[str], least: int = POOR) -> str:
    """Return the line that most likely names the error, the last of equals; empty if none is at least ``least``."""
    best, rank = "", least - 1
    for line in reversed(list(_joined(lines))):
        words, likely = cleaned(line)
        if likely > max(rank, FRAME):
            best, rank = words, likely
            if likely == STRONG:
                break
    return best


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """Yield lines; one that ends with a colon is joined with the next, and code above a row of ^ is left out."""
    before, done = "", 0
    for at, line in enumerate(lines):
        if at < done:
            continue
        text = whole = line.strip()
        if text.endswith(("{", "[{")) and not _FRAME.match(text):
            done = _block(lines, at)
            yield "\n".join(lines[at:done])
            continue
        if at + 1 < len(lines) and re.fullmatch(r"[\s~^]*\^[\s~^]*", lines[at + 1]):
            continue
        if before and text and not _FRAME.match(_EDGE.sub("", text)):
            whole = f"{before} {text}"
        elif before:
            yield before
        before = ""
        if text.endswith(":") and len(whole) < LONGEST and (_STRONG.match(text) or _PANICKED.match(text)):
            before = whole
        else:
            yield whole if whole != text else line
    if before:
        yield before


def _block(lines: Sequence[str], at: int) -> int:
    """Return where the JSON ends that starts at the end of a line and continues on the next ones."""
    if at + 1 >= len(lines) or not _EDGE.sub("", lines[at + 1]).startswith(('"', "'", "{")):
        return at + 1
    level = 0
    for end in range(at, min(len(lines), at + BLOCK)):
        level += sum(lines[end].count(char) for char in "{[") - sum(lines[end].count(char) for char in "}]")
        if level <= 0:
            return end + 1
    return min(len(lines), at + BLOCK)


def _without_prefix(text: str) -> tuple[str, bool, bool]:
    """Return a log line without time, level and origin; whether its level is harmless; whether it is an error."""
    pairs: dict[str, str] = dict(_PAIR.findall(text)) if "=" in text else {}
    level = pairs.get("level", pairs.get("lvl", "")).strip('"')
    if level or ("time" in pairs and "msg" in pairs):
        value = next((pairs[name] for name in _LOGFMT if name in pairs), text)
        value = value.removeprefix('"').removesuffix('"').replace('\\"', '"').replace("\\n", "\n")
        return value, bool(_CALM_LEVEL.match(level)), True
    stamp = _STAMP.match(text)
    rest = text[stamp.end() :] if stamp else text
    found = _LEVEL.match(rest)
    if found is None or not (stamp or rest[0] in "[(<"):
        late = _STAMP.match(rest[found.end() :]) if found else None
        if late is None:
            return rest or text, False, False
        rest = rest[: found.end()] + rest[found.end() + late.end() :] if found else rest
    if found is None:
        return rest, False, False
    rest = rest[found.end() :]
    for _ in range(3):
        origin = _ORIGIN.match(rest)
        rest = rest[origin.end() :] if origin and not _STRONG.match(rest) else rest
    calm = bool(_CALM_LEVEL.match(found[1]))
    return rest or text, calm, not calm


def _object(text: str, start: int, depth: int) -> tuple[int, str]:
    """Return where the object that starts at ``start`` ends, and its message."""
    escaped = re.match(r"[\[(\s]*\{\s*\\+\"", text[start : start + 40]) is not None
    end = _end(text, start, escaped=escaped)
    piece = text[start:end]
    value = _decoded(piece.replace('\\"', '"') if escaped else piece) if end <= len(text) else None
    words = words_of(value, depth - 1) if value is not None else ""
    if not words:
        told = [one or two for one, two in _MESSAGE.findall(piece)]
        words = next((one for one in reversed(told) if one), "").replace('\\"', '"').replace("\\n", "\n")
        found = _BEGIN.search(words)
        words = unwrapped(words, depth - 1) if depth > 0 and found else words[: found.start()] if found else words
    return end, words


def _end(text: str, start: int, *, escaped: bool) -> int:
    """Return the end of the brackets that start at ``start``; beyond the text if they are not closed."""
    level, quote, at = 0, "", start
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
            if escaped and text[at : at + 1] == '"':
                quote = "" if quote else '"'
        elif quote:
            quote = "" if char == quote else quote
        elif char == '"' or (char == "'" and (text[at - 1] in "{[(:, " or not text[at - 1].isalnum())):
            quote = char
        elif char in "{[(":
            level += 1
        elif char in "}])":
            level -= 1
            if level <= 0:
                return at + 1
        at += 1
    return len(text) + 1


def _decoded(piece: str) -> object:
    """Return the value of a piece of JSON, or of Python; None if it is neither."""
    try:
        value: object = msgspec.json.decode(piece.strip("()").encode("utf-8", "replace"))
    except (ValueError, RecursionError, msgspec.MsgspecError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = ast.literal_eval(piece.strip("()"))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
    return value
