"""The command with everything switched off that macOS does not have.

A launcher removes the functions that Python has only on Linux, hides /proc, and names the system
"darwin". psutil reads the processes. Other differences of a Mac are not tested.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.hub import CHECKOUT, PYTHON, Hub, Result, wait_until_started
from tests.support.invariants import check_repository
from tests.support.whole_session import run_session

# From "Availability" in the documentation of Python 3.12: not on macOS.
_LAUNCHER = f"""\
#!{PYTHON} -I
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
import ctypes, os, select, signal, types
import psutil  # before the system has another name
MISSING = {{
    os: "O_NOATIME O_PATH O_TMPFILE P_ALL P_PGID P_PID P_PIDFD WEXITED WNOWAIT WSTOPPED "
        "copy_file_range eventfd fdatasync getxattr listxattr memfd_create pidfd_open "
        "posix_fadvise posix_fallocate removexattr sched_getaffinity setns setxattr splice "
        "unshare waitid",
    select: "epoll",
    signal: "pidfd_send_signal sigtimedwait sigwaitinfo",
}}
for module, names in MISSING.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
ctypes.CDLL = lambda name: types.SimpleNamespace()  # neither statx nor prctl
sys.platform = "darwin"

def hide_proc(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc"):
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller.startswith("git_hub_session"):
            raise FileNotFoundError(2, "No such file or directory", arguments[0])

sys.addaudithook(hide_proc)
sys.argv[0] = "git-hub-session"
from git_hub_session.__main__ import command
command()
"""


@pytest.fixture
def mac(hub: Hub) -> Hub:
    """The repository, with the launcher as `git hub-session`."""
    pytest.importorskip("psutil")
    programs = hub.top.parent / "programs"
    programs.mkdir()
    launcher = programs / "git-hub-session"
    launcher.write_text(_LAUNCHER)
    launcher.chmod(0o755)
    environ = {**hub.environ, "PATH": f"{programs}:{hub.environ['PATH']}"}
    return Hub(hub.top, environ, through_git=True)


def test_session(mac: Hub) -> None:
    """A session runs from `init` to `merge`, saves and restores work, and has no findings."""
    run_session(mac)
    assert mac.run("doctor").code == 0
    check_repository(mac)


def test_run(mac: Hub) -> None:
    """`run` with parallel agents, and a time limit that ends one of them."""
    result = mac.run(
        "run", "-q", "--id", "s1", "--task", "t", "--agents", "3", "--yes", "--timeout", "20s",
        "--agent-cmd", "echo ${HUB_AGENT#agent-} >n; test $HUB_AGENT != agent-3 || sleep 600",
        "--eval", "echo n: $(cat n)", "--metric", "n", "--direction", "higher",
        "--baseline", "none",
    )  # fmt: skip
    assert (result.code, (mac.top / "n").read_text()) == (0, "2\n"), result


def test_process_in_a_worktree(mac: Hub) -> None:
    mac.session("s1", agents=1)
    with subprocess.Popen(["sleep", "600"], cwd=mac.worktree(1)) as process:
        wait_until_started(process)
        result = mac.run("cleanup", "s1")
        process.kill()
    assert (result.code, result.err) == (1, "")
    assert f"  in use by process {process.pid} (sleep)\n" in result.out
    assert mac.run("cleanup", "-q", "s1") == Result(0)


def test_trace(mac: Hub, tmp_path: Path) -> None:
    """Without /proc, the trace has the names of files without their directories."""
    trace = tmp_path / "trace"
    words = ("init", "-q", "--id", "s1", "--task", "t")
    assert mac.run(*words, environ={"GIT_HUB_SESSION_TRACE": str(trace)}) == Result(0, "s1\n")
    assert "state.json" in trace.read_text()


def test_process_that_a_command_left(mac: Hub) -> None:
    """A process that has left the process group is ended too, although there are no pidfds."""
    assert mac.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1").code == 0
    assert mac.run("spawn", "-q", "s1") == Result(0)
    script = (
        "setsid sleep 600 >/dev/null 2>&1 & until grep -q sleep /proc/$!/comm; do sleep 0.01; done"
    )
    result = mac.run("exec", "s1", "--", "sh", "-c", script)
    left = "warning: agent-1 left 1 process running: sleep (ended)\n"
    assert (result.code, result.err) == (0, left)
    assert mac.run("cleanup", "-q", "s1") == Result(0)


# The short options that the programs of macOS have.
_OPTIONS = {
    "basename": "", "cat": "u", "chmod": "fR", "cp": "fHiLnPpRv", "cut": "bcdfns", "date": "jnru",
    "dirname": "", "du": "Hhks", "env": "iu", "find": "", "grep": "cEeFfhilnoqsvwx", "head": "cn",
    "id": "Ggnru", "ln": "fFhiLnPsv", "ls": "1AadFilnRrt", "mkdir": "mpv", "mktemp": "dqtu",
    "mv": "finv", "ps": "Aaefgloptux", "readlink": "n", "realpath": "q", "rm": "dfiRrv",
    "sed": "Een", "sort": "bcdfikmnorstu", "stat": "", "tail": "cfnr", "tee": "ai", "touch": "acmrt",
    "tr": "Ccdsu", "uname": "amnprsv", "uniq": "cdu", "wc": "clmw", "xargs": "0InPprt",
}  # fmt: skip
# far.sh tries another way if one of these fails. docs/installing.md names the last one.
_KNOWN = [
    ("far.sh", "env", "--default-signal"),
    ("far.sh", "mv", "-T"),
    ("git-hub-session", "readlink", "-f"),
]


def test_scripts_use_no_option_of_gnu() -> None:
    """Each script of the package, and the launcher, calls other programs with options of macOS."""
    scripts = [*(CHECKOUT / "git_hub_session").rglob("*.sh"), CHECKOUT / "bin" / "git-hub-session"]
    assert len(scripts) >= 7
    call = re.compile(rf"(?<![\w.-])({'|'.join(_OPTIONS)})((?: +--?\w[\w-]*)+)")
    found = set()
    for script in scripts:
        text = re.sub(r"^\s*#.*", "", script.read_text(), flags=re.MULTILINE)
        for name, options in call.findall(text):
            for option in options.split():
                if option.startswith("--") or set(option[1:]) - {*_OPTIONS[name]}:
                    found.add((script.name, name, option))
    assert sorted(found) == _KNOWN
