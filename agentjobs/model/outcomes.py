"""How an attempt can end."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The class of an attempt's outcome (docs/design.md, section 6)."""

    OK = "ok"
    CRASHED = "crashed"
    LOST = "lost"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    NO_SESSION = "no_session"
    SESSION_BUSY = "session_busy"
    VERIFY_FAILED = "verify_failed"
    GATE_FAILED = "gate_failed"
    REJECTED = "rejected"
    OUT_OF_SCOPE = "out_of_scope"
    NO_CHANGE = "no_change"
    CONFLICT = "conflict"
    RUNAWAY = "runaway"
    CONTEXT_FULL = "context_full"
    LIMIT = "limit"
    OVERLOADED = "overloaded"
    UNREACHABLE = "unreachable"
    AUTH = "auth"
    INFRA = "infra"
    STOPPED = "stopped"
