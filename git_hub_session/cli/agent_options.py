"""The options that describe the task and the agents."""

from __future__ import annotations

import json
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.approval import ask_project_approval
from git_hub_session.cli.config_values import MAX_TEXT_BYTES, check_text
from git_hub_session.cli.context import read_text_file
from git_hub_session.cli.options import Option
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import agent_name, parse_agent_name
from git_hub_session.session.agents import parse_agent, parse_agents
from git_hub_session.session.assignment_values import TEMPLATES, PerAgent
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.settings import table
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.cli.reporter import Reporter

AGENT_CMD = Option(
    "--agent-cmd",
    "shell command: several are used in turn, agent-2=<command> is for one agent",
    "<command>",
    repeatable=True,
)
STRATEGY = Option(
    "--strategy",
    "approach of an agent: several are used in turn, agent-2=<text> is for one agent",
    "<text>",
    repeatable=True,
)
STRATEGIES = Option("--strategies", "file with lines such as 'agent-2: <text>'", "<file>")
TEMPLATE = Option(
    "--template",
    "built-in instructions for the agents",
    "<name>",
    choices=TEMPLATES,
)
ONLY = Option("--only", "only these agents, such as agent-2 or 1-3,5 (default: all)", "<list>")
AGENTS = Option("--agents", "deprecated name of --only", "<list>")
_UNKNOWN_TASK = "unknown"
_TASK_HINT = "give --task <text> or -F <file>"
ASSIGNMENT_OPTIONS = (STRATEGY, STRATEGIES, TEMPLATE)


def read_task(args: Arguments, inherited: str | None) -> str:
    """Return the task in the options, or else `inherited`. Raise UsageError without a task."""
    text = args.value("task")
    file = args.value("file")
    if text is not None and file is not None:
        raise UsageError("--task and -F exclude each other", hint=_TASK_HINT)
    if file is not None:
        text = read_text_file(file, "task", max_bytes=MAX_TEXT_BYTES).rstrip("\n")
    text = inherited if text is None else text
    if text is None and args.value("adopt") is not None:
        text = _UNKNOWN_TASK
    if text is None:
        raise UsageError("option '--task' is required", hint=_TASK_HINT)
    task = check_text("task", text)
    if not task.strip():
        raise UsageError("the task is empty")
    return task


def parse_selected_agents(args: Arguments, count: int, reporter: Reporter) -> Sequence[int]:
    """Return the agents of ONLY, or () for all agents.

    `--agents` has the same effect. A single number gives a warning, because `init` and `run` use it as
    the number of agents.

    Args:
        count: the number of agents of the session.
    """
    text, other = args.value(ONLY.name), args.value(AGENTS.name)
    if text is not None and other is not None:
        raise UsageError("--only and --agents exclude each other")
    if text is not None:
        return parse_agents(text, count)
    if other is None:
        return ()
    numbers = parse_agents(other, count)
    if parse_int(other.strip(), MAX_COUNT):
        name = agent_name(*numbers)
        reporter.note(f"warning: '--agents {other}' selects {name} here (use --only {name})")
    return numbers


def parse_only_agents(args: Arguments) -> Sequence[int]:
    """Return the agents of ONLY, or () for all agents. The session may not be here yet."""
    text = args.value(ONLY.name)
    return () if text is None else parse_agents(text, MAX_AGENTS)


def parse_agent_count(text: str | None) -> int:
    """Return the number of agents of a new session, by default 3, or raise UsageError."""
    if text is None:
        text = table.AGENTS.default[0]
    number = parse_int(text, MAX_AGENTS)
    if not number:
        raise UsageError(
            f"not a number of agents: '{text}'", hint=f"--agents takes 1 to {MAX_AGENTS}"
        )
    return number


def with_agent_command(context: Context, args: Arguments, hint: str) -> Arguments:
    """Return the arguments with hubsession.agentCmd if no command is given.

    Args:
        hint: the usage of the command, for an error.

    Raises:
        UsageError: there is no command, or there are two.
        Refused: the command came with the repository, and the user did not approve it.
    """
    is_given = args.has(AGENT_CMD.name)
    if args.command and is_given:
        raise UsageError("--agent-cmd and a command after '--' exclude each other")
    if args.command or is_given:
        return args
    args = context.with_defaults(args, "exec")
    if not args.has(AGENT_CMD.name):
        raise UsageError("no command given", hint=hint)
    if not args.is_set("dry-run"):
        ask_project_approval(context, table.AGENT_CMD)
    return args


def parse_agent_commands(args: Arguments, count: int) -> PerAgent:
    """Return the values of AGENT_CMD, or raise UsageError.

    Args:
        count: the number of agents.
    """
    return parse_per_agent(args.values(AGENT_CMD.name), count, f"--{AGENT_CMD.name}")


def parse_strategy_options(args: Arguments, count: int) -> dict[str, str]:
    """Return the strategies by the agent's name, such as {"agent-2": text}, or raise UsageError.

    Args:
        count: the number of agents.
    """
    file = args.value(STRATEGIES.name)
    values = args.values(STRATEGY.name)
    if file is None:
        texts = parse_per_agent(values, count, f"--{STRATEGY.name}")
        pairs = ((agent, texts.find(agent)) for agent in range(1, count + 1))
        return {agent_name(agent): text for agent, text in pairs if text}
    if values:
        raise UsageError("--strategy and --strategies exclude each other")
    text = read_text_file(file, "strategies", max_bytes=MAX_TEXT_BYTES)
    return parse_strategy_file(text, count)


def parse_assignment_values(args: Arguments, count: int) -> dict[str, str]:
    """Return the settings with the strategies and the template, or {} without an option."""
    strategies = parse_strategy_options(args, count)
    template = args.value(TEMPLATE.name)
    values = {"template": template} if template is not None else {}
    if strategies:
        for text in strategies.values():
            check_text("strategy", text)
        values["strategies"] = check_text("strategies", json.dumps(strategies, ensure_ascii=False))
    return values


def parse_per_agent(values: Sequence[str], count: int, flag: str) -> PerAgent:
    """Return the texts in values such as "text" and "agent-2=text", or raise UsageError.

    Args:
        count: the number of agents.
        flag: the option, for messages.
    """
    in_turn: list[str] = []
    named: dict[int, str] = {}
    for value in values:
        name, sign, text = value.partition("=")
        has_name = sign and parse_agent_name(name)
        if not (text if has_name else value).strip():
            raise UsageError(f"option '{flag}' has an empty value")
        if not has_name:
            in_turn.append(value.strip())
            continue
        number = parse_agent(name, count)
        if number in named:
            raise UsageError(f"option '{flag}' has two values for {agent_name(number)}")
        named[number] = text.strip()
    return PerAgent(tuple(in_turn), named)


def parse_strategy_file(text: str, count: int) -> dict[str, str]:
    """Return the texts in lines such as "agent-2: text", or raise UsageError.

    A line that starts with white space continues the text before it. Empty lines and lines that
    start with '#' are left out.

    Args:
        count: the number of agents.
    """
    strategies: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace() and strategies:
            lines.append(line.strip())
            continue
        name, colon, start = line.partition(":")
        if not colon or not parse_agent_name(name):
            raise UsageError(f"not a strategy: '{line:.60}'", hint="use a line 'agent-2: <text>'")
        name = agent_name(parse_agent(name, count))
        if name in strategies:
            raise UsageError(f"two strategies for {name}")
        lines = strategies[name] = [start.strip()]
    texts = {name: "\n".join(filter(None, parts)) for name, parts in strategies.items()}
    for name, joined in texts.items():
        if not joined:
            raise UsageError(f"the strategy of {name} is empty")
        if "\0" in joined:
            raise UsageError(f"the strategy of {name} has a NUL character")
    return texts
