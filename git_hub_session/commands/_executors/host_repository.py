"""A bare repository on the host of an executor, for a clone without a remote."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.commands._executors.display import FarDisplay
from git_hub_session.errors import HubError, Refused
from git_hub_session.executors.executor import SSH, Executor
from git_hub_session.executors.far_script import FarWork
from git_hub_session.executors.launcher import Launcher
from git_hub_session.git.ref_names import HEADS
from git_hub_session.session.approvals import ensure_id
from git_hub_session.sharing.choose_remote import NoRemote, choose_remote, remote_names
from git_hub_session.sharing.local_record import CLONE_FILE
from git_hub_session.sharing.remote import Remote, refused_reasons
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project

_DIRECTORY = "~/.cache/git-hub-session/remotes"


class HostRepository(NamedTuple):
    """The repository on a host."""

    executor: Executor
    """The executor, whose remote is the path of the repository on its host."""

    @property
    def url(self) -> str:
        """The URL for git on this machine."""
        host = self.executor.host
        user, at, name = host.rpartition("@")
        return f"ssh://{user}{at}{f'[{name}]' if ':' in name else name}/{self.executor.remote}"

    def create(
        self, context: Context, sid: SessionId, settings: Mapping[str, str], remote: Remote
    ) -> None:
        """Create the repository if it is missing, and push the base branch of a session.

        Args:
            settings: the settings of the user.

        Raises:
            HubError: the host cannot be used.
            RemoteFailed, Refused: git cannot push the base branch.
        """
        project = context.project
        session = project.store.read(sid)
        branch = session.config.base_branch
        place = self.executor._replace(path=self.executor.remote, setup="")
        work = FarWork("", self.executor.remote, quote_word(branch), {})
        with temporary_directory() as sockets:
            launcher = Launcher([place], work, sockets, settings, project.environ)
            [result] = launcher.create_repositories(FarDisplay(context))
        if result.error:
            raise HubError(result.error, hint=result.hint)
        tip = project.repo.tip(HEADS + branch) or session.base_commit
        answer = remote.push([f"{tip}:{HEADS}{branch}"]) if tip else None
        if answer is not None and answer.refused:
            message = f"'{remote.label}' refuses '{branch}': {refused_reasons(answer.refused)}"
            hint = f"git push --force {quote_word(self.url)} {quote_word(branch)}"
            raise Refused(message, hint=hint)


def choose_host_repository(
    executors: Sequence[Executor], project: Project
) -> HostRepository | None:
    """Return the repository on the host of the executor, or None if the clone has a remote.

    The path has the random id of this clone, so the next call finds the repository again.

    Raises:
        NoRemote: no remote can be chosen, and the executors are not a single host of ssh.
    """
    try:
        choose_remote(project)
    except NoRemote:
        if remote_names(project):
            raise
        if len(executors) > 1:
            message = "no remote is configured, and several executors need one"
            raise NoRemote(message, hint="git remote add origin <url>") from None
        [executor] = executors
        if executor.command or not executor.name.startswith(SSH):
            raise
        name = ensure_id(project.paths.common_dir, CLONE_FILE)
        return HostRepository(executor._replace(remote=f"{_DIRECTORY}/{name}.git"))
    return None
