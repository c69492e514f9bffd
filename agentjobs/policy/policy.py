"""The policy of a project: agentjobs.toml as frozen types, and the profile of a row. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from agentjobs.model.errors import UserError
from agentjobs.policy.agents import WINDOW, Agent, check_writable
from agentjobs.policy.context import TaskContext
from agentjobs.policy.limits import Limits, Retry, Several
from agentjobs.policy.plan import Planning
from agentjobs.policy.reviews import Rule, Severity
from agentjobs.policy.schema_check import SchemaCheck
from agentjobs.text.path_patterns import output_fault
from agentjobs.text.toml import FieldError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentjobs.model.tasks import Row

INPUTS: Final = (
    "package.json", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "pnpm-workspace.yaml",
    "yarn.lock", "bun.lock", "requirements*.txt", "pyproject.toml", "poetry.lock", "uv.lock", "Pipfile.lock",
    "Cargo.toml", "Cargo.lock", "go.mod", "go.sum", "Gemfile", "Gemfile.lock", "composer.json", "composer.lock",
)  # fmt: skip
"""The manifests and lock files of the well-known package managers."""

OUTPUT_CHECK: Final = 'test -s "$AGENTJOBS_ROW_OUTPUT"'
"""The first check of a task whose profile says what it writes."""

class Workspace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an agent works."""

    kind: Literal["worktree", "clone", "none"] = "worktree"
    """`worktree`: a git worktree for each task; `clone`: likewise, and its git is a repository of its own, where no
    agent can touch your branches, objects or settings; `none`: the project's own directory, for jobs that change no
    file of it."""
    setup: str | None = None
    """A shell command run once in a new tree, before the agent. What it changes does not land."""
    copy: tuple[str, ...] = ()
    """Paths below the project root to copy into each tree."""
    link: tuple[str, ...] = ()
    """Paths below the project root to link into each tree; writing through a link changes the original."""
    keep: tuple[str, ...] = ()
    """Ignored paths, such as `node_modules`, that stay in a tree when the next task gets it; a name without `/`
    at any depth. All else that git does not track is removed, and `setup` runs in every tree that is new to a
    task."""
    inputs: tuple[str, ...] = INPUTS
    """Tracked files that `setup` depends on, as names, paths or globs: with `keep`, it runs again only when one
    of them has changed."""
    sparse: tuple[str, ...] = ()
    """Directories to check out, for large repositories: a task's tree holds these, those of the task's `files`, and
    the files at the top and on the way to them. Checks that need more belong into `landing.gate`, which has
    everything where `landing.batch` is above 1. Empty: all of the commit."""
    sandbox: Literal["none", "bwrap"] = "none"
    """`bwrap` (Linux, with bubblewrap): setup, agents and checks can write their tree and little else; see below."""
    writable: tuple[str, ...] = ()
    """What steps in a sandbox may write besides: paths from the project root, absolute, or with `~` or
    `${NAME:-default}`. What is missing is made: a file if the name has an ending, else a directory."""

    def __post_init__(self) -> None:
        named = {"copy": self.copy, "link": self.link, "keep": self.keep, "inputs": self.inputs}
        for key, paths in named.items():
            for path in paths:
                if not path.strip("/.") or path.startswith(("/", "!")) or ".." in path.split("/") or "\0" in path:
                    raise FieldError(key, f"{path!r} is not a path below the project root")
        for path in self.writable:
            check_writable(path)
        for path in self.sparse:
            parts = path.rstrip("/").split("/")
            if re.search(r"[*?\[\]\\!\0\n]", path) or not path.strip("/.") or {"", ".", ".."} & set(parts):
                raise FieldError("sparse", f"{path!r} is not the path of a directory below the project root")
        for path in self.keep:
            names = path.strip("/").split("/")
            for other in (*self.copy, *self.link):
                parts = other.strip("/").split("/")
                if names == parts[: len(names)] or (len(names) == 1 and names[0] in parts):
                    raise FieldError("keep", f"{other!r} is placed anew for each task; take {path!r} out")
        if both := {p.rstrip("/") for p in self.copy} & {p.rstrip("/") for p in self.link}:
            raise FieldError("link", f"{min(both)!r} is in copy as well; choose one")
        linked = {path.rstrip("/").rpartition("/")[2] for path in self.link}
        if "node_modules" in linked and re.search(r"\b(npm|pnpm|yarn|bun)\b", self.setup or ""):
            raise FieldError("link", "an install through a linked node_modules empties the original")


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Named settings for a kind of task; a row names one in its ``profile`` cell."""

    agent: str
    """A preset (`agentjobs agents` lists them), or a name under `[agents]`."""
    model: str | None = None
    """The model the agent is to use; its own choice when left out."""
    turns: Several | None = None
    """Turns that one attempt may take, where the agent can be told so."""
    budget_usd: Annotated[float, Meta(gt=0)] | None = None
    """Money that one attempt may cost, US dollars, where the agent can be told so."""
    prompt: str = "prompt.md.j2"
    """Path of the prompt template, from the project root."""
    verify: tuple[str, ...] = ()
    """Shell commands that must all succeed in the tree before the work lands."""
    checks: tuple[SchemaCheck, ...] = ()
    """Outputs that are data, and their schemas."""
    review: tuple[str, ...] = ()
    """Profiles that judge verified work before it lands, each by its own agent."""
    review_pass: Rule = "all"  # noqa: S105
    """Whose verdicts must pass: `all` of them, `any` one, or the `majority`."""
    review_blocks: Severity = "high"
    """A verdict passes when no finding is so severe or worse."""
    require_change: bool = True
    """An attempt that changes nothing has failed."""
    scope: Literal["files", "any"] = "files"
    """`files`: an attempt may change only what the row's `files` names (a row that names nothing may change
    anything); `any`: no limit."""
    baseline: Literal["any", "green"] = "any"
    """`green`: the checks must pass on `base` before any agent starts."""
    escalate: str | None = None
    """The profile that layer 3 uses instead of this one."""
    fit: Annotated[float, Meta(gt=0, le=1)] = 0.6
    """A prompt may fill this share of the window; a larger one is refused before it costs anything."""
    window: Several | None = None
    """Tokens of the model's context; what the agent's preset says when left out, or 200,000."""
    plan: str | None = None
    """A shell command that makes the tasks of this phase, once the phase before is over: it calls `agentjobs plan …`,
    or prints rows as JSON lines. Runs in the project's directory; only for a profile in `phases`."""
    again: bool = False
    """Run `plan` again whenever the tasks of this phase have settled, until it adds none: merging level by level."""
    output: str | None = None
    """What each task writes, from the top of its tree, as in `merged/{id}.md`: plans put it into the column `output`,
    and a task whose file is missing or empty has failed its first check."""
    min_done: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """This phase begins once the phase before is over and so large a share of its tasks, those SKIPPED aside, is
    DONE."""
    context_stop: Annotated[float, Meta(gt=0, le=1)] = 0.85
    """An agent whose context has filled this share of the window is stopped; a fresh one goes on from its handoff."""
    context: TaskContext | None = None
    """What prompts hold of the repository."""

    def __post_init__(self) -> None:
        if not self.prompt:
            raise FieldError("prompt", "needs the path of a template")
        _check_shell("verify", self.verify)
        if self.plan is not None:
            _check_shell("plan", (self.plan,))
        if self.again and self.plan is None:
            raise FieldError("again", "there is no plan to run again")
        if self.output is not None and (words := output_fault(self.output)):
            raise FieldError("output", words)


class Landing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How verified work reaches the target branch."""

    enabled: bool = True
    """Without it verified work stays a commit of its own."""
    gate: tuple[str, ...] = ()
    """Shell commands that must succeed, besides `verify`, on what is to land, merged onto the target. They run
    once for a whole batch of tasks."""
    batch: Several = 16
    """Tasks that one run of `gate` may decide about; 1: each task by itself, in its own tree."""
    wait_s: Annotated[float, Meta(ge=0)] = 60.0
    """Seconds that a verified task waits at most for others to share a run of `gate` with; none where agents
    stand idle."""
    problems: tuple[str, ...] = ()
    """Regular expressions, besides those built in, that find in the output of `gate` which file an error is in:
    groups `file` and, if there is one, `line`."""
    approve: bool = False
    """Verified work waits until `agentjobs approve` lets it land."""

    @property
    def together(self) -> int:
        """The most tasks that land together. Without a gate only its own checks judge a task, so it lands alone."""
        return self.batch if self.gate else 1

    def __post_init__(self) -> None:
        _check_shell("gate", self.gate)
        for pattern in self.problems:
            try:
                found = re.compile(pattern)
            except re.error as error:
                raise FieldError("problems", f"{pattern!r} is no regular expression: {error}") from None
            if "file" not in found.groupindex:
                raise FieldError("problems", f"{pattern!r} has no group (?P<file>...)")


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of agentjobs.toml."""

    base: str = "main"
    """The branch or commit where trees start."""
    target: str = "agentjobs/landed"
    """The branch that receives verified work; made from `base` when absent."""
    slots: Several = 8
    """Agents at once."""
    verify_slots: Several = 2
    """Checks at once."""
    phases: tuple[str, ...] = ()
    """Names of profiles, in order: the tasks of one begin when those of the one before have settled."""
    inherit: tuple[str, ...] = ()
    """Variables of the environment of agentjobs that agents and checks get besides the usual ones: names or globs,
    as in `["DATABASE_URL", "MYAPP_*"]`."""
    limits: Limits = field(default_factory=Limits)
    """Bounds and budgets."""
    retry: Retry = field(default_factory=Retry)
    """The three layers."""
    workspace: Workspace = field(default_factory=Workspace)
    """The trees."""
    profiles: dict[str, Profile] = field(default_factory=dict)
    """One table for each kind of task; a row that names none has `default`."""
    agents: dict[str, Agent] = field(default_factory=dict)
    """One table for each agent program."""
    landing: Landing = field(default_factory=Landing)
    """The target branch."""
    plan: Planning | None = None
    """What `plan files` makes tasks of."""

    def __post_init__(self) -> None:
        if not self.base or self.base.startswith("-") or not self.base.isprintable():
            raise FieldError("base", f"{self.base!r} is not a branch or commit")
        if not _is_branch(self.target):
            raise FieldError("target", f"{self.target!r} is not a name git allows for a branch")


def window_of(policy: Policy, profile: Profile) -> int:
    """Return the tokens of the context that a profile's model has."""
    agent = policy.agents.get(profile.agent)
    return profile.window or (agent.window if agent else None) or WINDOW


def finish_grace_s(policy: Policy, agent: str) -> float:
    """Return the seconds that an agent may go on living after its final event."""
    found = policy.agents.get(agent)
    own = found.finish_grace_s if found else None
    return policy.limits.finish_grace_s if own is None else own


def wishes_of(profile: Profile) -> dict[str, str]:
    """Return what a profile asks of its agent by flags, by the name of the flag."""
    budget = None if profile.budget_usd is None else f"{profile.budget_usd:g}"
    asked = {"model": profile.model, "turns": profile.turns and str(profile.turns), "budget": budget}
    return {key: value for key, value in asked.items() if value}


def resolve(policy: Policy, row: Row, *, profile: str | None = None, file: str = "tasks.tsv") -> Profile:
    """Return the profile of a row, with the row's own ``prompt`` and ``verify`` in place of the profile's.

    ``profile`` names another one (that of layer 3). UserError, with the row's line, where it is not defined.
    """
    name = profile or row.profile or "default"
    if name not in policy.profiles:
        raise UserError(unknown_name("profile", name, policy.profiles), file=file, line=row.line)
    found = policy.profiles[name]
    prompt, verify = row.cells.get("prompt", ""), row.cells.get("verify", "")
    if prompt:
        found = msgspec.structs.replace(found, prompt=prompt)
    if verify:
        found = msgspec.structs.replace(found, verify=(verify,))
    if row.cells.get("output", "").strip() and (found.output or policy.profiles.get(row.profile, found).output):
        found = msgspec.structs.replace(found, verify=(OUTPUT_CHECK, *found.verify))
    return found


def _check_shell(key: str, commands: tuple[str, ...]) -> None:
    for command in commands:
        if not command.strip() or "\0" in command:
            raise FieldError(key, f"{command!r} is not a command")


def _is_branch(name: str) -> bool:
    """Tell whether git accepts the text as the name of a branch."""
    return (
        name != "HEAD"
        and not name.startswith(("-", "refs/"))
        and not re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(^|/)\.|\.lock(/|$)|[/.]$|^/|^@?$", name)
    )


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return the error for a name that is not defined, with the nearest one that is."""
    names = sorted(known)
    if close := nearest(name, names):
        return f'unknown {what} "{name}"; did you mean "{close}"?'
    hint = f"known: {', '.join(names)}" if names else f"agentjobs.toml has no [{what}s.{name}]"
    return f'unknown {what} "{name}"; {hint}'
