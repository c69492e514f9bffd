"""Which of our environment variables agents and checks get, and which look secret. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NEVER: Final = frozenset(
    {
        "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_INTERNAL_SUPER_PREFIX",
    }
)  # fmt: skip
"""Set inside git hooks; an agent that inherits them works on the wrong repository. They cannot be asked for."""

OWN: Final = "AGENTJOBS_"
"""Prefix of the variables that are set anew for each step."""

USUAL: Final = (
    # User, machine, directories and language.
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "HOSTNAME", "PWD", "TMPDIR", "TMP", "TEMP", "XDG_*",
    "LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR", "LOCALE_ARCHIVE", "__CF_USER_TEXT_ENCODING",
    # How output should look. No EDITOR, PAGER, BROWSER or DISPLAY: nobody sits in front of it.
    "TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI",
    # Proxies and certificates.
    "http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy",
    "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY",
    "SSL_CERT_*", "NIX_SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    # For a login in the desktop's key ring.
    "DBUS_SESSION_BUS_ADDRESS",
    # git: author and settings. No GIT_CONFIG_COUNT, GIT_ASKPASS or GIT_SSH_COMMAND: they carry logins.
    "GIT_AUTHOR_*", "GIT_COMMITTER_*", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
    "GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES", "GIT_TERMINAL_PROMPT", "GIT_LFS_SKIP_SMUDGE",
    # Compilers and libraries. No MAKEFLAGS: the descriptors of the job server it names are closed.
    "CC", "CXX", "CPP", "AR", "LD", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "PKG_CONFIG_PATH", "CMAKE_*",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "SDKROOT", "DEVELOPER_DIR", "CCACHE_*",
    "SCCACHE_DIR", "CUDA_*", "NIX_PATH", "NIX_PROFILES", "NIX_LD", "NIX_LD_LIBRARY_PATH", "ASDF_*", "MISE_*",
    # Python.
    "VIRTUAL_ENV*", "PYTHON*", "PYENV_*", "CONDA_*", "MAMBA_*", "PIP_*", "PIPX_*", "UV_*", "POETRY_*", "PDM_*",
    "HATCH_*", "PYTEST_ADDOPTS",
    # JavaScript.
    "NODE_*", "NVM_*", "FNM_*", "VOLTA_*", "NODENV_*", "N_PREFIX", "NPM_CONFIG_*", "npm_config_*", "PNPM_*",
    "YARN_*", "COREPACK_*", "BUN_*", "DENO_*", "PLAYWRIGHT_*", "PUPPETEER_*",
    # Java, Go, Rust and others. Full names if a glob would take too much: GO* is Google's too, BUNDLE_<HOST> a
    # password.
    "JAVA_*", "JDK_JAVA_OPTIONS", "MAVEN_*", "M2_HOME", "GRADLE_*", "SDKMAN_*", "KOTLIN_HOME", "ANDROID_*",
    "GOPATH", "GOROOT", "GOBIN", "GOCACHE", "GOMODCACHE", "GOENV", "GOFLAGS", "GOOS", "GOARCH", "GOPROXY",
    "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOTOOLCHAIN", "GOTMPDIR", "GOMAXPROCS", "CGO_*",
    "CARGO_*", "RUSTUP_*", "RUST_*", "RUSTC_WRAPPER", "RUSTFLAGS", "RBENV_*", "GEM_HOME", "GEM_PATH", "RUBYLIB",
    "RUBYOPT", "BUNDLE_PATH", "BUNDLE_GEMFILE", "BUNDLE_WITHOUT", "BUNDLE_APP_CONFIG", "COMPOSER_HOME",
    "COMPOSER_CACHE_DIR", "DOTNET_*", "NUGET_PACKAGES", "PERL5LIB", "LUA_PATH", "R_HOME", "R_LIBS", "JULIA_*",
    "MIX_HOME", "HEX_HOME", "STACK_ROOT", "CABAL_DIR", "OPAMROOT", "OPAM_SWITCH_PREFIX", "CAML_LD_LIBRARY_PATH",
)  # fmt: skip
"""What programs usually need to run, and nothing that lets them act elsewhere in somebody's name."""

_AGENTS: Final = (
    "CLAUDE(?:_CODE)?", "CODEX", "GEMINI(?:_CLI)?", "QWEN(?:_CODE)?", "OPENCODE", "COPILOT(?:_AGENT)?",
    "KIMI(?:_CODE|_CLI)?", "CURSOR(?:_AGENT)?", "PI(?:_CODING_AGENT)?", "GOOSE", "AMP", "AIDER", "CRUSH", "MSWEA",
    "AGENT", "AI_AGENT",
)  # fmt: skip
"""Prefixes of the variables of agent programs."""

_OF_A_PROCESS: Final = (
    # Which conversation, thread or tool call it is, in which process, with which parent.
    "(?:[A-Z0-9]+_)*(?:SESSION|THREAD|TRACE|RUN|CONVERSATION|TOOL_USE|TRIGGER|CONTAINER|TASK_LIST|ORDER)_(?:ID|IDS|UUID)",
    "(?:[A-Z0-9]+_)*CHILD_SESSION", "(?:[A-Z0-9]+_)*SESSION_(?:ACCESS|INGRESS)_TOKEN(?:_FILE)?",
    "SESSION(?:_KIND|_NAME|_LOG|_ORIGIN|_ATTENDED|_CREATED_AT_MS|_BEGAN_AS_COPY|_SURFACE)?", "TMUX_SESSION",
    "RESUME_FROM_SESSION", "PROJECTS_SESSION", "P?PID", "ENTRYPOINT", "EXECPATH", "PROCESS_ROLE",
    # Its descriptors, ports and sockets.
    "(?:[A-Z0-9]+_)*(?:FD|FILE_DESCRIPTOR)",
    "(?:[A-Z0-9]+_)*(?:SSE_PORT|IDE_SERVER_PORT|MESSAGING_SOCKET|WORKER_SOCKET)",
    "IDE_(?:WORKSPACE_PATH|AUTH_TOKEN|PID)",
    # Where it works, its sandbox or host, and its current thinking effort.
    "PROJECT_DIR", "ENV_FILE", "JOB_DIR", "EFFORT", "REMOTE", "SANDBOX_NETWORK_DISABLED", "CI",
    "(?:BRIDGE|RUNNER|REMOTE|BG)_[A-Z0-9_]+", "INTERNAL_ORIGINATOR_OVERRIDE", "TERMINAL", "CLI",
)  # fmt: skip
_SETTING: Final = re.compile(r"(?:^|_)(?:DISABLE|ENABLE|FORCE|SKIP|MAX|MIN|TIMEOUT)(?:_|$)")
"""A word that only settings have: ``CLAUDE_CODE_MAX_SUBAGENTS_PER_SESSION`` does not identify a process."""

_IDENTITY: Final = re.compile(
    rf"CLAUDECODE|CODEX_SANDBOX|PI_CODING_AGENT|AI_AGENT|(?:{'|'.join(_AGENTS)})(?:_(?:{'|'.join(_OF_A_PROCESS)}))?"
)

_NAMES: Final = frozenset(name for name in USUAL if not name.endswith("*"))
_BEGINNINGS: Final = tuple(name[:-1] for name in USUAL if name.endswith("*"))

_SECRET: Final = frozenset(
    {
        "KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "AUTH", "COOKIE", "PRIVATE",
        "APIKEY", "ACCESSKEY", "PASS", "PAT", "OTP",
    }
)  # fmt: skip
_PLAIN: Final = frozenset(
    {
        "FILE", "PATH", "DIR", "SOCK", "HELPER", "PROVIDER", "MODE", "TYPE", "METHOD", "ENABLED", "DISABLED", "TTL",
        "HOST", "PORT", "USER", "USERNAME",
    }
)  # fmt: skip
"""Last words of names that describe a secret but are not one: its place or its kind."""
_AMOUNTS: Final = frozenset({"MAX", "MIN", "LIMIT", "BUDGET", "COUNT"})
"""``MAX_OUTPUT_TOKENS`` is a number."""

_ENDINGS: Final = tuple(sorted(_SECRET - {"KEY", "AUTH", "PRIVATE", "PASS", "PAT", "OTP"}))
"""What a longer word may end in: ``PGPASSWORD``, ``AUTHTOKEN``. ``MONKEY`` must not match."""

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BREAK: Final = re.compile(r"[^A-Z0-9]+")


def looks_secret(name: str) -> bool:
    """Return whether a variable of this name is likely to hold a secret, judging by the words in its name."""
    words = [word for word in _BREAK.split(_CAMEL.sub("_", name).upper()) if word]
    if not words or words[-1] in _PLAIN or not _AMOUNTS.isdisjoint(words):
        return False
    return any(word in _SECRET or word.endswith(_ENDINGS) for w in words for word in (w, w.removesuffix("S")))


def is_usual(name: str) -> bool:
    """Return whether a variable is passed on without being asked for."""
    return name in _NAMES or (name.startswith(_BEGINNINGS) and not looks_secret(name))


def is_identity(name: str) -> bool:
    """Return whether a variable identifies the agent process that its children belong to, and is not a setting.

    An agent that starts agentjobs sets such variables. An agent that inherits them takes itself for a part of the outer
    conversation: it does not save its own, or reports to the other one.
    """
    return _IDENTITY.fullmatch(name) is not None and _SETTING.search(name) is None


def passed(environ: Mapping[str, str], wanted: Iterable[str]) -> dict[str, str]:
    """Return the part of ``environ`` that a step gets: the usual variables, and those that ``wanted`` names.

    ``wanted``: names and globs (``*``, ``?``, ``[…]``) from the user. It can name variables that look secret. A
    variable that identifies an outer agent process is passed only by its full name.
    """
    asked = tuple(wanted)
    matches = _matcher([pattern for pattern in asked if is_glob(pattern)])
    return {
        name: value
        for name, value in environ.items()
        if name not in NEVER
        and not name.startswith(OWN)
        and (name in asked or ((is_usual(name) or matches(name)) and not is_identity(name)))
    }


def _matcher(globs: list[str]) -> Callable[[str], bool]:
    if not globs:
        return lambda _: False
    from fnmatch import translate  # only needed for globs

    pattern = re.compile("|".join(map(translate, globs)))
    return lambda name: pattern.match(name) is not None


def is_glob(pattern: str) -> bool:
    """Return whether a text is a pattern rather than the name of one variable."""
    return any(char in pattern for char in "*?[")


def fault(pattern: str) -> str:
    """Return what is wrong with an entry of ``inherit``; empty if nothing is."""
    if not pattern or "=" in pattern or "\0" in pattern:
        return f"{pattern!r} is not the name of a variable"
    if pattern.startswith(OWN):
        return f"{pattern!r}: {OWN}* is set by agentjobs"
    if pattern in NEVER:
        return f"{pattern!r} would make agents work on another repository"
    return ""
