"""Events as lines for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.text.for_people import clock, many, one_line

if TYPE_CHECKING:
    from agentjobs.model.facts import Json


def event_line(event: Json) -> str:
    """Return one event as ``HH:MM:SS  id  what happened``."""
    return f"{clock(_number(event.get('at')))}  {event.get('id') or '-'}  {event_text(event)}"


def event_text(event: Json) -> str:
    """Return what happened, on one line."""
    name = str(event.get("event", ""))
    attempt = event.get("attempt", "")
    if name == "begin" and event.get("mode") is None:
        return f"gate run {attempt} starts" + _why(event.get("why"))
    if name == "blamed":
        return f"attempt {attempt} made gate run {event.get('run')} fail" + _why(event.get("why"))
    if name == "begin":
        return f"attempt {attempt} starts ({event.get('mode')})" + _why(event.get("why"), "first attempt")
    if name == "end":
        return f"attempt {attempt}: {event.get('step')} is being stopped ({event.get('why')})"
    if name == "result":
        return f"attempt {attempt}: {event.get('outcome')}" + _why(event.get("detail"))
    if "reviewer" in event:
        return f"attempt {attempt}: {event['reviewer']} {_review_text(event)}"
    if name == "held":
        return f"attempt {attempt} is done and waits" + _why(event.get("detail"))
    if name == "landed":
        return f"attempt {attempt} landed as {str(event.get('commit', ''))[:12]}"
    if name == "findings":
        return f"attempt {attempt}: its report does not match its changes ({_findings(event.get('count'))})"
    if name == "round":
        return f"round {event.get('round')}: wanted again"
    if name == "halt":
        return f"halted: {event.get('why')}: {event.get('detail')}"
    return name + _why(event.get("note") or event.get("ref"))


def _review_text(event: Json) -> str:
    if event.get("event") == "review":
        return f"reviews it ({event.get('step')})"
    if event.get("event") == "verdict":
        return f"has reviewed it, {_findings(event.get('findings'))}"
    return "gave no verdict" + _why(event.get("detail"))


def _findings(count: object) -> str:
    return many(int(_number(count)), "finding")


def _why(text: object, but: str = "") -> str:
    said = one_line(str(text or ""))
    return f": {said}" if said and said != but else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
