"""mini-swe-agent: OpenAI Chat, through litellm; its one tool is a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.realagents import Real
from tests.realagents.cases import EDIT, QUOTES, RESET, TROUBLE_CLASSES

if TYPE_CHECKING:
    from pathlib import Path

SUBMIT = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """Two attempts a request, or it tries ten times; the second comes after four seconds."""
    return {
        "OPENAI_API_BASE": f"{address}/v1",
        "OPENAI_API_KEY": "dummy",
        "COLUMNS": "1000",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "MSWEA_CONFIGURED": "true",
        "MSWEA_GLOBAL_CONFIG_DIR": str(home / ".config" / "mini-swe-agent"),
        "MSWEA_COST_TRACKING": "ignore_errors",
        "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "2",
        "TYPER_STANDARD_TRACEBACK": "1",
        "_TYPER_STANDARD_TRACEBACK": "1",
        "MSWEA_SILENT_STARTUP": "1",
    }


REAL = Real(
    name="mini-swe-agent",
    version="2.4.6",
    packages=("mini-swe-agent==2.4.6", "mcp"),
    program="bin/mini",
    node=0,
    start=[
        "-y", "--exit-immediately", "-m", "openai/mock", "-o", "{dir}/mini-{session}.json",
        "-t", "Read the file {prompt} and do what it says.",
    ],
    resume=None,
    prepare=prepare,
    argument=True,
    model="openai/mock",
    transcripts=("mini-*.json",),
    classes={"quotes": "crashed", **TROUBLE_CLASSES},
    ends={"quotes": 2},
    scripts={
        "quotes": [{"run": "true", "text": QUOTES, "usage": [203, 23]}, {"fault": "hang"}],
        "ok": [EDIT[0], {"run": SUBMIT, "usage": [203, 23]}],
        "limit": [
            {
                "status": 429,
                "error": "rate_limit_exceeded",
                "message": "Rate limit reached for model `mock` on tokens per day (TPD): Limit 100000, Used 99000, "
                "Requested 2000. Please try again in {left}s.",
                "until": RESET,
            }
        ],
        "context": [
            {
                "status": 400,
                "error": "invalid_request_error",
                "code": "context_length_exceeded",
                "message": "This model's maximum context length is 100000 tokens.",
            }
        ],
        "cut": [{"text": "Half of", "fault": "broken"}],
    },
)  # fmt: skip
