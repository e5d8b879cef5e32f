"""git hub-session demo: run all steps in a temporary repository.

The output is real: a shell runs each line after `$`. The repository, the home directory and
git's configuration are created for the demo, so that the user's hooks and a missing user name
cannot interfere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from shlex import quote
from shutil import rmtree
from tempfile import mkdtemp

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import Arguments, Option, Usage
from git_hub_session.cli.view import TerminalStyle, TextOutput, View
from git_hub_session.errors import HubError
from git_hub_session.programs.own_program import own_program
from git_hub_session.system.processes import run_shell

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context

USAGE = Usage(
    ("demo [--keep]",),
    (Option("--keep", "keep the repository and print its path"),),
)

_PROGRAM = {
    "candidates.py": "def candidates(n):\n    return range(2, n)\n",
    "bench.py": '''\
"""Find the primes below 1000, and count the divisions that it takes."""
from candidates import candidates

divisions = 0


def is_prime(n):
    global divisions
    for d in candidates(n):
        divisions += 1
        if n % d == 0:
            return False
    return True


found = sum(map(is_prime, range(2, 1000)))
print("primes:", found)
print("divisions:", divisions)
''',
}

_AGENT = r"""#!/bin/sh
case $HUB_AGENT in
agent-1) subject='Stop halfway' idea='range(2, n // 2 + 1)' ;;
agent-2) subject='Stop at the square root' idea='range(2, int(n**0.5) + 1)' ;;
agent-3) subject='Odd numbers' idea='[d for d in range(2, n) if d == 2 or d % 2]' ;;
esac
printf 'def candidates(n):\n    return %s\n' "$idea" >candidates.py
git commit -q -a -m "$subject"
echo "$subject"
test "$HUB_AGENT" = agent-3 || exit 0
echo '# next: a sieve' >>candidates.py
git add candidates.py
echo 'crossed = set()' >sieve.py
"""

_GITCONFIG = """\
[user]
	name = Demo
	email = demo@example.com
[init]
	defaultBranch = main
[advice]
	detachedHead = false
"""


class DemoStepFailed(HubError):
    """A command of the demo failed."""

    code = "demo-failed"


def run(context: Context, args: Arguments) -> DemoView:
    """Run the demo. Delete its repository afterwards, also after ^C, unless --keep is given."""
    top = os.path.realpath(mkdtemp(prefix="git-hub-session-demo-"))
    project_path = os.path.join(top, "project")
    is_kept = args.is_set("keep")
    try:
        environ = _create_project(top, context.project.environ)
        runner = _DemoRunner(context, project_path, environ)
        runner.hint = "" if is_kept else "git hub-session demo --keep"
        _run_demo(runner)
    finally:
        if is_kept:
            context.reporter.note(f"kept: {project_path}")
        else:
            rmtree(top, ignore_errors=True)
    return DemoView()


class _DemoRunner:
    """Prints explanations and commands, and runs the commands."""

    def __init__(self, context: Context, directory: str, environ: Mapping[str, str]) -> None:
        self._reporter = context.reporter
        self._directory = directory
        self._environ = environ
        self._separator = ""
        self.hint = ""
        """The hint of an error."""

    def explain(self, *lines: str) -> None:
        """Print a paragraph."""
        self._reporter.write_text(self._separator + "".join(f"# {line}\n" for line in lines))
        self._separator = "\n"

    def run_command(self, command: str) -> None:
        """Print a command and run it. Raise DemoStepFailed if it fails."""
        self._reporter.write_text(f"$ {command}\n")
        status = run_shell(command, self._directory, self._environ)
        if status:
            raise DemoStepFailed(
                f"the demo stopped: '{command}' exited with status {status}", hint=self.hint
            )


def _run_demo(runner: _DemoRunner) -> None:
    _show_program(runner)
    _run_session(runner)
    _show_results(runner)
    _restore_and_clean_up(runner)


def _show_program(runner: _DemoRunner) -> None:
    runner.explain("This small program is slow. Three agents will make it faster.")
    runner.run_command("git init -q && git add . && git commit -q -m 'Find primes'")
    runner.run_command("cat candidates.py")
    runner.run_command("python3 bench.py")


def _run_session(runner: _DemoRunner) -> None:
    runner.explain(
        "Any command can be an agent. This script plays three agents with different ideas.",
        "The third agent leaves uncommitted work: a staged change and a new file.",
    )
    runner.run_command('cat "$(command -v agent)"')

    runner.explain(
        "One command does all steps: it creates a session and a worktree for each agent, runs",
        "the agents, measures the results and merges the best. Without --yes it asks first.",
        "With --no-commit, uncommitted work of an agent stays uncommitted.",
    )
    runner.run_command(
        "git hub-session run --id primes --task 'Find them with fewer divisions' \\\n"
        "    --agents 3 --agent-cmd agent --no-commit \\\n"
        "    --eval 'python3 bench.py' --metric divisions --direction lower --yes"
    )


def _show_results(runner: _DemoRunner) -> None:
    runner.explain("The program is faster, and its history has the winner's commit.")
    runner.run_command("python3 bench.py")
    runner.run_command("git log --graph --format=%s")

    runner.explain("The other branches are tags now. A ref keeps the uncommitted work of agent 3.")
    runner.run_command("git tag")
    runner.run_command("git for-each-ref --format='%(refname)' refs/hub/rescue")


def _restore_and_clean_up(runner: _DemoRunner) -> None:
    runner.explain("Restore the worktree of agent 3. The staged change is staged again.")
    runner.run_command("git hub-session restore primes --agent 3")
    runner.run_command(
        'cd "$(git hub-session path primes 3)" && git status --short && tail -n 1 *.py'
    )

    runner.explain("The session and the message board record all steps.")
    runner.run_command("git hub-session log primes")
    runner.run_command("git hub-session board read results")

    runner.explain("Remove the worktree again. Its changes are saved again.")
    runner.run_command("git hub-session cleanup --archive -q primes && ls ../project.hub/primes")
    runner.run_command("git hub-session list")


def _create_project(top: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Create the project, a home directory and the programs. Return the environment for them."""
    project, home, programs = (os.path.join(top, name) for name in ("project", ".home", ".bin"))
    for directory in (project, home, programs):
        os.mkdir(directory)
    for name, text in _PROGRAM.items():
        _write(os.path.join(project, name), text)
    _write(os.path.join(home, ".gitconfig"), _GITCONFIG)
    # Run this program and this Python, not other ones on PATH.
    own = " ".join(map(quote, own_program()))
    _write_script(os.path.join(programs, "git-hub-session"), f'{own} "$@"')
    _write_script(os.path.join(programs, "python3"), f'{quote(sys.executable)} -EsB "$@"')
    _write_program(os.path.join(programs, "agent"), _AGENT)
    inherited = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    return {
        **inherited,
        "PATH": f"{programs}{os.pathsep}{environ.get('PATH', os.defpath)}",
        "HOME": home,
        "XDG_CONFIG_HOME": os.path.join(home, ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "XDG_STATE_HOME": os.path.join(home, ".local", "state"),
        "GIT_PAGER": "cat",
        "GIT_EDITOR": "false",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _write_script(path: str, command: str) -> None:
    _write_program(path, f"#!/bin/sh\nexec {command}\n")


def _write_program(path: str, text: str) -> None:
    _write(path, text)
    os.chmod(path, 0o755)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class DemoView(View):
    """The end of the demo. Everything was printed before."""

    wraps = False

    @property
    def changed(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        return {"exit_code": self.exit_code}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput([])
