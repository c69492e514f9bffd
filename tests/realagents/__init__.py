"""The real agent CLIs, pinned, and how each is pointed at the mock model; nothing here talks to a real service."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CACHE = REPOSITORY / ".cache" / "agents"


@dataclass(frozen=True)
class Real:
    """One CLI: its npm package, what must run after the install, and its two command lines."""

    package: str
    version: str
    program: str
    start: list[str]
    resume: list[str]
    after_install: tuple[str, ...] = ()


CLAUDE = [
    "-p", "--output-format", "stream-json", "--verbose", "--model", "claude-sonnet-4-5",
    "--dangerously-skip-permissions",
]  # fmt: skip
CODEX = ["exec", "--json", "--skip-git-repo-check", "-m", "mock", "--dangerously-bypass-approvals-and-sandbox"]

REAL = {
    "claude": Real(
        "@anthropic-ai/claude-code",
        "2.1.329",
        "claude",
        [*CLAUDE, "--session-id", "{session}"],
        [*CLAUDE, "--resume", "{session}"],
        ("node", "node_modules/@anthropic-ai/claude-code/install.cjs"),
    ),
    "codex": Real(
        "@openai/codex",
        "0.169.0",
        "codex",
        [*CODEX, "-"],
        [*CODEX, "resume", "{session}", "-"],
    ),
}


def program(agent: str) -> Path:
    """Return the path of the CLI in the cache, there or not."""
    return CACHE / agent / "node_modules" / ".bin" / REAL[agent].program


def prepare(agent: str, home: Path, address: str, oauth: bool = False) -> dict[str, str]:
    """Write the CLI's configuration under ``home`` and return its whole environment.

    ``oauth`` gives Claude a subscription's token instead of a key: only then does it read a subscription's limits.
    """
    home.mkdir(parents=True, exist_ok=True)
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "TZ": "UTC", "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1"}
    if agent == "claude":
        login = "CLAUDE_CODE_OAUTH_TOKEN" if oauth else "ANTHROPIC_API_KEY"
        env |= {
            "ANTHROPIC_BASE_URL": address,
            login: "dummy",
            "CLAUDE_CONFIG_DIR": str(home / ".claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "IS_SANDBOX": "1",
        }
    if agent == "codex":
        env |= {"CODEX_HOME": str(home / ".codex"), "MOCK_API_KEY": "dummy"}
        (home / ".codex").mkdir(exist_ok=True)
        (home / ".codex" / "config.toml").write_text(
            'model_provider = "mock"\ncheck_for_update_on_startup = false\n'
            "[analytics]\nenabled = false\n"
            f'[model_providers.mock]\nname = "mock"\nbase_url = "{address}/v1"\nenv_key = "MOCK_API_KEY"\n'
            'wire_api = "responses"\nrequest_max_retries = 1\nstream_max_retries = 1\n'
        )
    return env
