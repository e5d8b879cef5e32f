"""The options of `run` that are not given: from the last session, and from the settings."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.approval import ask_project_approval
from git_hub_session.cli.config_values import METRIC_OPTIONS
from git_hub_session.cli.measure_options import refuse_other_baseline
from git_hub_session.commands._run.arguments import NONE
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.settings.table import AGENT_CMD, EVAL, SETUP

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Config


def with_defaults(context: Context, args: Arguments, after: SessionId | None) -> Arguments:
    """Return the arguments with the settings for the options that are not given.

    A session that continues another one inherits its settings. They do not include the command of
    the agents.
    """
    if after is None:
        return context.with_defaults(args, "run")
    config = context.project.store.read(after).config
    return context.with_defaults(_with_inherited(args, config), "exec")


def _with_inherited(args: Arguments, config: Config) -> Arguments:
    """Return the arguments of a run after a session, with the settings that are inherited."""
    inherited = {"agents": config.get("agent_count")}
    if config.get("eval_cmd"):
        inherited |= {"eval": config.get("eval_cmd"), "metric": config.get("metric")}
    missing = {name: text for name, text in inherited.items() if args.value(name) is None and text}
    return args.with_values(**missing)


def refuse_other_winner(context: Context, typed: Arguments, after: SessionId) -> None:
    """Raise UsageError if the metric of the winner of a session cannot be the baseline.

    This is the baseline with `--baseline none`. The winner was measured in place, and the agents are
    not, or the reverse.

    Args:
        typed: the options that the user has given.
    """
    if typed.value("baseline") != NONE or any(map(typed.has, METRIC_OPTIONS)):
        return
    evaluation = last_evaluation(context.project.store.read(after))
    if evaluation.metric:
        refuse_other_baseline(typed.without("baseline"), is_in_place=evaluation.in_place)


def ask_run_approval(context: Context, typed: Arguments, args: Arguments) -> None:
    """Ask before commands of the file .hubsession run. Raise Refused if one is not approved.

    Args:
        typed: the options that the user has given.
        args: all options of the run.
    """
    if args.is_set("dry-run"):
        return
    is_new = args.value("after") is None
    used = {
        AGENT_CMD: not typed.has(AGENT_CMD.option),
        EVAL: is_new and not typed.has(EVAL.option),
        SETUP: True,
    }
    ask_project_approval(context, *(setting for setting, is_used in used.items() if is_used))
