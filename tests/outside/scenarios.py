"""What happens in each scenario, and what a run is to come to; nothing here knows a preset or an agent's words.

A scenario is the steps of the model, the troubles of the service and the network, the settings of the project, and
``wanted``: what agentjobs is to make of it. Where each refusal's words are from is in ``words``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """What the model says at one turn: a text, the call of a tool, or both."""

    say: str = ""
    write: tuple[str, str] | None = None
    """Path and line of a file that the model writes."""
    run: str = ""
    agent: str = ""
    """The prompt of a sub-agent; it must hold ``[[sub]]``."""
    background: bool = False
    tokens: int = 0
    """Input of this answer, for one that is to fill a window; else it follows the size of the request."""
    output: int = 0
    wait_s: float = 0.0


@dataclass(frozen=True)
class Trouble:
    """What the service or the network does instead of answering, and when. All that is said must hold."""

    what: str
    """A kind of ``words``; or ``hang``, ``cut`` (the stream ends), ``reset`` (the connection, in the stream), ``stall``
    (the stream stops and stays open), ``drop`` (the connection, before an answer), ``outage`` (the port is closed)."""
    request: int = 0
    """From this request on."""
    tasks: int = 0
    """When this many tasks have asked."""
    task: str = ""
    turn: int | None = None
    sub: bool | None = None
    times: int = 0
    """So often; 0: always."""
    before_s: float = 0.0
    """Only in the first seconds of the server's life."""
    until_reset: bool = False
    retry_after: int = 0
    lasts: float = 0.0
    """How long an outage lasts; 0: to the end."""


@dataclass(frozen=True)
class Scenario:
    """One line of the matrix."""

    about: str
    wanted: str
    """What agentjobs is to make of it, in words, for the reader of the table."""
    steps: tuple[Step, ...] = ()
    sub: tuple[Step, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    flap_s: tuple[float, float] = (0.0, 0.0)
    """The network is up for this many seconds, then down for this many, again and again."""
    reset_s: float = 3600.0
    """When a limit ends, after the start."""
    rows: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    longest_s: float = 180.0
    oauth: bool = False
    """Claude: with a subscription's token in place of a key."""
    only: tuple[str, ...] = ()
    """The agents that it makes sense for; empty: all."""
    patient: bool = False
    """The CLI keeps its own, long retries."""
    files: dict[str, str] = field(default_factory=dict)


EDIT = (Step(say="I write the file.", write=("{out}", "ok")), Step(say="The file is written as asked."))
TWICE = (
    Step(run="ls", say="I look around."),
    Step(write=("{out}", "ok"), say="Now the file."),
    Step(run="cat {out}", say="And I check it."),
    Step(say="The file is written and checked."),
)
QUICK: dict[str, Any] = {"retry": {"resumes": 1, "repairs": 1, "restarts": 0}, "limits": {"breaker": 0}}
SWEEP: dict[str, Any] = {"slots": 3, "limits": {"breaker": 0, "start_interval_s": 0.1}}
REVIEW = (
    "The review: the retry loop treats `429 Too Many Requests` as fatal. Its log had:\n"
    "litellm.RateLimitError: RateLimitError: usage limit reached per day\n"
    "ERROR: You've hit your usage limit, resets in 5 hours\n"
    "API Error: Connection refused (ECONNREFUSED)\nFailed to authenticate: OAuth session expired\n"
)
A_SUB = "[[sub]] Look at what is there and say it in one line. [[task {task}]]"
SLEEP = "sleep {s}; echo background work is done"


def sweep(about: str, what: str, wanted: str, **more: Any) -> Scenario:
    """Return forty rows, with a trouble that begins with the ninth and does not end."""
    return Scenario(
        about, wanted, TWICE, troubles=(Trouble(what, tasks=9, **more),), rows=40, settings=SWEEP, longest_s=240.0
    )


AUTH = "auth: no attempt spent, exit 3, the service's own words"
AWAY = "unreachable: the account pauses, no attempt spent, nothing FAILED; then the run goes on"
SCENARIOS: dict[str, Scenario] = {
    # --- what works
    "ok": Scenario("an edit", "DONE, tokens as served", EDIT),
    "multi": Scenario("four turns, three rows", "3 DONE, tokens as served", TWICE, rows=3),
    "nothing": Scenario(
        "it says it is done and has edited nothing", "no_change, then FAILED", EDIT[1:], settings=QUICK
    ),
    "quotes": Scenario(
        "its text quotes limits, lost logins and networks, and it ends well",
        "DONE",
        (EDIT[0], Step(say=REVIEW)),
    ),
    "quotehang": Scenario(
        "the same text, then the service hangs",
        "stalled, never a limit",
        (EDIT[0], Step(say=REVIEW, run="true"), Step(say="Done.")),
        troubles=(Trouble("hang", turn=2),),
        settings={"limits": {"idle_minutes": 0.7}, "retry": {"resumes": 0, "repairs": 0, "restarts": 0}},
    ),
    # --- whose trouble is it? one row each, from the first request on
    **{
        name: Scenario(about, wanted, EDIT, troubles=(Trouble(what),), settings=QUICK, longest_s=longest, oauth=oauth)
        for name, about, what, wanted, longest, oauth in (
            ("login", "the login has expired", "login", AUTH, 60.0, True),
            ("login2", "the login is refused in other words", "login2", AUTH, 60.0, False),
            ("money", "no money left", "money", AUTH, 60.0, False),
            ("money2", "no money left, in other words", "money2", AUTH, 60.0, False),
            ("money402", "no money left, as 402", "money402", AUTH, 60.0, False),
            ("plan", "the plan does not have this", "plan", AUTH, 60.0, True),
            ("busy", "the service is overloaded", "busy", "overloaded: pauses, no attempt spent", 90.0, False),
            (
                "down",
                "the service is down (503, plain text)",
                "down",
                "overloaded: pauses, no attempt spent",
                90.0,
                False,
            ),
            ("proxy", "a proxy's page: 502, HTML", "proxy", AWAY, 90.0, False),
            ("proxy522", "Cloudflare's page: 522, HTML", "proxy522", AWAY, 90.0, False),
            ("portal", "a captive portal: 200, HTML", "portal", AWAY, 90.0, False),
            ("blocked", "a filter's page: 403, HTML", "blocked", "auth or unreachable; never crashed", 60.0, False),
            ("unknown", "a refusal in unknown words", "unknown", "one row: crashed, with the words", 60.0, False),
            ("context", "the context is full at once", "context", "context_full", 60.0, False),
        )
    },
    "limit": Scenario(
        "a five-hour limit that ends after 40 s",
        "limit to the second, no start in it, then DONE",
        TWICE,
        troubles=(Trouble("limit", request=2, until_reset=True),),
        rows=2,
        reset_s=40.0,
        oauth=True,
        longest_s=150.0,
    ),
    "week": Scenario(
        "a weekly limit that ends in three days",
        "limit, the end with its date, no start",
        EDIT,
        troubles=(Trouble("week", request=2),),
        reset_s=3 * 86400.0,
        oauth=True,
        longest_s=30.0,
    ),
    "rate": Scenario(
        "429 once, try again after 2 s", "DONE", EDIT, troubles=(Trouble("rate", turn=1, times=1, retry_after=2),)
    ),
    "ratelong": Scenario(
        "429 always, try again after an hour",
        "limit or overloaded, no attempt spent",
        EDIT,
        troubles=(Trouble("rate", turn=1, retry_after=3600),),
        longest_s=60.0,
    ),
    "midlogin": Scenario(
        "the login is lost after the edit",
        AUTH,
        TWICE,
        troubles=(Trouble("login", turn=2),),
        oauth=True,
        longest_s=60.0,
    ),
    "midmoney": Scenario(
        "the money ends after the edit", AUTH, TWICE, troubles=(Trouble("money", turn=2),), longest_s=60.0
    ),
    # --- the network
    "net": Scenario(
        "the port is closed from the first request on",
        AWAY,
        EDIT,
        troubles=(Trouble("outage"),),
        settings=QUICK,
        longest_s=90.0,
        rows=2,
    ),
    "netback": Scenario(
        "the port is closed for 25 s, in the middle",
        "unreachable, then DONE",
        TWICE,
        troubles=(Trouble("outage", request=3, times=1, lasts=25.0),),
        settings=QUICK,
        rows=3,
        longest_s=180.0,
    ),
    "netslow": Scenario(
        "the same with the CLI's own retries",
        "unreachable, no attempt spent",
        EDIT,
        troubles=(Trouble("outage"),),
        settings=QUICK,
        longest_s=400.0,
        patient=True,
    ),
    "drop": Scenario(
        "every connection is reset before an answer",
        AWAY,
        EDIT,
        troubles=(Trouble("drop"),),
        settings=QUICK,
        longest_s=90.0,
    ),
    "cut1": Scenario("the stream is cut once", "DONE", EDIT, troubles=(Trouble("cut", turn=1, times=1),)),
    "cut": Scenario(
        "every stream is cut after the edit",
        AWAY,
        EDIT,
        troubles=(Trouble("cut", turn=1),),
        settings=QUICK,
        longest_s=90.0,
    ),
    "reset": Scenario(
        "every stream is reset after the edit",
        AWAY,
        EDIT,
        troubles=(Trouble("reset", turn=1),),
        settings=QUICK,
        longest_s=90.0,
    ),
    "flap": Scenario(
        "the network is up 20 s, down 10 s, again and again",
        "the run finishes, nothing FAILED",
        TWICE,
        flap_s=(20.0, 10.0),
        rows=12,
        settings=SWEEP,
        longest_s=300.0,
    ),
    # --- the context
    "ctx1": Scenario(
        "the context is full once, in the middle",
        "context_full once (or compacted), then DONE",
        TWICE,
        troubles=(Trouble("context", turn=1, times=1),),
    ),
    "ctxmid": Scenario(
        "the context is full from the second turn on",
        "context_full twice, FAILED, with the words",
        EDIT,
        troubles=(Trouble("context", turn=1),),
    ),
    "big": Scenario(
        "an answer fills the window",
        "stopped at context_stop, handoff, fresh conversation, DONE",
        (Step(run="true", say="First.", tokens=190_000), Step(run="true", say="Second.", tokens=193_000), *EDIT),
        settings={"profiles": {"default": {"window": 200_000}}},
    ),
    "compact": Scenario(
        "it compacts its conversation, and goes on",
        "DONE, the compaction's tokens counted",
        (
            Step(run="true", say="First.", tokens=170_000),
            Step(write=("{out}", "ok"), say="Second.", tokens=4_000),
            Step(say="The file is written as asked.", tokens=5_000),
        ),
        settings={"profiles": {"default": {"context_stop": 1.0}}},
    ),
    # --- what it costs
    "sub": Scenario(
        "a sub-agent",
        "DONE, its tokens counted",
        (Step(say="I ask another.", agent=A_SUB), *EDIT),
        sub=(Step(run="ls", say="I look."), Step(say="There is a README.")),
        only=("claude", "gemini", "qwen", "opencode", "kimi", "copilot"),
    ),
    "subbg": Scenario(
        "a sub-agent in the background",
        "DONE, its tokens counted",
        (Step(say="I ask another.", agent=A_SUB, background=True), Step(say="I go on when it is done."), *EDIT),
        sub=(Step(run="sleep 8", say="I look."), Step(say="There is a README.")),
        only=("claude",),
    ),
    "bgshort": Scenario(
        "a command in the background, 12 s, then the edit",
        "DONE in one attempt, all tokens counted",
        (
            Step(say="I start it.", run="sleep 12; echo done", background=True),
            Step(say="I go on when it is done."),
            *EDIT,
        ),
        only=("claude",),
    ),
    "bglong": Scenario(
        "a command in the background, 50 s, then the edit",
        "DONE in one attempt",
        (
            Step(say="I start it.", run="sleep 50; echo done", background=True),
            Step(say="I go on when it is done."),
            *EDIT,
        ),
        only=("claude",),
        longest_s=240.0,
    ),
    "bghalf": Scenario(
        "the edit, tests in the background for 50 s, then the fix",
        "DONE in one attempt; the fix lands",
        (
            Step(write=("{out}", "ok"), say="The file."),
            Step(say="Tests run.", run="sleep 50; echo red", background=True),
            Step(say="I will fix what they find."),
            Step(write=("mended.txt", "mended"), say="The mend."),
            Step(say="All is done."),
        ),
        only=("claude",),
        longest_s=240.0,
    ),
    "server": Scenario(
        "a server is left running",
        "DONE, nothing left",
        (Step(run="(sleep 600 >/dev/null 2>&1 &) ; echo started", say="I start the server."), *EDIT),
    ),
    "budget": Scenario(
        "a loop that a budget of the profile ends",
        "runaway; all tokens counted",
        (Step(run="true", say="Again.", tokens=40_000, output=900),),
        settings={"profiles": {"default": {"budget_usd": 0.4}}, "retry": {"resumes": 0, "repairs": 0, "restarts": 0}},
        only=("claude",),
    ),
    "turns": Scenario(
        "a loop that a number of turns ends",
        "runaway; all tokens counted",
        (Step(run="true", say="Again.", tokens=9_000),),
        settings={"profiles": {"default": {"turns": 4}}, "retry": {"resumes": 0, "repairs": 0, "restarts": 0}},
        only=("claude", "qwen"),
    ),
    "hang": Scenario(
        "the service hangs after the edit",
        "stalled, nothing left, the request in flight is at least reported",
        EDIT,
        troubles=(Trouble("hang", turn=1),),
        settings={"limits": {"idle_minutes": 0.7}, "retry": {"resumes": 0, "repairs": 0, "restarts": 0}},
    ),
    "hang1": Scenario(
        "the service hangs once, in the middle: it is ended and resumed",
        "stalled, then DONE; all tokens counted over both",
        TWICE,
        troubles=(Trouble("hang", turn=2, times=1),),
        settings={"limits": {"idle_minutes": 0.8}},
        longest_s=300.0,
    ),
    "stall": Scenario(
        "the stream stops in its middle and stays open",
        "stalled, nothing left",
        EDIT,
        troubles=(Trouble("stall", turn=1),),
        settings={"limits": {"idle_minutes": 0.15}, "retry": {"resumes": 0, "repairs": 0, "restarts": 0}},
    ),
    # --- sweeps: forty rows, the trouble begins with the ninth
    "sweeplogin": sweep(
        "forty rows, the login is lost with the ninth", "login", "at most 5 starts after it, none FAILED"
    ),
    "sweepmoney": sweep("forty rows, the money ends with the ninth", "money", "at most 5 starts after it, none FAILED"),
    "sweepnet": sweep(
        "forty rows, the network is down from the ninth on", "outage", "few starts after it, none FAILED"
    ),
    "sweepunknown": sweep(
        "forty rows, an unknown refusal from the ninth on", "unknown", "few starts after it, none FAILED"
    ),
    "sweepflap": Scenario(
        "forty rows, the network is down for 10 s every 30 s",
        "all DONE",
        TWICE,
        flap_s=(20.0, 10.0),
        rows=40,
        settings=SWEEP,
        longest_s=500.0,
    ),
}
