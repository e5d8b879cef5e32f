"""git hub-session demo: a real tournament, played in a throw-away repository.

Nothing in it is canned: each line after `$` is run by a shell, and what follows is what
it wrote. The repository, the home directory and git's configuration are made for it, so
that neither the user's hooks nor a missing name come in between.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from shlex import quote
from shutil import rmtree
from tempfile import mkdtemp

from git_hub_session.context import Context
from git_hub_session.errors import HubError
from git_hub_session.options import Arguments, Option, Usage
from git_hub_session.views.demo import DemoView

USAGE = Usage(
    ("demo [--keep]",),
    (Option("--keep", "keep the repository, and say where it is"),),
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
print(found, "primes,", divisions, "divisions")
''',
}

_GITCONFIG = """\
[user]
	name = Demo
	email = demo@example.com
[init]
	defaultBranch = main
[advice]
	detachedHead = false
"""


class Stopped(HubError):
    """A step of the demonstration failed."""

    code = "demo-failed"


def run(context: Context, args: Arguments) -> DemoView:
    """Play the tournament; the repository goes afterwards, also on ^C, unless --keep is given."""
    top = os.path.realpath(mkdtemp(prefix="git-hub-session-demo-"))
    try:
        _play(_Stage(context, f"{top}/project", _built(top, context.environ)))
    finally:
        if args.is_set("keep"):
            context.note(f"kept: {top}/project")
        else:
            rmtree(top, ignore_errors=True)
    return DemoView(0)


class _Stage:
    """Where the demonstration is played: it shows what is typed, and what that answers."""

    def __init__(self, context: Context, directory: str, environ: Mapping[str, str]) -> None:
        self._say = context.say
        self._shell = context.shell(directory, environ)
        self._gap = ""

    def tell(self, *lines: str) -> None:
        """A paragraph of explanation."""
        self._say(self._gap + "".join(f"# {line}\n" for line in lines))
        self._gap = "\n"

    def type(self, command: str) -> None:
        """Show a command, and run it in sight; raises Stopped where it fails."""
        self._run(command, capture=False)

    def read(self, command: str) -> str:
        """The same, and return what the command wrote."""
        return self._run(command, capture=True)

    def _run(self, command: str, *, capture: bool) -> str:
        self._say(f"$ {command}\n")
        done = self._shell.run(command, capture=capture)
        self._say(done.output)
        if done.status:
            raise Stopped(
                f"the demonstration stopped: exit code {done.status} from '{command}'",
                hint="'git hub-session demo --keep' leaves the repository for a look",
            )
        return done.output


def _play(stage: _Stage) -> None:
    stage.tell("A small program is slow. Three agents shall make it faster, the best one wins.")
    stage.type("git init -q && git add . && git commit -q -m 'Find primes'")
    stage.type("cat candidates.py")
    baseline = _found(r"(\d+) divisions", stage.read("python3 bench.py"))

    stage.tell("A session says what the agents are to do, and how a result is measured.")
    sid = _found(
        r"session (\S+)",
        stage.read(
            "git hub-session init --task 'Find the primes with fewer divisions' \\\n"
            "    --agents 3 --eval 'python3 bench.py' \\\n"
            f"    --metric divisions --direction lower --baseline {baseline}"
        ),
    )
    branches = [f"hub/{sid}/agent-{agent}/attempt-1" for agent in (1, 2, 3)]

    stage.tell("Each agent gets a branch and a worktree of its own.")
    for agent, branch in enumerate(branches, start=1):
        stage.type(f"git worktree add -q -b {branch} ../agent-{agent}")
    stage.type(f"git hub-session update {sid} --state running")

    stage.tell("The agents work, and commit what they have.")
    for agent, idea, subject in (
        (1, "range(2, n // 2 + 1)", "Stop halfway"),
        (2, "range(2, int(n**0.5) + 1)", "Stop at the square root"),
        (3, "[d for d in range(2, n) if d == 2 or d % 2]", "Try odd numbers only"),
    ):
        stage.type(
            f"printf 'def candidates(n):\\n    return %s\\n' \\\n"
            f"    '{idea}' > ../agent-{agent}/candidates.py"
        )
        stage.type(f"git -C ../agent-{agent} commit -q -a -m '{subject}'")

    stage.tell("Agent 3 is not done: it has a change that is staged, and a new file.")
    stage.type("echo '# next: a sieve' >> ../agent-3/candidates.py")
    stage.type("git -C ../agent-3 add candidates.py")
    stage.type("echo 'crossed = set()' > ../agent-3/sieve.py")

    stage.tell("How far are they? '*' marks a tip that no other agent's branch contains.")
    stage.type("git hub-session list")
    stage.type("git hub-session status")

    stage.tell("The results are measured, and the best one is merged.")
    stage.type(f"git hub-session update {sid} --state evaluating")
    stage.type("for n in 1 2 3; do (cd ../agent-$n && python3 bench.py); done")
    stage.type(f"git merge --no-ff -m 'Merge agent 2' {branches[1]}")
    stage.type(
        f"git hub-session update {sid} --state merged \\\n    --reason 'agent 2 needs the fewest divisions'"
    )
    stage.type(f"git hub-session log {sid}")

    stage.tell(
        "Agent 3's worktree still holds work that no commit has. Here is a copy of it,",
        "to compare with later.",
    )
    stage.type("git -C ../agent-3 status --short")
    stage.type("mkdir ../copy && cp ../agent-3/*.py ../copy")
    stage.tell("The worktrees go. What was not committed is saved before.")
    bring_back = _found(r"bring it back: (.*)", stage.read(f"git hub-session cleanup {sid}"))
    stage.type("ls ..")

    stage.tell(
        "The line that was printed brings it back: what was staged is staged again,",
        "and every byte is the same.",
    )
    stage.type(bring_back)
    stage.type("git -C ../agent-3 status --short")
    stage.type(
        "for file in candidates.py sieve.py; do\n"
        '    cmp ../copy/$file ../agent-3/$file && echo "$file: the same bytes"\n'
        "done"
    )

    stage.tell("At last the branches become tags: every commit stays, and the list is short.")
    stage.type(f"git hub-session cleanup --archive {sid}")
    stage.type("git branch")
    stage.type("git tag")


def _found(pattern: str, text: str) -> str:
    """What the group in `pattern` matches in a command's answer; raises Stopped."""
    match = re.search(pattern, text)
    if match is None:
        raise Stopped(f"the demonstration stopped: no '{pattern}' in the last answer")
    return match[1]


def _built(top: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Make the project, a home and the programs below `top`; the environment that leads there."""
    project, home, programs = (os.path.join(top, name) for name in ("project", ".home", ".bin"))
    for directory in (project, home, programs):
        os.mkdir(directory)
    for name, text in _PROGRAM.items():
        _write(os.path.join(project, name), text)
    _write(os.path.join(home, ".gitconfig"), _GITCONFIG)
    # This very program, whatever git-hub-session is on PATH, and this Python.
    python = quote(sys.executable)
    _script(os.path.join(programs, "git-hub-session"), f'{python} -I -c {quote(_OURSELVES)} "$@"')
    _script(os.path.join(programs, "python3"), f'{python} -EsB "$@"')
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        "PATH": f"{programs}{os.pathsep}{environ.get('PATH', os.defpath)}",
        "HOME": home,
        "XDG_CONFIG_HOME": os.path.join(home, ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PAGER": "cat",
        "GIT_EDITOR": "false",
        "GIT_TERMINAL_PROMPT": "0",
    }


_OURSELVES = f"""\
import sys
sys.path[:] = {[os.path.abspath(path) for path in sys.path]!r}
sys.argv[0] = "git-hub-session"
from git_hub_session.cli import main
sys.exit(main())"""


def _script(path: str, command: str) -> None:
    _write(path, f"#!/bin/sh\nexec {command}\n")
    os.chmod(path, 0o755)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
