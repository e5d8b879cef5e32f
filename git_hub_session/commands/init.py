"""git hub-session init: create a session for a task."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.agent_options import (
    ASSIGNMENT_OPTIONS,
    parse_agent_count,
    parse_assignment_values,
    read_task,
)
from git_hub_session.cli.approval import approve_typed
from git_hub_session.cli.config_values import (
    METRIC_OPTIONS,
    check_text,
    parse_evaluation_values,
)
from git_hub_session.cli.context import Context
from git_hub_session.cli.measure_options import (
    DIRECTION,
    GUARD,
    HOLDOUT,
    METRIC_REGEX,
    NO_GUARD,
    REQUIRE,
)
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import (
    TerminalStyle,
    TextOutput,
    View,
    metric_lines,
    relative_path,
    task_lines,
)
from git_hub_session.commands._share.automatic import push_automatically
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import HEADS, SessionId, parse_session_id
from git_hub_session.lineage.parent import parent_fields
from git_hub_session.session.assignment_values import parse_strategies
from git_hub_session.session.create import (
    NewSession,
    choose_session_id,
    create_session,
    resolve_base_branch,
)
from git_hub_session.session.guarded import find_missing_guard, missing_guard_error
from git_hub_session.session.layout import exclude_hub, find_other_hub
from git_hub_session.session.model import CONFIG_KEYS, Config
from git_hub_session.session.state import State
from git_hub_session.settings.table import AGENTS, EVAL
from git_hub_session.util.clock import format_iso
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.lineage.parent import Parent
    from git_hub_session.merge.next_session import NextSession
    from git_hub_session.session.create import ParentData
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

USAGE = Usage(
    (
        "init [<options>] --task <text>",
        "init [<options>] -F <file>",
        "init [<options>] --after <id>",
        "init [<options>] --adopt <id>",
    ),
    (
        Option("--task", "task for the agents", "<text>"),
        Option("-F, --file", "file with the task ('-' for standard input)", "<file>"),
        Option("--agents", f"number of agents (default: {AGENTS.key}, or 3)", "<number>"),
        Option("--eval", "command that measures a result", "<command>"),
        Option("--metric", "name of the metric that the command prints", "<name>"),
        METRIC_REGEX,
        DIRECTION,
        REQUIRE,
        GUARD,
        NO_GUARD,
        *ASSIGNMENT_OPTIONS,
        HOLDOUT,
        Option("--baseline", "current value of the metric", "<number>"),
        Option("--base-branch", "branch to start from (default: current branch)", "<branch>"),
        Option("--after", "start from the winner of this session", "<id>"),
        Option("--adopt", "record the branches, tags and worktrees of this lost session", "<id>"),
        Option("--id", "session id (default: local time as YYYYMMDD-HHMMSS)", "<id>"),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
)


def run(context: Context, args: Arguments) -> InitView:
    """Create the session. If two processes want the same id, only one gets it.

    The settings of git and of .hubsession do not apply to a session that inherits the settings of
    another one, or to a lost session.
    """
    if args.has("after") or args.has("adopt"):
        view = initialize(context, args)
    else:
        is_typed = args.has("eval") or not context.project.settings.project_commands(EVAL)
        given = context.with_defaults(args, "init")
        view = initialize(context, given, approves_eval=is_typed)
    if view.changed:
        push_automatically(context, view.session)
    return view


def initialize(context: Context, args: Arguments, *, approves_eval: bool = True) -> InitView:
    """Create the session from its options only.

    Args:
        approves_eval: True if the user is the author of the eval command, or has approved it.
    """
    after = args.value("after")
    _check_exclusive(args, "after", "base-branch", "adopt")
    _check_exclusive(args, "adopt", "id")
    if after is None:
        return _create(context, args, None, approves_eval=approves_eval)
    store = context.project.store
    sid = context.require_session(after, "init")
    if args.is_set("dry-run"):
        return _create(context, args, store.read(sid))
    with store.lock_session(sid) as locked:
        return _create(context, args, locked.read())


def _check_exclusive(args: Arguments, name: str, *others: str) -> None:
    """Raise UsageError if an option is given together with one of the others."""
    for other in others:
        if args.value(name) is not None and args.value(other) is not None:
            raise UsageError(f"--{name} and --{other} exclude each other")


def _create(
    context: Context, args: Arguments, previous: Session | None, *, approves_eval: bool = True
) -> InitView:
    """Create the session. It starts from the winner of the session `previous`, if there is one."""
    project = context.project
    other_hub = find_other_hub(project)
    if other_hub is not None:
        raise other_hub
    next_session, parent_data = _choose_next_session(previous, project)
    values = _plan_values(project, args, next_session)
    values |= _read_holdout(args, project)
    _refuse_missing_guard(context, Config(values))
    dry_run = args.is_set("dry-run")
    new, agents = _plan_session(project, args, values, parent_data)
    values = dict(new.values)
    if agents and not dry_run:
        for warning in exclude_hub(project.paths):
            context.reporter.note(f"warning: {warning}")
    sid = (choose_session_id if dry_run else create_session)(project, new)
    if not dry_run:
        options = {"eval": "eval_cmd"} if approves_eval else {}
        options["holdout"] = "holdout"
        given = [name for option, name in options.items() if args.value(option)]
        approve_typed(context, Config({name: values[name] for name in given}))
    config = Config({**values, "session_id": sid})
    directory = relative_path(f"{project.paths.hub}/sessions/{sid}", project.cwd)
    parent = next_session.parent if next_session else None
    return InitView(sid, config, directory, parent, adopted=agents, dry_run=dry_run)


def _plan_session(
    project: Project, args: Arguments, values: dict[str, str], parent_data: ParentData | None
) -> tuple[NewSession, tuple[str, ...]]:
    """Return the session to create, and the names of the agents that it adopts."""
    adopted_id = args.value("adopt")
    wanted_id = args.value("id") if adopted_id is None else adopted_id
    sid = parse_session_id(wanted_id) if wanted_id is not None else None
    if sid is None or adopted_id is None:
        return NewSession(values, sid, parent_data), ()
    from git_hub_session.agents.adopt_session import plan_adopted_session

    adopted = plan_adopted_session(sid, values, project)
    least = parse_int(values["agent_count"], MAX_COUNT) if args.value("agents") is not None else 0
    count = max(adopted.agent_count, least or 0) or values["agent_count"]
    return NewSession(
        {**values, "agent_count": str(count)}, sid, None, adopted.state
    ), adopted.agents


def _choose_next_session(
    previous: Session | None, project: Project
) -> tuple[NextSession | None, ParentData | None]:
    """Return the settings and the parent data of a session that starts from a winner.

    Args:
        previous: the session of the winner. If it is None, both results are None.
    """
    if previous is None:
        return None, None
    from git_hub_session.merge.next_session import choose_next_session, prepare_parent_data

    next_session = choose_next_session(previous, project)
    return next_session, prepare_parent_data(previous, next_session, project)


def _plan_values(
    project: Project, args: Arguments, next_session: NextSession | None
) -> dict[str, str]:
    """Return the values of config.yaml without the id: those of the options, or inherited ones."""
    inherited = _inherited_values(args, next_session) if next_session else {}
    base_branch = resolve_base_branch(
        project.paths, inherited.get("base_branch", args.value("base-branch"))
    )
    agents = args.value("agents")
    agents = inherited.get("agent_count") if agents is None else agents
    count = parse_agent_count(agents)
    values = {
        **inherited,
        "session_id": "",
        "task": read_task(args, inherited.get("task")),
        "agent_count": str(count),
        "base_branch": check_text("base branch", base_branch),
        "created": format_iso(project.now()),
        **parse_evaluation_values(args),
        **parse_assignment_values(args, count),
    }
    ordered = {key: values[key] for key in CONFIG_KEYS if key in values}
    return {**ordered, **values}


def _inherited_values(args: Arguments, next_session: NextSession) -> dict[str, str]:
    """Return the settings of the last session, and the metric of its winner as the baseline.

    Another eval command or another metric has another baseline.
    """
    values = dict(next_session.values)
    if args.value("metric") is not None:
        values.pop("metric_regex", None)
    if next_session.baseline and all(args.value(name) is None for name in METRIC_OPTIONS):
        values["baseline"] = next_session.baseline
    return values


def _refuse_missing_guard(context: Context, config: Config) -> None:
    """Raise Refused if the base branch does not have a guarded path."""
    if config.guard:
        repo = context.project.repo
        missing = find_missing_guard(config.guard, repo.tip(HEADS + config.base_branch), repo)
        if missing:
            raise missing_guard_error(missing)


def _read_holdout(args: Arguments, project: Project) -> dict[str, str]:
    """Return the setting with the directory of the holdout files, or {} without the option."""
    directory = args.value("holdout")
    if directory is None:
        return {}
    from git_hub_session.temporary.holdout import read_holdout

    return {"holdout": check_text("holdout", read_holdout(directory, project).directory)}


class InitView(View):
    """A session that was created, or would be created."""

    def __init__(
        self,
        session: SessionId,
        config: Config,
        directory: str,
        parent: Parent | None,
        *,
        adopted: tuple[str, ...] = (),
        dry_run: bool,
    ) -> None:
        self.session = session
        self.config = config
        self.directory = directory
        self.parent = parent
        self.adopted = adopted
        """The names of the agents that the repository already had."""
        self.dry_run = dry_run

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def state(self) -> State:
        """The state of the new session."""
        return State.RUNNING if self.adopted else State.INIT

    @property
    def next_command(self) -> str:
        return f"spawn {self.session}"

    def document(self) -> dict[str, Any]:
        config = self.config
        strategies = parse_strategies(config.get("strategies"))
        return {
            "session_id": self.session,
            "session_dir": self.directory,
            "task": config.task,
            "agent_count": config.agent_count,
            "eval_cmd": config.get("eval_cmd") or None,
            "metric": config.get("metric") or None,
            "direction": config.get("direction") or None,
            "baseline": config.get("baseline") or None,
            "base_branch": config.base_branch,
            "state": str(self.state),
            "dry_run": self.dry_run,
            "guard": None if config.guard is None else list(config.guard),
            "require": list(config.require),
            **parent_fields(self.parent),
            "template": config.get("template") or None,
            "strategies": [f"{name}: {text}" for name, text in strategies.items()],
            "holdout": config.holdout or None,
            "adopted": list(self.adopted),
        }

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([self.session])
        config = self.config
        would = "Would initialize" if self.dry_run else "Initialized"
        out = [f"{would} session {self.session} in {escape_control(self.directory)}"]
        out += task_lines(config.task)
        out.append(f"  Agents: {config.agent_count}")
        out.append(f"  Base branch: {escape_control(config.base_branch)}")
        if self.parent:
            out.append(f"  After: {self.parent.text} ({style.abbreviate(self.parent.commit)})")
        out += metric_lines(config)
        if config.get("template"):
            out.append(f"  Template: {config.get('template')}")
        strategies = parse_strategies(config.get("strategies"))
        if strategies:
            out.append(f"  Strategies: {', '.join(strategies)}")
        if self.adopted:
            out.append(f"  Adopted: {', '.join(self.adopted)}")
        out.append(f"  State: {self.state}")
        return TextOutput(out)
