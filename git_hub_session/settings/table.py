"""The table of settings. The commands, the completion and a test of the manual read it.

Each setting is a key of git's configuration. Its value can also come from the file .hubsession, if
`is_project` is True, or from an option of the commands that use it.
"""

from __future__ import annotations

from git_hub_session._typing import NamedTuple

PREFIX = "hubsession."
PROJECT_FILE = ".hubsession"
"""The file with the defaults of a project, at the top of the main worktree."""

EXECUTOR_KEYS = ("command", "path", "setup", "slots", "remote", "options")
"""The variables of an executor. Only the user's own configuration may set them."""

TEXT, COMMAND, NUMBER, SIZE, BOOLEAN = "text", "command", "number", "size", "boolean"
PATH, PATTERNS = "path", "patterns"


class Setting(NamedTuple):
    """One setting."""

    name: str
    """The key without its section."""
    type: str
    help: str
    """A description of one line."""
    commands: tuple[str, ...]
    """The commands that use the setting."""
    default: tuple[str, ...] = ()
    option: str = ""
    """The option of these commands whose default the setting is, or ''."""
    unless: tuple[str, ...] = ()
    """The other options that make the commands ignore the setting."""
    choices: tuple[str, ...] = ()
    """The allowed values, or () if any text is allowed."""
    is_list: bool = False
    """True if all values count, not only the last one."""
    is_project: bool = False
    """True if the file .hubsession may have the setting."""

    @property
    def key(self) -> str:
        """The name of the setting in git's configuration."""
        return PREFIX + self.name


AGENT_CMD = Setting(
    "agentCmd",
    COMMAND,
    "shell command of the agents",
    ("run", "exec"),
    option="agent-cmd",
    is_list=True,
    is_project=True,
)
AGENTS = Setting(
    "agents",
    NUMBER,
    "number of agents of a new session",
    ("init", "run"),
    default=("3",),
    option="agents",
    is_project=True,
)
EVAL = Setting(
    "eval",
    COMMAND,
    "command that measures a result",
    ("init", "run"),
    option="eval",
    is_project=True,
)
METRIC = Setting(
    "metric",
    TEXT,
    "name of the metric that the command prints",
    ("init", "run"),
    option="metric",
    is_project=True,
)
METRIC_REGEX = Setting(
    "metricRegex",
    TEXT,
    "regular expression with a group for the metric",
    ("init", "run"),
    option="metric-regex",
    unless=("metric",),
    is_project=True,
)
DIRECTION = Setting(
    "direction",
    TEXT,
    "whether a lower or a higher metric is better",
    ("init", "run"),
    option="direction",
    unless=("metric",),
    choices=("lower", "higher"),
    is_project=True,
)
REQUIRE = Setting(
    "require",
    TEXT,
    "condition that each run must meet",
    ("init", "run"),
    option="require",
    is_list=True,
    is_project=True,
)
GUARD = Setting(
    "guard",
    PATH,
    "path to measure as in the base branch",
    ("eval", "run"),
    is_list=True,
    is_project=True,
)
STRATEGY = Setting(
    "strategy",
    TEXT,
    "approach of an agent",
    ("init", "run"),
    option="strategy",
    unless=("strategies",),
    is_list=True,
    is_project=True,
)
WORKTREE_PATH = Setting(
    "worktreePath",
    PATH,
    "path template for new worktrees",
    ("spawn", "run", "adopt", "restore"),
    default=("../{repo}.hub/{id}/agent-{n}",),
    is_project=True,
)
SETUP = Setting(
    "setup",
    COMMAND,
    "command that prepares a new worktree",
    ("spawn", "eval", "run"),
    is_project=True,
)
HOLDOUT = Setting(
    "holdout", PATH, "directory with files that only measured worktrees get", ("eval", "run")
)
RESCUE_LIMIT = Setting(
    "rescueLimit",
    SIZE,
    "largest size of the untracked files to save from one worktree",
    ("cleanup", "merge", "archive", "run"),
    default=("100m",),
)
KEEP_IGNORED = Setting(
    "keepIgnored",
    PATTERNS,
    "patterns of ignored files that are saved too",
    ("cleanup", "merge", "archive", "restore", "run"),
    default=(".env*", "*.db", "*.sqlite*"),
    is_list=True,
)
ARCHIVE_LIMIT = Setting(
    "archiveLimit",
    NUMBER,
    "largest number of archives without a warning",
    ("list", "doctor"),
    default=("1000",),
)
REMOTE = Setting("remote", TEXT, "remote on which sessions are shared", ("push", "fetch", "work"))
AUTO_SHARE = Setting(
    "autoShare",
    BOOLEAN,
    "whether to push a session after each change, and to fetch the session before status",
    (
        *("init", "spawn", "adopt", "exec", "eval", "merge", "run", "status", "update"),
        *("archive", "cleanup", "restore"),
    ),
    default=("false",),
)
SHARED_REFS = Setting(
    "sharedRefs",
    TEXT,
    "prefix of the shared refs on a remote: records, archives, rescue refs and claims",
    ("push", "fetch", "work"),
    default=("refs/hub",),
)
CLAIM_TIMEOUT = Setting(
    "claimTimeout",
    NUMBER,
    "seconds after which a claim is stale if its worker does not renew the claim",
    ("work",),
    default=("600",),
)
EDITOR = Setting("editor", COMMAND, "command that opens the worktree of an agent", ("open",))
HOOK_SPAWNED = Setting(
    "hook.spawned", COMMAND, "command to run after agents were created", ("spawn", "run")
)
HOOK_AGENT_DONE = Setting(
    "hook.agentDone", COMMAND, "command to run after the end of an agent's command", ("exec", "run")
)
HOOK_EVALUATED = Setting(
    "hook.evaluated", COMMAND, "command to run after an evaluation", ("eval", "run")
)
HOOK_MERGED = Setting("hook.merged", COMMAND, "command to run after a merge", ("merge", "run"))
HOOK_ARCHIVED = Setting(
    "hook.archived",
    COMMAND,
    "command to run after a session was archived",
    ("archive", "merge", "run"),
)
HOOK_CLEANED = Setting("hook.cleaned", COMMAND, "command to run after a cleanup", ("cleanup",))
ADVICE = Setting("advice", BOOLEAN, "whether to show hints", (), default=("true",))

SETTINGS = (
    *(AGENT_CMD, AGENTS, EVAL, METRIC, METRIC_REGEX, DIRECTION, REQUIRE, GUARD, STRATEGY),
    *(
        WORKTREE_PATH,
        SETUP,
        HOLDOUT,
        RESCUE_LIMIT,
        KEEP_IGNORED,
        ARCHIVE_LIMIT,
        REMOTE,
        AUTO_SHARE,
        SHARED_REFS,
        CLAIM_TIMEOUT,
        EDITOR,
    ),
    *(HOOK_SPAWNED, HOOK_AGENT_DONE, HOOK_EVALUATED, HOOK_MERGED, HOOK_ARCHIVED, HOOK_CLEANED),
    ADVICE,
)


def find_setting(name: str) -> Setting | None:
    """Return the setting with this name, with or without the section, in any case, or None."""
    folded = name.lower().removeprefix(PREFIX)
    return next((each for each in SETTINGS if each.name.lower() == folded), None)


def executor_key(name: str, variable: str) -> str:
    """Return the name of a setting of an executor."""
    return f"{PREFIX}executor.{name}.{variable}"


def executor_of(name: str) -> str:
    """Return the executor to which a setting with this name belongs, or ''."""
    start, _, variable = name.rpartition(".")
    executor = start.removeprefix(f"{PREFIX}executor.")
    return executor if executor != start and variable in EXECUTOR_KEYS else ""


def options_with_defaults(command: str) -> list[Setting]:
    """Return the settings that replace options of a command."""
    return [each for each in SETTINGS if each.option and command in each.commands]
