"""The commands that continue an interrupted run, with all options of the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cli.command_line import command_line, continue_lines
from git_hub_session.commands._run.arguments import (
    OUTPUT_OPTIONS,
    after_args,
    archive_args,
    eval_args,
    exec_args,
    merge_args,
)

if TYPE_CHECKING:
    from git_hub_session.cli.options import Arguments, Usage
    from git_hub_session.errors import HubError
    from git_hub_session.git.ref_names import SessionId


class Continuation(NamedTuple):
    """The commands that continue a run."""

    session: SessionId
    args: Arguments
    """The options of `run`."""
    usages: Mapping[str, Usage]
    """The options of the command of each step, and of `run`."""
    time_limit: int = 0
    """The proposed time limit of a measurement in seconds, or 0."""
    rounds_left: int = 0
    """The number of rounds after this one."""
    merged_session: SessionId | None = None
    """The session to merge, or None if it is `session`."""

    def commands(self, steps: Sequence[str]) -> list[str]:
        """Return the commands that do these steps, with all options of the user.

        No command measures only the baseline: `eval` measures it. If there are more rounds, `run`
        continues instead of the merge.
        """
        args, sid = self.args, self.session
        output = args.subset(*OUTPUT_OPTIONS)
        step_args = {
            "spawn": output,
            "eval": eval_args(args, sid, self.time_limit),
            "archive": archive_args(args, sid),
        }
        commands = {
            step: command_line(step, self.usages[step].options, step_args[step], arguments=[sid])
            for step in step_args
        }
        commands["exec"] = self.exec_command()
        commands["merge"] = self.run_command() if self.rounds_left else self.merge_command()
        return [commands[step] for step in steps if step in commands]

    def hints_after_signal(self, step: str, commands: Sequence[str]) -> Sequence[str]:
        """Return the commands to print if a signal ends a step. In this clone `exec` prints them."""
        return () if step == "exec" and not self.args.has("on") else commands

    def run_command(self) -> str:
        """Return the command that does the other rounds and the merge."""
        args = after_args(self.args, self.session, self.rounds_left)
        return command_line("run", self.usages["run"].options, args)

    def merge_command(self) -> str:
        """Return the command that merges the winner."""
        sid = self.merged_session or self.session
        args = merge_args(self.args, sid)
        return command_line("merge", self.usages["merge"].options, args, arguments=[sid])

    def exec_command(self, *, only_failed: bool = False) -> str:
        """Return the command that runs the agents' command, or only that of failed agents."""
        args = exec_args(self.args, self.session)
        options = self.usages["exec"].options
        given = args.subset(*(option.name for option in options), failed=only_failed)
        sid, command = args.arguments, args.command
        return command_line("exec", options, given, arguments=sid, command=command)

    def add_hints(self, error: HubError, step: str, steps: Sequence[str]) -> HubError:
        """Add the commands that continue the run to the hint of the step that failed.

        Leave out a hint that only repeats one of them without the user's options. If a hint
        replaces the command of the step, add only the commands of the later steps.
        """
        hints = error.hint.splitlines()
        earlier = []
        if self.merged_session and f"git hub-session eval {self.merged_session}" in hints:
            hints.remove(f"git hub-session eval {self.merged_session}")
            earlier = self._replace(session=self.merged_session).commands(["eval"])
        general = self._general_hints(steps)
        special = [hint for hint in hints if hint not in general]
        repeated = [steps.index(general[hint]) for hint in hints if hint in general]
        first = min(repeated, default=steps.index(step))
        replacements = tuple(f"git hub-session {name} " for name in (step, "update"))
        if not repeated and not earlier and any(hint.startswith(replacements) for hint in special):
            first += 1
        if any(hint.startswith("git hub-session adopt ") for hint in special):
            first = min(first, steps.index("eval"))  # the adopted commit is not measured
        later = self._without_failed_baseline(special).commands(steps[first:])
        error.hint = "\n".join([*special, *continue_lines([*earlier, *later])])
        return error

    def _general_hints(self, steps: Sequence[str]) -> dict[str, str]:
        """Return the step of each hint that only repeats the command of a step."""
        sid = self.session
        general = {f"git hub-session {name} {sid}": name for name in steps}
        general[f"git hub-session merge {self.merged_session or sid}"] = "merge"
        general |= {line: name for name in steps for line in self.commands([name])}
        general[f"git hub-session exec {sid} -- <command>"] = "exec"
        return general

    def _without_failed_baseline(self, hints: Sequence[str]) -> Continuation:
        """Return commands that do not measure the baseline if the hints ask for a number."""
        if not any(hint.startswith("give a number with --baseline ") for hint in hints):
            return self
        return self._replace(args=self.args.with_values(baseline="none"))
