"""Programs that git starts see the same with this program as with git's own commands.

Each test runs a command of git and then the command of this program in the same repository. Hooks, a
filter, a merge driver and gpg record their directory, arguments, variables and standard input. Their
commands are relative, so they are found only in the right directory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from git_hub_session.git.environment import ORIGINAL_OBJECTS
from tests.support.evaluated_sessions import agent_worktree
from tests.support.hub import Hub, Result
from tests.support.interrupt import Template

WINNER = "hub/s1/agent-1/attempt-1"
COMMIT_HOOKS = ("pre-merge-commit", "pre-commit", "prepare-commit-msg", "commit-msg")
HOOKS = (
    *COMMIT_HOOKS,
    *("post-merge", "post-commit", "post-checkout", "post-index-change", "reference-transaction"),
)

RECORD = r"""#!/bin/sh
input=$(readlink /proc/$$/fd/0)
case $input in pipe:*) input=pipe;; esac
variables=$(env | grep -E '^(GIT_|GITHEAD_|LC_|LANG)' | sort | tr '\n' '\t')
echo "$*|$(pwd -P)|$input|$variables" >>"$RECORD"
"""
DRIVER = '#!/bin/sh\ntools/record driver </dev/null\necho merging\ncat "$3" >>"$2"\n'
FILTER = "#!/bin/sh\ntools/record filter\nexec cat\n"
GPG = """#!/bin/sh
tools/record gpg
cat >/dev/null
printf '\\n[GNUPG:] SIG_CREATED D\\n' >&2
printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nsigned\\n-----END PGP SIGNATURE-----\\n'
"""

# The documented differences (docs/decisions.md, "programs that git starts see the same as with git"):
# - The commit hooks see a temporary index. The files are updated with a temporary index, too.
# - `-c` settings of this program reach programs: core.fsync when refs change.
# - The author's variables have the time of the commit.
# - New objects are in a temporary directory until a pack keeps them.
# - git does not translate its messages while it changes refs and files.
# - The guard of this program does not check its own changes of refs.
IGNORED_VARIABLES = (
    *("GIT_INDEX_FILE=", "GIT_CONFIG_PARAMETERS=", "GIT_OBJECT_DIRECTORY="),
    *("GIT_EXEC_PATH=", "GIT_TEST_", "GIT_TEXTDOMAINDIR=", "GIT_HUB_SESSION_GUARD="),
)
# - These hooks run for each of git's internal steps, so their number and arguments differ.
INTERNAL_HOOKS = ("post-index-change", "reference-transaction")
# - The message of --squash is in a temporary file if COMMIT_EDITMSG exists.


class Seen(NamedTuple):
    """The surroundings of one program."""

    words: str
    directory: str
    stdin: str
    variables: tuple[str, ...]


def write_programs(directory: Path) -> None:
    """Write the hooks, the filter, the driver and gpg below a directory."""
    programs = {"record": RECORD, "driver": DRIVER, "filter": FILTER, "gpg": GPG}
    files = {f"tools/{name}": text for name, text in programs.items()}
    for hook in HOOKS:
        files[f".githooks/{hook}"] = (
            f'#!/bin/sh\nexec "$(dirname "$0")/../tools/record" {hook} "$@"\n'
        )
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)


@pytest.fixture
def recording(hub: Hub) -> Hub:
    """Create a session with one evaluated agent. Configure the programs at the end."""
    hub.environ["RECORD"] = str(hub.top.parent / "record")
    write_programs(hub.top)
    (hub.top / ".gitattributes").write_text("*.f filter=rec\nboth merge=rec\n")
    (hub.top / "both").write_text("1\n2\n3\n")
    (hub.top / "x.f").write_text("x\n")
    hub.git("add", "-A")
    hub.git("commit", "-q", "-m", "programs")
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    hub.commit(agent_worktree(hub, 1), "y.f", "y\n")
    hub.commit(agent_worktree(hub, 1), "both", "1\n2\nagent\n")
    hub.commit(hub.top, "both", "1\n2\nmain\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    return hub


def configure(hub: Hub) -> None:
    """Let git start the recording programs."""
    settings = {
        "core.hooksPath": ".githooks",
        "filter.rec.smudge": "tools/filter",
        "filter.rec.clean": "cat",
        "merge.rec.driver": "tools/driver %O %A %B",
        "gpg.program": "tools/gpg",
        "commit.gpgSign": "true",
    }
    for name, value in settings.items():
        hub.git("config", name, value)


def record_of(hub: Hub, run: Callable[[], Result]) -> set[Seen]:
    """Return the surroundings of the programs that `run` starts."""
    file = Path(hub.environ["RECORD"])
    file.write_text("")
    result = run()
    assert result.code == 0, result
    seen = set()
    for line in file.read_text().splitlines():
        words, directory, stdin, variables = line.split("|", 3)
        if words.split()[0] in INTERNAL_HOOKS:
            words = words.split()[0]
        # The files of a merge are the original objects. Hooks and gpg get no variable for this.
        ignored = ORIGINAL_OBJECTS if words.split()[0] in ("filter", "driver") else ()
        kept = [
            "GIT_AUTHOR_DATE=" if variable.startswith("GIT_AUTHOR_DATE=") else variable
            for variable in filter(None, variables.split("\t"))
            if not variable.startswith(IGNORED_VARIABLES)
            and variable.partition("=")[0] not in ignored
        ]
        seen.add(Seen(words, directory, stdin, tuple(kept)))
    return seen


def compare(
    hub: Hub, cwd: Path, commands: list[list[str]], arguments: list[str]
) -> tuple[set[Seen], set[Seen]]:
    """Return the records of git's commands, and of the command of this program."""

    def run_git() -> Result:
        for command in commands:
            result = hub.call("git", *command, cwd=cwd)
            assert result.code == 0, (command, result)
        return Result(0)

    directories = [path for path in hub.top.parent.iterdir() if path.is_dir()]
    template = Template(hub, [path for path in directories if path != Path.home()])
    by_git = record_of(hub, run_git)
    template.restore()
    return by_git, record_of(hub, lambda: hub.call("git", "hub-session", *arguments, cwd=cwd))


def named(seen: set[Seen], *names: str) -> set[Seen]:
    """Return the records of the programs with these names."""
    return {each for each in seen if each.words.split()[0] in names}


@pytest.mark.parametrize("subdirectory", ["", "sub"])
@pytest.mark.parametrize("place", ["main", "linked"])
@pytest.mark.parametrize("kind", ["merge", "squash"])
def test_merge(recording: Hub, place: str, kind: str, subdirectory: str) -> None:
    """The branch is checked out in the main worktree or in a linked worktree."""
    hub = recording
    top = hub.top
    if place == "linked":
        top = hub.top.parent / "linked"
        hub.git("switch", "-q", "--detach")
        hub.git("worktree", "add", "-q", top, "main")
    configure(hub)
    commands = [["merge", "--no-edit", WINNER]]
    arguments = ["merge", "-q", "--yes", "--no-cleanup", "s1"]
    if kind == "squash":
        commands = [["merge", "--squash", WINNER], ["commit", "-q", "--no-edit"]]
        arguments.insert(1, "--squash")
    by_git, own = compare(hub, top / subdirectory, commands, arguments)
    expected = {"filter", "gpg", "driver", "prepare-commit-msg", "commit-msg", "post-merge"}
    expected |= {"pre-commit", "post-commit"} if kind == "squash" else {"pre-merge-commit"}
    assert {each.words.split()[0] for each in own} >= expected
    own_hooks, hooks = named(own, *expected), named(by_git, *expected)
    if kind == "merge":
        assert without_driver(own_hooks) == without_driver(hooks)
        driver, git_driver = named(own, "driver"), named(by_git, "driver")
        # A driver runs in the main worktree: `eval` and `merge` must compute the same merge.
        assert {each.directory for each in driver} == {str(hub.top)}
        ignored = ("GIT_PREFIX=", "GIT_DIR=")
        assert variables_of(driver, ignored) == variables_of(git_driver, ignored)
    else:
        # All hooks of --squash run with the variables of the merge.
        # The file of the message is in another directory if COMMIT_EDITMSG exists.
        assert words_and_directories(own_hooks) == words_and_directories(hooks)
        merging = named(by_git, "reference-transaction")
        assert {each.directory for each in merging} == {str(top)}
    directories = {each.directory for each in named(own, "reference-transaction")}
    assert directories == {str(top)}


def without_driver(seen: set[Seen]) -> set[Seen]:
    """Return the records of all programs but the merge driver."""
    return seen - named(seen, "driver")


def words_and_directories(seen: set[Seen]) -> set[tuple[str, str]]:
    """Return the words without the directories of files, and the directories of the programs."""
    return {(re.sub(r"\S*/", "", each.words), each.directory) for each in without_driver(seen)}


def variables_of(seen: set[Seen], ignored: tuple[str, ...]) -> set[str]:
    """Return the variables of all records."""
    return {name for each in seen for name in each.variables if not name.startswith(ignored)}


@pytest.mark.parametrize("subdirectory", ["", "sub"])
def test_merge_into_a_branch_that_is_not_checked_out(recording: Hub, subdirectory: str) -> None:
    """git has no such merge. The hooks of the message run in the main worktree."""
    hub = recording
    hub.git("switch", "-q", "--detach")
    configure(hub)
    arguments = ["merge", "-q", "--yes", "--no-cleanup", "s1"]
    own = record_of(
        hub, lambda: hub.call("git", "hub-session", *arguments, cwd=hub.top / subdirectory)
    )
    seen = named(own, "prepare-commit-msg", "commit-msg", "gpg", "driver")
    assert {each.words.split()[0] for each in seen} == {
        *("prepare-commit-msg", "commit-msg", "gpg", "driver")
    }
    assert {each.directory for each in seen} == {str(hub.top)}
    assert not [each for each in seen if "GIT_DIR" in " ".join(each.variables)]


@pytest.mark.parametrize("subdirectory", ["", "sub"])
@pytest.mark.parametrize("place", ["main", "linked", "bare"])
@pytest.mark.parametrize("command", ["spawn", "restore", "cleanup", "archive"])
def test_branches_and_worktrees(
    recording: Hub, command: str, place: str, subdirectory: str
) -> None:
    """The command runs where the user is, and so does the command of git."""
    hub = recording
    cwd = hub.top
    if place == "linked":
        cwd = hub.top.parent / "linked"
        hub.git("worktree", "add", "-q", "--detach", cwd, "main")
    if place == "bare":
        cwd = hub.top.parent / "bare.git"
        hub.git("clone", "-q", "--bare", hub.top, cwd)
        hub = Hub(cwd, hub.environ)
        write_programs(cwd)
        for branch in hub.git("branch", "--format=%(refname:short)", "--list", "hub/*").split():
            hub.git("branch", "-D", branch)
        assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1").code == 0
        assert hub.run("spawn", "-q", "s1") == Result(0)
        subdirectory = subdirectory and "refs"
    path = cwd.parent / f"{cwd.name.removesuffix('.git')}.hub" / "s1" / "agent-1"
    if place == "linked":
        path = agent_worktree(hub, 1)
    new_branch = ["branch", "new", WINNER]
    add = ["worktree", "add", "-q", str(path.with_name("new")), "new"]
    commands = {
        "spawn": [new_branch, add],
        "restore": [new_branch, add],
        "cleanup": [["update-ref", "refs/hub/new", "HEAD"]],
        "archive": [["tag", "new", WINNER], ["update-ref", "-d", "refs/tags/new"]],
    }
    arguments = [command, "-q", "s1"]
    if command == "spawn":
        assert hub.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1").code == 0
        arguments = ["spawn", "-q", "s2"]
    elif command == "restore":
        assert hub.run("cleanup", "-q", "--archive", "s1") == Result(0)
        hub.git("branch", WINNER, "main") if place == "bare" else None
        commands["restore"] = [["branch", "new", "main"], add]
    elif command == "cleanup":
        (path / "file").write_text("work\n")
    configure(hub)
    by_git, own = compare(hub, cwd / subdirectory, commands[command], arguments)
    names = ["reference-transaction"]
    if command in ("spawn", "restore"):
        names += ["post-checkout", "filter"]
    target = path.parent.with_name("s2") / "agent-1" if command == "spawn" else path
    expected = generalized(named(by_git, *names), str(path.with_name("new")))
    own = generalized(named(own, *names), str(target))
    # In a directory below a bare repository, git does not find relative hooks either.
    if not (place == "bare" and subdirectory):
        assert {each.words for each in own} == {*names}
    assert own <= expected


def generalized(seen: set[Seen], path: str) -> set[Seen]:
    """Return the records without arguments, and with one name for each new worktree."""
    found = set()
    for each in seen:
        variables = tuple(
            "GIT_DIR=new" if re.search("/worktrees/(new|agent-)", variable) else variable
            for variable in each.variables
        )
        directory = "new" if each.directory == path else each.directory
        found.add(Seen(each.words.split()[0], directory, each.stdin, variables))
    return found
