"""Publish a session, run its workers on executors or end them, and fetch the results."""

from __future__ import annotations

import os
import re
from signal import SIGINT

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.commands._executors.display import FarDisplay
from git_hub_session.commands._executors.host_repository import choose_host_repository
from git_hub_session.commands._executors.options import BOOTSTRAP, ON
from git_hub_session.commands._executors.results import cancel_lines
from git_hub_session.commands._share.arguments import read_shared_refs
from git_hub_session.errors import HubError
from git_hub_session.executors.executor import parse_executors, read_user_settings
from git_hub_session.executors.far_script import FarWork
from git_hub_session.executors.launcher import Launcher
from git_hub_session.settings.table import CLAIM_TIMEOUT, SHARED_REFS
from git_hub_session.sharing.choose_remote import choose_remote
from git_hub_session.sharing.fetch import NotShared, fetch_sessions
from git_hub_session.sharing.push import PushOptions, push_sessions
from git_hub_session.sharing.remote import Remote
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from collections.abc import Collection

    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.commands._executors.job_work import JobWork
    from git_hub_session.executors.launcher import FarResult
    from git_hub_session.executors.slurm_launcher import SlurmLauncher
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project

_SHARED_SETTINGS = (SHARED_REFS, CLAIM_TIMEOUT)
"""The settings that must have the same value on all machines."""
_WEB_PASSWORD = r"(?<=^https://)[^/@]*@|(?<=^http://)[^/@]*@"


class ExecutorCall:
    """The workers of one session on the executors that an option names."""

    def __init__(self, context: Context, sid: SessionId, args: Arguments, command: str) -> None:
        """Read the executors and choose the remote.

        Args:
            command: the name of the command that has the option, such as "exec".

        Raises:
            UsageError, NoSuchExecutor: the option is not valid.
            NoRemote: there is no remote to share the session.
        """
        project = context.project
        self.context = context
        self.sid = sid
        self._names = args.value(ON.name) or ""
        self._command = command
        self._bootstraps = args.is_set(BOOTSTRAP.name)
        self._settings = read_user_settings(project)
        self._executors = parse_executors(self._names, self._settings)
        self._uses_slurm = self._executors[0].is_slurm
        self._host_repository = choose_host_repository(self._executors, project)
        if self._host_repository is not None:
            self._executors = [self._host_repository.executor]
            name = self._host_repository.url
        else:
            name = choose_remote(project)
        self.remote = Remote(project.git, name, note=context.reporter.note)

    @property
    def has_host_repository(self) -> bool:
        """True if a bare repository on the host of the executor is the remote."""
        return self._host_repository is not None

    def publish_session(self) -> None:
        """Publish the session. Raise HubError if that fails.

        Without a remote, publish it in a repository on the host of the executor.
        """
        if self._host_repository is not None:
            self.context.reporter.note(
                f"no remote is configured: sharing {self.sid} through {self.remote.name}"
            )
            self._host_repository.create(self.context, self.sid, self._settings.values, self.remote)
        options = PushOptions(read_shared_refs(self.context))
        [pushed] = push_sessions([self.sid], self.context.project, self.remote, options)
        if pushed.error is not None:
            raise pushed.error

    def fetch_if_published(self) -> None:
        """Fetch the session if the remote has its record. Raise HubError if that fails."""
        error = self.fetch_session()
        if error is not None and not isinstance(error, NotShared):
            raise error

    def run_workers(self, line: str, again: str, jobs: JobWork) -> list[FarResult]:
        """Run workers. A signal ends the connections, but not the workers.

        Args:
            line: the command line of the workers, from `git hub-session` on.
            again: the command that shows the workers that still run, and starts the others.
            jobs: the work in place of `line` if the executor is Slurm. Its evaluation is that of
                the workers too.
        """
        display = FarDisplay(self.context)
        try:
            if self._uses_slurm:
                return self._run_jobs(jobs, display)
            with temporary_directory() as sockets:
                work = self._far_work(line)._replace(evaluation=jobs.evaluation)
                return self._launcher(work, sockets).run(display)
        except BaseException as error:
            display.elapsed.clear()
            if not isinstance(error, Exception) and not self._cancel_on_demand(error):  # a signal
                self._print_hints(again)
            raise
        finally:
            display.elapsed.clear()

    def cancel_workers(self) -> list[FarResult]:
        """End the workers of the session."""
        work, display = self._far_work(""), FarDisplay(self.context)
        if self._uses_slurm:
            return self._slurm_launcher(work).cancel(display)
        with temporary_directory() as sockets:
            return self._launcher(work, sockets).cancel(display)

    def fetch_session(self) -> HubError | None:
        """Fetch the session. Return the error if that fails: the workers have published their work."""
        shared = read_shared_refs(self.context)
        project = self.context.project
        try:
            [fetched] = fetch_sessions(
                [self.sid], project, self.remote, shared=shared, dry_run=False
            )
        except HubError as error:
            return error
        return fetched.error

    def _cancel_on_demand(self, error: BaseException) -> bool:
        """Ask after ^C whether to cancel the jobs of Slurm. Return True if they are cancelled."""
        reporter = self.context.reporter
        if not self._uses_slurm or error.args != (SIGINT,) or not reporter.ask("cancel the jobs?"):
            return False
        for text in cancel_lines(self.cancel_workers()):
            reporter.note(text)
        return True

    def _print_hints(self, again: str) -> None:
        names = quote_word(self._names)
        cancel = f"git hub-session {self._command} --on {names} --cancel {self.sid}"
        reporter = self.context.reporter
        if self._uses_slurm:
            reporter.note("the jobs go on")
        else:
            reporter.note("the workers go on, unless their executor ends them")
        hints = [f"show them with: {again}", f"end them with: {cancel}"]
        reporter.print_hints(hints)

    def _launcher(self, work: FarWork, sockets: str) -> Launcher:
        environ = self.context.project.environ
        return Launcher(self._executors, work, sockets, self._settings.values, environ)

    def _slurm_launcher(self, work: FarWork) -> SlurmLauncher:
        from git_hub_session.executors.slurm_launcher import JobsPlace, SlurmLauncher

        project = self.context.project
        here = project.paths.main_worktree or project.paths.common_dir
        place = JobsPlace(here, project.paths.jobs, project.environ)
        return SlurmLauncher(self._executors[0], work, place)

    def _run_jobs(self, jobs: JobWork, display: FarDisplay) -> list[FarResult]:
        from git_hub_session.executors.slurm_launcher import AgentJobs

        def find_ended() -> Collection[int]:
            error = self.fetch_session()
            if error is not None:
                self.context.reporter.note(f"warning: {error.message}")
            return jobs.find_ended(self.context.project.store.read(self.sid))

        wanted = AgentJobs(jobs.agents, find_ended, jobs.evaluation)
        return self._slurm_launcher(self._far_work(jobs.line)).run(display, wanted)

    def _far_work(self, line: str) -> FarWork:
        context = self.context
        found = {each.key: context.settings.find(each) for each in _SHARED_SETTINGS}
        return FarWork(
            self.sid,
            _remote_url(context.project, self.remote.name),
            line.removeprefix("git hub-session "),
            {
                key: each.values[-1]
                for key, each in found.items()
                if each.values and not each.is_default
            },
            # The workers of `eval --on` measure beside those of `exec --on`.
            self.sid if self._command == "exec" else f"{self.sid}/{self._command}",
            bootstraps=self._bootstraps,
        )


def _remote_url(project: Project, name: str) -> str:
    """Return the URL of a remote without a password of the web. A path is absolute."""
    url = os.fsdecode(project.git.run(["ls-remote", "--get-url", "--", name])).rstrip("\n")
    if ":" not in url.partition("/")[0]:
        url = os.path.abspath(os.path.join(project.paths.worktree or project.cwd, url))
    return re.sub(_WEB_PASSWORD, "", url)
