"""git hub-session demo: a real tournament, played in a throw-away repository.

Nothing in it is canned: each line after `$` is run by a shell, and what follows is what
it wrote. The repository, the home directory and git's configuration are made for it, so
that neither the user's hooks nor a missing name come in between.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from shlex import quote
from shutil import rmtree
from tempfile import mkdtemp

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import Arguments, Option, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record
from git_hub_session.errors import HubError

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
    """A step of the demonstration failed."""

    code = "demo-failed"


def run(context: Context, args: Arguments) -> DemoView:
    """Play the tournament; the repository goes afterwards, also on ^C, unless --keep is given."""
    top = os.path.realpath(mkdtemp(prefix="git-hub-session-demo-"))
    try:
        _run_demo(
            _DemoRunner(context, f"{top}/project", _create_project(top, context.project.environ))
        )
    finally:
        if args.is_set("keep"):
            context.reporter.note(f"kept: {top}/project")
        else:
            rmtree(top, ignore_errors=True)
    return DemoView(0)


class _DemoRunner:
    """Where the demonstration is played: it shows what is typed, and what that answers."""

    def __init__(self, context: Context, directory: str, environ: Mapping[str, str]) -> None:
        self._reporter = context.reporter
        self._shell = context.project.shell(directory, environ)
        self._gap = ""

    def explain(self, *lines: str) -> None:
        """A paragraph of explanation."""
        self._reporter.write_text(self._gap + "".join(f"# {line}\n" for line in lines))
        self._gap = "\n"

    def run_command(self, command: str) -> None:
        """Show a command, and run it in sight; raises Stopped where it fails."""
        self._reporter.write_text(f"$ {command}\n")
        done = self._shell.run(command)
        if done.status:
            raise DemoStepFailed(
                f"the demonstration stopped: exit code {done.status} from '{command}'",
                hint="'git hub-session demo --keep' leaves the repository for a look",
            )


def _run_demo(stage: _DemoRunner) -> None:
    stage.explain("A small program is slow. Three agents shall make it faster, the best one wins.")
    stage.run_command("git init -q && git add . && git commit -q -m 'Find primes'")
    stage.run_command("cat candidates.py")
    stage.run_command("python3 bench.py")

    stage.explain(
        "An agent is any command. This one stands for three, each with an idea of its own.",
        "The third is not done when it ends: it has a change that is staged, and a new file.",
    )
    stage.run_command('cat "$(command -v agent)"')

    stage.explain(
        "One command plays the tournament: a session, the agents' worktrees, the agents, a",
        "measurement of each, the merge. Without --yes it would ask before the last.",
    )
    stage.run_command(
        "git hub-session run --id primes --task 'Find them with fewer divisions' \\\n"
        "    --agents 3 --agent-cmd agent \\\n"
        "    --eval 'python3 bench.py' --metric divisions --direction lower --yes"
    )

    stage.explain("The program is faster, and its history says who made it so.")
    stage.run_command("python3 bench.py")
    stage.run_command("git log --graph --format=%s")

    stage.explain("Who lost is a tag. What agent 3 had not committed is kept by a ref as well.")
    stage.run_command("git tag")
    stage.run_command("git for-each-ref --format='%(refname)' refs/hub")

    stage.explain("It comes back as it was: what was staged is staged, and each byte the same.")
    stage.run_command("git hub-session restore primes --agent 3")
    stage.run_command(
        'cd "$(git hub-session path primes 3)" && git status --short && tail -n 1 *.py'
    )

    stage.explain("What happened is written down, in the session and on the board.")
    stage.run_command("git hub-session log primes")
    stage.run_command("git hub-session board read results")

    stage.explain("And it goes again, just as safely.")
    stage.run_command("git hub-session cleanup --archive -q primes && ls ../project.hub/primes")
    stage.run_command("git hub-session list")


def _create_project(top: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Make the project, a home and the programs below `top`; the environment that leads there."""
    project, home, programs = (os.path.join(top, name) for name in ("project", ".home", ".bin"))
    for directory in (project, home, programs):
        os.mkdir(directory)
    for name, text in _PROGRAM.items():
        _write(os.path.join(project, name), text)
    _write(os.path.join(home, ".gitconfig"), _GITCONFIG)
    # This very program, whatever git-hub-session is on PATH, and this Python.
    python = quote(sys.executable)
    _script(os.path.join(programs, "git-hub-session"), f'{python} -I -c {quote(_LAUNCHER)} "$@"')
    _script(os.path.join(programs, "python3"), f'{python} -EsB "$@"')
    _program(os.path.join(programs, "agent"), _AGENT)
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        "PATH": f"{programs}{os.pathsep}{environ.get('PATH', os.defpath)}",
        "HOME": home,
        "XDG_CONFIG_HOME": os.path.join(home, ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "XDG_STATE_HOME": os.path.join(home, ".local", "state"),
        "GIT_PAGER": "cat",
        "GIT_EDITOR": "false",
        "GIT_TERMINAL_PROMPT": "0",
    }


_LAUNCHER = f"""\
import sys
sys.path[:] = {[os.path.abspath(path) for path in sys.path]!r}
sys.argv[0] = "git-hub-session"
from git_hub_session.__main__ import command
command()"""


def _script(path: str, command: str) -> None:
    _program(path, f"#!/bin/sh\nexec {command}\n")


def _program(path: str, text: str) -> None:
    _write(path, text)
    os.chmod(path, 0o755)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class DemoView(NamedTuple):
    """A demonstration that has shown itself; nothing is left to say."""

    exit_code: int
    changed: bool = True
    diagnostics: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {"exit_code": self.exit_code}

    def records(self) -> list[Record]:
        return [make_record(self.document())]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput([])
