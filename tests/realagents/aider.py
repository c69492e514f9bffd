"""aider: OpenAI Chat without tools, through litellm; edits are in the text of the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.realagents import Real
from tests.realagents.cases import QUOTES, RESET, TROUBLE_CLASSES

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [
    "--message-file", "{prompt}", "--yes-always", "--no-auto-commits", "--no-dirty-commits", "--no-gitignore",
    "--no-pretty", "--no-stream", "--no-fancy-input", "--no-suggest-shell-commands", "--no-detect-urls",
    "--map-tokens", "0", "--no-check-update", "--no-show-model-warnings", "--no-show-release-notes",
    "--no-analytics", "--analytics-log", "{dir}/aider-{session}.jsonl",
    "--chat-history-file", "{dir}/aider-{session}.md", "--input-history-file", "/dev/null", "--model", "openai/mock",
]  # fmt: skip
PRICE = {"max_input_tokens": 100_000, "input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
EDIT = [{"plain": True, "text": "out.txt\n```\nok\n```\n", "usage": [203, 23]}]
HANG = [{"plain": True, "fault": "hang"}]


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """Its own retries, a minute of them, have no setting; those of the client below it are none."""
    settings = "- name: openai/mock\n  edit_format: whole\n  extra_params: {max_retries: 0}\n"
    (home / ".aider.model.settings.yml").write_text(settings)
    prices = home / ".aider" / "caches" / "model_prices_and_context_window.json"
    prices.parent.mkdir(parents=True, exist_ok=True)
    prices.write_text(json.dumps({"openai/mock": PRICE}))  # not a day old: it fetches none
    return {
        "OPENAI_API_BASE": f"{address}/v1",
        "OPENAI_API_KEY": "dummy",
        "COLUMNS": "1000",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


REAL = Real(
    name="aider",
    version="0.86.2",
    packages=("aider-chat==0.86.2",),
    program="bin/aider",
    node=0,
    start=COMMAND,
    resume=[*COMMAND, "--restore-chat-history"],
    prepare=prepare,
    argument=True,
    model="openai/mock",
    transcripts=("aider-*.jsonl",),
    classes={"no_session": "ok", "quotes": "crashed", **TROUBLE_CLASSES},
    ends={"quotes": 2},
    notes={"no_session": "it begins a new history where it finds none"},
    scripts={
        "ok": EDIT,
        "network": EDIT,
        # A listing without a file's name: it asks again.
        "quotes": [{"plain": True, "text": f"{QUOTES}\n```\nok\n```\n", "usage": [203, 23]}, *HANG],
        "dns": EDIT,
        "limit": [
            {
                "plain": True,
                "status": 429,
                "error": "rate_limit_exceeded",
                "message": "Rate limit reached for model `mock` on tokens per day (TPD): Limit 100000, Used 99000, "
                "Requested 2000. Please try again in {left}s.",
                "until": RESET,
            }
        ],
        "overload": [{"plain": True, "status": 503, "error": "overloaded_error", "message": "Overloaded"}],
        "auth": [{"plain": True, "status": 401, "error": "authentication_error", "message": "invalid x-api-key"}],
        "context": [
            {
                "plain": True,
                "status": 400,
                "error": "invalid_request_error",
                "code": "context_length_exceeded",
                "message": "This model's maximum context length is 100000 tokens.",
            }
        ],
        "cut": [{"plain": True, "text": "Half of", "fault": "broken"}],
        "hang": HANG,
        "sigkill": HANG,
        "resume": EDIT,
        "no_session": EDIT,
    },
)
