"""Run workers on executors, show their output, and fetch their results (exec --on)."""

from __future__ import annotations

import os
import re
from collections import Counter

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.agent_options import AGENTS, with_agent_command
from git_hub_session.cli.command_line import command_line
from git_hub_session.commands._exec.display import LiveOutput
from git_hub_session.commands._exec.on_view import OnView
from git_hub_session.commands._share.arguments import read_shared_refs
from git_hub_session.errors import HubError, UsageError
from git_hub_session.executors.executor import parse_executors, read_user_settings
from git_hub_session.executors.far_script import FarWork
from git_hub_session.executors.launcher import FarObserver, Launcher
from git_hub_session.session.agents import all_agents
from git_hub_session.settings.table import CLAIM_TIMEOUT, SHARED_REFS
from git_hub_session.sharing.choose_remote import choose_remote
from git_hub_session.sharing.fetch import fetch_sessions
from git_hub_session.sharing.push import PushOptions, push_sessions
from git_hub_session.sharing.remote import Remote
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments, Option
    from git_hub_session.executors.launcher import FarResult
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project

_CALL = "git hub-session exec --on <executors> [<id>] -- <command>"
_ON, _CANCEL = "on", "cancel"
_LOCAL_OPTIONS = (AGENTS.name, "failed", "jobs", "force", "dry-run")
_SHARED_SETTINGS = (SHARED_REFS, CLAIM_TIMEOUT)
"""The settings that must have the same value on all machines."""
_WEB_PASSWORD = r"(?<=^https://)[^/@]*@|(?<=^http://)[^/@]*@"


def run_elsewhere(
    context: Context,
    sid: SessionId,
    args: Arguments,
    agents: Sequence[int],
    work_options: Sequence[Option],
) -> OnView:
    """Publish the session, run workers on the executors, and fetch the results.

    Args:
        agents: the selected agents, or () for all.
        work_options: the options that `work` has too.

    Raises:
        UsageError, NoSuchExecutor: the options are not valid.
        NoRemote, RemoteFailed, PushRefused: the session cannot be published.
    """
    _check_options(args)
    project = context.project
    settings = read_user_settings(project)
    executors = parse_executors(args.value(_ON) or "", settings)
    cancels = args.is_set(_CANCEL)
    if not cancels:
        args = with_agent_command(context, args, _CALL)
    remote = Remote(project.git, choose_remote(project), note=context.reporter.note)
    if not cancels:
        _push(context, sid, remote)
    line = command_line("work", work_options, args, arguments=[sid], command=args.command)
    work = _far_work(context, sid, line, remote)
    with temporary_directory() as sockets:
        launcher = Launcher(executors, work, sockets, settings.values, project.environ)
        if cancels:
            results = launcher.cancel(_Display(context))
        else:
            results = _start_workers(context, launcher, args, work)
    error = _fetch(context, sid, remote)
    session = project.store.read(sid)
    view = OnView(session, agents or all_agents(session), results, error, project.repo)
    view.show_command = _show_command(args, work)
    return view


def _check_options(args: Arguments) -> None:
    """Raise UsageError for options that exclude each other."""
    if not args.has(_ON):
        raise UsageError("--cancel needs the executors", hint="give --on <executors>")
    for name in _LOCAL_OPTIONS:
        if args.has(name):
            raise UsageError(f"--{_ON} and --{name} exclude each other")
    if args.is_set(_CANCEL) and args.command:
        raise UsageError("--cancel and a command after '--' exclude each other")


def _push(context: Context, sid: SessionId, remote: Remote) -> None:
    """Publish the session. Raise HubError if that fails."""
    options = PushOptions(read_shared_refs(context))
    [pushed] = push_sessions([sid], context.project, remote, options)
    if pushed.error is not None:
        raise pushed.error


def _far_work(context: Context, sid: SessionId, line: str, remote: Remote) -> FarWork:
    found = {each.key: context.settings.find(each) for each in _SHARED_SETTINGS}
    return FarWork(
        sid,
        _remote_url(context.project, remote.name),
        line.removeprefix("git hub-session "),
        {
            key: each.values[-1]
            for key, each in found.items()
            if each.values and not each.is_default
        },
    )


def _remote_url(project: Project, name: str) -> str:
    """Return the URL of a remote without a password of the web. A path is absolute."""
    url = os.fsdecode(project.git.run(["ls-remote", "--get-url", "--", name])).rstrip("\n")
    if ":" not in url.partition("/")[0]:
        url = os.path.abspath(os.path.join(project.paths.worktree or project.cwd, url))
    return re.sub(_WEB_PASSWORD, "", url)


def _start_workers(
    context: Context, launcher: Launcher, args: Arguments, work: FarWork
) -> list[FarResult]:
    """Run the workers. A signal ends the connections, but not the workers."""
    display = _Display(context)
    try:
        return launcher.run(display)
    except BaseException as error:
        display.elapsed.clear()
        if not isinstance(error, Exception):  # a signal
            context.reporter.note("the workers go on, unless their executor ends them")
            names = quote_word(args.value(_ON) or "")
            cancel = f"git hub-session exec --on {names} --cancel {work.sid}"
            hints = [f"show them with: {_show_command(args, work)}", f"end them with: {cancel}"]
            context.reporter.print_hints(hints)
        raise
    finally:
        display.elapsed.clear()


def _show_command(args: Arguments, work: FarWork) -> str:
    """Return the command that shows the workers that still run, and starts the others."""
    names = quote_word(args.value(_ON) or "")
    return f"git hub-session exec --on {names} {work.command.removeprefix('work ')}"


def _fetch(context: Context, sid: SessionId, remote: Remote) -> HubError | None:
    """Fetch the session. Return the error if that fails: the workers have published their work."""
    try:
        [fetched] = fetch_sessions(
            [sid], context.project, remote, shared=read_shared_refs(context), dry_run=False
        )
    except HubError as error:
        return error
    return fetched.error


class _Display(FarObserver):
    """Prints the output of the workers, with the names of their executors."""

    def __init__(self, context: Context) -> None:
        self._output = LiveOutput(context)
        self.elapsed = self._output.elapsed
        self._reporter = context.reporter
        self._connections: Counter[str] = Counter()

    def on_start(self, name: str) -> None:
        self._connections[name] += 1
        self.elapsed.start(name)

    def on_end(self, name: str) -> None:
        self._connections[name] -= 1
        if not self._connections[name]:
            self.elapsed.end(name)

    def on_wait(self) -> float | None:
        return self.elapsed.update()

    def on_message(self, name: str, text: str) -> None:
        self.elapsed.clear()
        self._reporter.note(f"{name}: {text}")

    def on_line(self, name: str, text: str) -> None:
        self._output.write(f"{name}: {text}\n")
