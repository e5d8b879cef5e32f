"""Start the workers of the executors, and pass on their output line by line.

Each worker has a connection. The first one of an executor creates the clone. The others start when
it reports that its worker runs: so only one creates the clone, and ssh can share its connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.executors.far_script import CANCEL, CREATE, START, FarWork, make_script
from git_hub_session.executors.output_lines import OutputLines
from git_hub_session.executors.ssh import ssh_command
from git_hub_session.programs.piped import PipedObserver, ProgramGroup
from git_hub_session.settings.table import executor_key
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.executors.executor import Executor

REPORT = r"hub-session: (started|attached|missing|ended|failed|cancelled|created)(?: (\w*))?"
_OTHER_COMMAND = "hub-session: runs (.*)"
"""The report that a worker was started with another command line."""
_CONNECTION_FAILED = 255
"""The exit status of ssh if the connection fails (ssh(1))."""
MISSING_HINT = "add --bootstrap, or install it there: pipx install git-hub-session"
_PYTHON_HINT = "install Python there with pip and venv: apt install python3-venv"
_PREFIX_HINT = "set {} to a command that runs the command in its arguments, such as 'nice'"
_BOOTSTRAP_HINT = "set PIP_INDEX_URL or PIP_FIND_LINKS in {} if PyPI cannot be reached there"


class FarResult(NamedTuple):
    """The end of a connection."""

    executor: str
    slot: int
    exit_code: int | None = None
    """The exit status of the worker, or None if it is not known."""
    is_attached: bool = False
    """True if the worker was running before."""
    cancels: bool = False
    """True if the connection was for ending workers."""
    cancelled: int = 0
    """The number of workers that it has ended."""
    error: str = ""
    """The reason why the connection ended before its worker, or ''."""
    hint: str = ""
    is_running: bool = False
    """True if the worker may go on without the connection."""
    is_slurm: bool = False
    """True if the worker is a job of Slurm, or with `cancels` several jobs."""
    job: str = ""
    """The id of the job, or ''."""

    @property
    def has_failed(self) -> bool:
        """True if the connection or its worker failed."""
        return bool(self.error or self.exit_code)


class FarObserver:
    """The methods that are called while the workers run. Here they do nothing."""

    def on_line(self, name: str, text: str) -> None:
        """Receive a line of output of a worker. It has no control characters."""

    def on_message(self, name: str, text: str) -> None:
        """Receive a message of the connection, or a sentence about it."""

    def on_start(self, name: str) -> None:
        """Note that a connection starts."""

    def on_end(self, name: str) -> None:
        """Note that a connection has ended."""

    def on_wait(self) -> float | None:
        """Return the seconds after which the method is called again, or None."""
        return None


class _Connection:
    """One connection and its reports."""

    def __init__(self, executor: Executor, slot: int, wheel: tuple[str, bytes] = ("", b"")) -> None:
        self.executor = executor
        self.slot = slot
        self.wheel = wheel
        self.lines = OutputLines()
        self.messages = OutputLines()
        self.reports: dict[str, str] = {}


class Launcher(PipedObserver):
    """Starts workers on executors, or ends them."""

    def __init__(
        self,
        executors: Sequence[Executor],
        work: FarWork,
        sockets: str,
        settings: Mapping[str, str],
        environ: Mapping[str, str],
    ) -> None:
        """Prepare the connections.

        Args:
            sockets: a private directory for the sockets of ssh.
            settings: the settings of the user.
        """
        self._executors = executors
        self._work = work
        self._sockets = sockets
        self._settings = settings
        self._environ = environ
        self._group = ProgramGroup(environ)
        self._observer = FarObserver()
        self._action = START
        self.results: list[FarResult] = []
        """The results of the connections that have ended."""

    def run(self, observer: FarObserver) -> list[FarResult]:
        """Start the workers, and wait for their ends. A worker that runs already is shown."""
        return self._run_action(START, observer)

    def cancel(self, observer: FarObserver) -> list[FarResult]:
        """End the workers of the session on each executor, and wait for their ends."""
        return self._run_action(CANCEL, observer)

    def create_repositories(self, observer: FarObserver) -> list[FarResult]:
        """Create a bare repository at the path of each executor, unless there is one."""
        return self._run_action(CREATE, observer)

    def _run_action(self, action: str, observer: FarObserver) -> list[FarResult]:
        self._action, self._observer = action, observer
        try:
            for executor in self._executors:
                self._connect(_Connection(executor, 1))
            self._group.run(self)
        finally:
            self._group.close()
        return self.results

    def _connect(self, connection: _Connection) -> None:
        executor = connection.executor
        self._observer.on_start(executor.name)
        command = executor.command
        if not command:
            socket = f"{self._sockets}/{self._executors.index(executor)}"
            command = ssh_command(executor.host, socket, self._settings, self._environ)
        script = make_script(
            self._action,
            self._work,
            slot=connection.slot,
            path=executor.path,
            setup=executor.setup,
            remote=executor.remote,
            wheel=connection.wheel,
        )
        self._group.start(
            connection, ["/bin/sh", "-c", f'{command} "$@"', "sh", "sh", "-s"], script
        )

    def on_output(self, key: object, data: bytes, *, is_error: bool) -> None:
        assert isinstance(key, _Connection)
        if is_error:
            for line in key.messages.add(data):
                self._on_message(key, line)
        else:
            for line in key.lines.add(data):
                self._observer.on_line(key.executor.name, line)

    def _on_message(self, connection: _Connection, line: str) -> None:
        """Receive a report of the script, or a line of another program at one of the ends."""
        report = re.fullmatch(REPORT, line)
        other = re.fullmatch(_OTHER_COMMAND, line)
        if other is not None:
            self._warn_about_command(connection, other[1])
            return
        if report is None:
            self._observer.on_message(connection.executor.name, line)
            return
        connection.reports[report[1]] = report[2] or ""
        if report[1] == "attached":
            self._observer.on_message(
                connection.executor.name, f"worker {connection.slot} was running already"
            )
        if report[1] in ("started", "attached") and connection.slot == 1:
            for slot in range(2, connection.executor.workers + 1):
                self._connect(_Connection(connection.executor, slot))

    def _warn_about_command(self, connection: _Connection, running: str) -> None:
        """Print that a worker goes on with the command line with which it was started."""
        name = connection.executor.name
        verb = "eval" if self._work.evaluation else "exec"
        cancel = f"git hub-session {verb} --on {quote_word(name)} --cancel {self._work.sid}"
        for text in other_command_lines(
            f"worker {connection.slot}", running, self._work.command, cancel
        ):
            self._observer.on_message(name, text)

    def on_end(self, key: object, status: int) -> None:
        assert isinstance(key, _Connection)
        for line in key.lines.rest():
            self._observer.on_line(key.executor.name, line)
        for line in key.messages.rest():
            self._on_message(key, line)
        if self._work.bootstraps and key.reports.get("missing") == "" and not key.wheel[0]:
            self._connect(_Connection(key.executor, key.slot, load_wheel()))
        else:
            self._add_result(key, status)
        self._observer.on_end(key.executor.name)

    def _add_result(self, key: _Connection, status: int) -> None:
        result = _result_of(key, status)
        if key.reports.get("failed") == "other":
            name = quote_word(key.executor.name)
            error = f"a worker on '{key.executor.name}' measures for another evaluation"
            hint = f"git hub-session eval --on {name} --cancel {self._work.sid}"
            result = result._replace(error=error, hint=hint)
        self.results.append(result._replace(cancels=self._action == CANCEL))

    def on_wait(self) -> float | None:
        return self._observer.on_wait()


def _result_of(connection: _Connection, status: int) -> FarResult:
    """Return the result of a connection that has ended with an exit status."""
    reports, name = connection.reports, connection.executor.name
    result = FarResult(name, connection.slot, is_attached="attached" in reports)
    if "ended" in reports:
        code = parse_int(reports["ended"], MAX_COUNT)
        error = f"a worker on '{name}' was killed" if code is None else ""
        return result._replace(exit_code=code, error=error)
    if "cancelled" in reports:
        return result._replace(cancelled=parse_int(reports["cancelled"], MAX_COUNT) or 0)
    if "created" in reports:
        return result
    if reports.get("missing") == "python":
        return result._replace(
            error=f"'{name}' has no Python 3.11 or later with venv", hint=_PYTHON_HINT
        )
    if "missing" in reports:
        return result._replace(
            error=f"git hub-session is not installed on '{name}'", hint=MISSING_HINT
        )
    if reports.get("failed") == "bootstrap":
        hint = _BOOTSTRAP_HINT.format(executor_key(name, "setup"))
        return result._replace(error=f"cannot install git hub-session on '{name}'", hint=hint)
    if "failed" in reports:
        return result._replace(error=f"the {reports['failed']} failed on '{name}'")
    if reports:
        error = f"connection to '{name}' was lost; its worker may go on"
        return result._replace(error=error, is_running=True)
    if status == _CONNECTION_FAILED:
        return result._replace(error=f"connection to '{name}' failed")
    if not status:
        hint = _PREFIX_HINT.format(executor_key(name, "command"))
        return result._replace(
            error=f"the command of '{name}' did not run its arguments", hint=hint
        )
    return result._replace(error=f"'{name}' failed with exit status {status}")


def other_command_lines(work: str, running: str, wanted: str, cancel: str) -> list[str]:
    """Return the lines about work that was started before with another command line.

    Args:
        work: the name of the work, such as "worker 1".
        running: the command line with which it was started, from `work` on.
        wanted: the command line of this call, from `work` on. It is not started.
        cancel: the command that ends the work. It may end other workers too.
    """
    return [
        f"warning: {work} runs another command: git hub-session {escape_control(running)}",
        f"not started: git hub-session {escape_control(wanted)}",
        f"to end it: {cancel}",
    ]


def load_wheel() -> tuple[str, bytes]:
    """Return the file name and the content of the wheel of this program."""
    from git_hub_session.executors.wheel import WHEEL_NAME, make_wheel

    return WHEEL_NAME, make_wheel()
