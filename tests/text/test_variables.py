"""Which variables agents and checks get, and which names look secret."""

from __future__ import annotations

import os
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.policy.parse import parse_policy
from agentjobs.policy.presets import names, preset
from agentjobs.text.variables import NEVER, USUAL, is_identity, is_usual, looks_secret, passed
from tests.kit.harness import FAKE_AGENT, Project

SECRET = (
    "ANTHROPIC_API_KEY", "OPENAI_APIKEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "PGPASSWORD",
    "DB_PASS", "MYSQL_PASSWD", "npm_config_//registry/:_authToken", "npm_config__auth", "DENO_AUTH_TOKENS",
    "YARN_NPM_AUTH_TOKEN", "CARGO_REGISTRY_TOKEN", "UV_INDEX_PRIVATE_PASSWORD", "COREPACK_NPM_TOKEN", "key", "SSH_KEYS",
    "XDG_SESSION_COOKIE", "GITHUB_PAT", "GPG_PASSPHRASE", "CLIENT_SECRETS", "POETRY_PYPI_TOKEN_FOO",
)  # fmt: skip
PLAIN = (
    "PATH", "MONKEY", "KEYBOARD", "AUTHOR", "GIT_AUTHOR_NAME", "COMPASS", "TOKENIZER", "MAX_OUTPUT_TOKENS", "PATTERN",
    "SSH_AUTH_SOCK", "GOOGLE_APPLICATION_CREDENTIALS_FILE", "KEY_FILE", "AUTH_MODE", "PIP_KEYRING_PROVIDER", "",
    "GOPRIVATE", "_", "PWD", "SECRETARY",
)  # fmt: skip


@pytest.mark.parametrize("name", SECRET)
def test_a_name_that_looks_secret(name: str) -> None:
    assert looks_secret(name)
    assert not is_usual(name), "it passes by no glob of ours"


@pytest.mark.parametrize("name", PLAIN)
def test_a_name_that_does_not(name: str) -> None:
    assert not looks_secret(name)


def test_nothing_that_is_usual_looks_secret() -> None:
    """A name that did would be masked in every log, though nobody asked for it."""
    assert [name for name in USUAL if looks_secret(name.rstrip("*"))] == []
    assert len(set(USUAL)) == len(USUAL)
    assert all(re.fullmatch(r"\w+\*?", name) for name in USUAL)


def test_what_passes_unasked() -> None:
    usual = (
        "PATH", "HOME", "LC_ALL", "XDG_CONFIG_HOME", "https_proxy", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "PYTHONPATH",
        "VIRTUAL_ENV", "NPM_CONFIG_CACHE", "npm_config_registry", "GIT_CONFIG_GLOBAL", "GIT_COMMITTER_EMAIL", "TMPDIR",
        "CARGO_HOME", "GOPATH", "NVM_DIR", "SSL_CERT_FILE", "CI",
    )  # fmt: skip
    kept = (
        "DATABASE_URL", "SSH_AUTH_SOCK", "AWS_PROFILE", "KUBECONFIG", "DOCKER_HOST", "GIT_ASKPASS", "GIT_CONFIG_COUNT",
        "GIT_SSH_COMMAND", "MAKEFLAGS", "DISPLAY", "EDITOR", "GOOGLE_CLOUD_PROJECT", "BUNDLE_GEMS__EXAMPLE__ORG",
        "MYAPP_MODE", "path", *SECRET, *NEVER,
    )  # fmt: skip
    assert passed(dict.fromkeys((*usual, *kept), "x"), ()).keys() == set(usual)


def test_what_people_ask_for_passes_secret_or_not() -> None:
    environ = dict.fromkeys(("DATABASE_URL", "MYAPP_KEY", "MYAPP_MODE", "OTHER_KEY", "A1", "A2", "B1", "PATH"), "x")
    assert passed(environ, ("DATABASE_URL", "MYAPP_*", "A?", "B[2-9]", "ABSENT")).keys() == {
        "DATABASE_URL", "MYAPP_KEY", "MYAPP_MODE", "A1", "A2", "PATH",
    }  # fmt: skip
    assert passed({"myapp_x": "1", "MYAPP": "1", "XMYAPP_1": "1"}, ("MYAPP_*",)) == {}


@given(st.dictionaries(st.text("AB_*[K", min_size=1, max_size=4) | st.sampled_from([*NEVER, "AGENTJOBS_X"]), st.text()))
def test_all_can_be_asked_for_but_what_would_mislead(environ: dict[str, str]) -> None:
    asked = passed(environ, ("*",))
    assert asked == {n: v for n, v in environ.items() if n not in NEVER and not n.startswith("AGENTJOBS_")}
    assert passed(environ, tuple(NEVER)) == passed(environ, ())


# --- the identity of an agent that started us: what real programs set for their children

IDENTITY = (
    # Claude Code 2.1.329, for its shell commands, hooks and MCP servers; its desktop and web hosts.
    "CLAUDECODE", "CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_CHILD_SESSION", "CLAUDE_CODE_SESSION_ATTENDED", "CLAUDE_PID",
    "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_EXECPATH", "CLAUDE_CODE_REMOTE", "CLAUDE_CODE_REMOTE_SESSION_ID",
    "CLAUDE_CODE_SSE_PORT", "CLAUDE_PROJECT_DIR", "CLAUDE_ENV_FILE", "CLAUDE_EFFORT", "CLAUDE_JOB_DIR", "AI_AGENT",
    "CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS", "CLAUDE_CODE_HOST_SESSION_ID", "CLAUDE_CODE_SESSION_ACCESS_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR", "CLAUDE_CODE_TOOL_USE_ID", "CLAUDE_CODE_SESSION_KIND",
    "CLAUDE_SESSION_ID",
    "CLAUDE_CODE_MESSAGING_SOCKET", "CLAUDE_CODE_BRIDGE_SESSION_ID", "CLAUDE_RUNNER_ACTIVITY_FD",
    "CLAUDE_CODE_TASK_LIST_ID",
    "CLAUDE_CODE_CONTAINER_ID", "CLAUDE_CODE_RESUME_FROM_SESSION", "CLAUDE_SESSION_INGRESS_TOKEN_FILE", "CLAUDE_CODE",
    # Codex 0.169.0.
    "CODEX_THREAD_ID", "CODEX_SANDBOX", "CODEX_SANDBOX_NETWORK_DISABLED", "CODEX_CI",
    "CODEX_INTERNAL_ORIGINATOR_OVERRIDE",
    # Others.
    "GEMINI_CLI", "GEMINI_CLI_IDE_SERVER_PORT", "GEMINI_CLI_IDE_WORKSPACE_PATH", "QWEN_CODE",
    "QWEN_CODE_IDE_SERVER_PORT",
    "OPENCODE", "OPENCODE_PID", "OPENCODE_RUN_ID", "OPENCODE_PROCESS_ROLE", "COPILOT_CLI", "COPILOT_AGENT_SESSION_ID",
    "CURSOR_AGENT", "CURSOR_TRACE_ID", "PI_CODING_AGENT", "PI_SESSION_ID", "KIMI_SESSION_ID", "GOOSE_TERMINAL",
    "AMP_THREAD_ID", "AMP_CURRENT_THREAD_ID", "AGENT_SESSION_ID", "CRUSH", "AGENT",
)  # fmt: skip
SETTINGS = (
    "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS", "CLAUDE_CODE_MAX_RETRIES", "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
    "ANTHROPIC_API_KEY",
    "CLAUDE_CODE_DISABLE_NESTED_SESSION_ID", "CLAUDE_CODE_FORCE_SESSION_PERSISTENCE", "CLAUDE_CODE_EFFORT_LEVEL",
    "CLAUDE_CODE_MAX_SUBAGENTS_PER_SESSION", "CLAUDE_CODE_SUBAGENT_MODEL", "CLAUDE_CODE_SHELL", "CLAUDE_CODE_TMPDIR",
    "CLAUDE_CODE_SESSIONEND_HOOKS_TIMEOUT_MS", "CLAUDE_AGENT_SDK_VERSION", "CLAUDE_CODE_HOST_CREDS_FILE",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "CLAUDE_CODE_CLIENT_CERT", "CLAUDE_CODE_PROXY_HOST", "CLAUDE_TMPDIR",
    "CODEX_HOME", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "CODEX_CA_CERTIFICATE", "CODEX_SQLITE_HOME", "OPENAI_API_KEY",
    "OPENAI_BASE_URL", "OPENAI_ORG_ID", "GEMINI_API_KEY", "GEMINI_MODEL", "GEMINI_CLI_HOME", "GEMINI_SANDBOX",
    "GEMINI_SANDBOX_PROXY_COMMAND",
    "GOOGLE_CLOUD_PROJECT", "GEMINI_CLI_NO_RELAUNCH", "QWEN_HOME", "QWEN_CODE_SUPPRESS_YOLO_WARNING", "OPENCODE_CONFIG",
    "OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_CONFIG_CONTENT", "COPILOT_HOME", "COPILOT_GITHUB_TOKEN", "COPILOT_MODEL",
    "COPILOT_PROVIDER_BASE_URL", "KIMI_CODE_HOME", "KIMI_API_KEY", "PI_CODING_AGENT_DIR", "PI_OFFLINE",
    "GOOSE_PROVIDER",
    "GOOSE_MODE", "AMP_API_KEY", "CURSOR_API_KEY", "AIDER_MODEL", "MSWEA_MODEL_NAME", "AWS_SESSION_TOKEN", "AWS_REGION",
    "AWS_ROLE_SESSION_NAME", "DBUS_SESSION_BUS_ADDRESS", "XDG_SESSION_ID",
)  # fmt: skip


def test_an_outer_session_is_told_from_settings() -> None:
    assert [name for name in IDENTITY if not is_identity(name)] == []
    assert [name for name in SETTINGS if is_identity(name)] == []
    assert [name for name in USUAL if is_identity(name)] == []


@pytest.mark.parametrize("name", names())
def test_no_preset_passes_an_outer_session_on(name: str) -> None:
    policy = parse_policy(f'[profiles.default]\nagent = "{name}"\n'.encode(), preset=preset)
    wanted = policy.inherit + policy.agents[name].inherit
    beginnings = tuple(pattern.removesuffix("*") for pattern in wanted)
    given = passed(dict.fromkeys((*IDENTITY, *SETTINGS), "x"), wanted)
    assert not given.keys() & set(IDENTITY)
    for setting in SETTINGS:
        assert (setting in given) is (setting.startswith(beginnings) or is_usual(setting)), setting


@given(
    st.sampled_from(["CLAUDE_CODE", "CODEX", "OPENCODE", "QWEN_CODE", "KIMI", "COPILOT", "PI", "AMP", "CURSOR"]),
    st.lists(st.sampled_from(["HOST", "OUTER", "PARENT", "CLOUD", "X2"]), max_size=3),
    st.sampled_from(["SESSION_ID", "THREAD_ID", "TRACE_ID", "RUN_ID", "CHILD_SESSION", "SSE_PORT", "SESSION_UUID",
    "FD"]),
)
def test_whatever_identifies_a_process_passes_by_its_name_alone(program: str, words: list[str], what: str) -> None:
    name = "_".join([program, *words, what])
    assert is_identity(name)
    assert passed({name: "x"}, ("*", f"{program}_*", f"{name}*")) == {}
    assert passed({name: "x"}, (name,)) == {name: "x"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('slots = 1\ninherit = ["A=B"]\n', 2, "'A=B' is not the name of a variable"),
        ('inherit = [""]\n', 1, "not the name"),
        ('[agents.a]\ncommand = ["x"]\ninherit = ["OK", "GIT_DIR"]\n', 3, 'repository ("inherit" in [agents.a])'),
        ('[agents.a]\ncommand = ["x"]\ninherit = ["AGENTJOBS_TASK"]\n', 3, "is set by agentjobs"),
    ],
)
def test_what_cannot_be_asked_for(text: str, line: int, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_policy(text.encode())
    assert str(caught.value).startswith(f"agentjobs.toml:{line}: ")
    assert words in str(caught.value)


# --- the whole program ------------------------------------------------------------------------------------

ENV_OF = 'env >"$AGENTJOBS_ROOT/../env-{0}"'


def test_who_gets_what(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "FAKE_API_KEY": "sk-fake-0123456789", "MYAPP_MODE": "fast", "MYAPP_TOKEN": "tok-0123456789", "OTHER": "other",
        "SSH_AUTH_SOCK": "/run/agent", "NPM_CONFIG_CACHE": "/cache", "NPM_CONFIG__AUTH": "secret-0123", "LC_TIME": "C",
        "FAKE_LEVEL": "low",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    dump = ["sh", "-c", ENV_OF.format("agent") + '; exec "$@"', "sh", sys.executable, "-IS", FAKE_AGENT]
    project.configure(
        inherit=["MYAPP_*"],
        workspace={"setup": ENV_OF.format("setup")},
        profiles={"default": {"verify": [ENV_OF.format("verify")]}},
        landing={"gate": [ENV_OF.format("gate")]},
        agents={"fake": {"command": dump, "inherit": ["FAKE_API_KEY"], "env": {"FAKE_LEVEL": "high"}}},
    )
    project.plans(a="ok")
    assert project.settle() == {"a": "DONE"}
    common = {"MYAPP_MODE": "fast", "MYAPP_TOKEN": "tok-0123456789", "NPM_CONFIG_CACHE": "/cache", "LC_TIME": "C"}
    for step in ("agent", "setup", "verify", "gate"):
        lines = (project.directory / f"env-{step}").read_text().splitlines()
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        wanted = common | ({"FAKE_API_KEY": given["FAKE_API_KEY"], "FAKE_LEVEL": "high"} if step == "agent" else {})
        assert {name: found[name] for name in given if name in found} == wanted, step
        assert found["PATH"] == os.environ["PATH"]
        assert "AGENTJOBS_BASE_COMMIT" in found


def test_check_names_a_key_that_an_agent_will_not_get(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.plans(a="ok")
    assert "FAKE_API_KEY" not in project.run("check", code=0).stderr
    monkeypatch.setenv("FAKE_API_KEY", "sk-fake-0123456789")
    monkeypatch.setenv("ELSEWHERE_PASSWORD", "no model's")
    said = project.run("check", code=0).stderr
    assert re.search(r"agentjobs\.toml:\d+: warning: agent fake will not get FAKE_API_KEY, set here", said)
    assert "ELSEWHERE" not in said
    for inherit in ([], ["FAKE_*"]):
        project.configure(agents={"fake": {"inherit": inherit}})
        assert "FAKE_API_KEY" not in project.run("check", code=0).stderr
    project.configure({"agents": {"fake": {"inherit": None}}}, inherit=["FAKE_API_KEY"])
    assert "FAKE_API_KEY" not in project.run("check", code=0).stderr
