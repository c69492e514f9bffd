"""Ends of agents that no mock model can cause, in the words of people's reports: the presets know them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from agentjobs.agents.classify import classify
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited
from agentjobs.policy.parse import parse_policy
from agentjobs.policy.presets import preset

NOW = datetime(2026, 4, 18, 12, 0).timestamp()  # noqa: DTZ001 - agents print the end of a limit in the user's own zone
HOUR = 3600.0
Events = list[dict[str, Any]]


def gemini(message: str) -> Events:
    return [{"type": "result", "status": "error", "error": {"type": "unknown", "message": f"[API Error: {message}]"}}]


def qwen(message: str) -> Events:
    return [{"type": "result", "subtype": "error_during_execution", "is_error": True, "error": {"message": message}}]


def copilot(**data: Any) -> Events:
    return [{"type": "session.error", "data": data}, {"type": "result", "exitCode": 1}]


CAPACITY = "You have exhausted your capacity on this model. Your quota will reset after 8h44m7s."
NO_FREE = "You exceeded your current quota. * Quota exceeded for metric: requests, limit: 0, model: gemini-2.5-pro"
HOURS = (
    "Sorry, you've hit a rate limit that restricts the number of Copilot model requests you can make within a "
    "specific time period. Please try again in 51 hours. Please review our Terms of Service (https://docs.example)."
)
WEEK = (
    "You've reached your weekly rate limit. Please wait for your limit to reset on April 20, 2026 at 2:00 AM or "
    "switch to auto model to continue. Learn More (https://docs.example)."
)
LATER: dict[str, Any] = {"type": "auto_mode_switch.requested", "data": {"retryAfterSeconds": 7200}}
WEEKLY = copilot(errorType="rate_limit", errorCode="user_weekly_rate_limited", message="Sorry", statusCode=429)
LOOP: Events = [
    {"type": "error", "severity": "warning", "message": "Loop detected, stopping execution"},
    {"type": "result", "status": "success"},
]

REPORTED: list[tuple[str, Events, int, Outcome, float]] = [
    ("gemini", gemini(CAPACITY), 173, Outcome.LIMIT, 8 * HOUR + 44 * 60 + 7),
    ("gemini", gemini("Quota exceeded.\nSuggested retry after 3600.5s."), 173, Outcome.LIMIT, HOUR),
    ("gemini", gemini("Quota exceeded.\nSuggested retry after 12.5s."), 173, Outcome.OVERLOADED, 0.0),
    ("gemini", gemini(NO_FREE), 173, Outcome.AUTH, 0.0),
    ("gemini", gemini("API key not valid. Please pass a valid API key."), 144, Outcome.AUTH, 0.0),
    ("gemini", LOOP, 0, Outcome.RUNAWAY, 0.0),
    ("qwen", qwen("[API Error: 429 You exceeded your current quota, check your plan.]"), 1, Outcome.AUTH, 0.0),
    ("qwen", qwen("[API Error: 429 hour allocated quota exceeded.]"), 1, Outcome.LIMIT, 0.0),
    ("qwen", qwen("[API Error: Connection error.]"), 1, Outcome.UNREACHABLE, 0.0),
    ("copilot", [LATER, *WEEKLY], 1, Outcome.LIMIT, 2 * HOUR),
    ("copilot", copilot(errorType="rate_limit", message=HOURS, statusCode=429), 1, Outcome.LIMIT, 51 * HOUR),
    ("copilot", copilot(errorType="rate_limit", message=WEEK, statusCode=429), 1, Outcome.LIMIT, 38 * HOUR + 60),
    ("copilot", copilot(errorType="quota", errorCode="quota_exceeded", message="x"), 1, Outcome.LIMIT, 0.0),
    ("copilot", copilot(errorType="quota", errorCode="billing_not_configured", message="x"), 1, Outcome.AUTH, 0.0),
    ("copilot", copilot(errorType="context_limit", message="x"), 1, Outcome.CONTEXT_FULL, 0.0),
]


@pytest.mark.parametrize(("agent", "events", "code", "expected", "after"), REPORTED)
def test_what_people_met(agent: str, events: Events, code: int, expected: Outcome, after: float) -> None:
    policy = parse_policy(f'[profiles.default]\nagent = "{agent}"\n'.encode(), preset=preset)
    output = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    verdict = classify(
        state=Exited(code, NOW), kill=None, output=output, output_bytes=len(output),
        rules=policy.agents[agent].rules, now=NOW,
    )  # fmt: skip
    assert verdict.outcome is expected, verdict
    told = verdict.reset_at - NOW if verdict.reset_at else 0.0
    assert told == pytest.approx(after, abs=1.0)
