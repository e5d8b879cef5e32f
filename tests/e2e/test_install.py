"""Every way to install the command. A test that cannot download packages is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.hints import follow_hint, types
from tests.support.hub import CHECKOUT, COMMAND, PYTHON, Hub, Result, snapshot
from tests.support.interrupt import LONG

# The caches of earlier downloads. The home directory of the tests is empty.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
_NETWORK = ("PIP_", "UV_", "SSL_", "HTTP", "http", "REQUESTS_", "ALL_PROXY", "NO_PROXY", "no_proxy")
_OFFLINE = (
    "No matching distribution found",
    "Temporary failure in name resolution",
    "error sending request",
    "Failed to fetch",
    "dns error",
    "No solution found",
)
_PYENV = Path.home() / ".pyenv" / "versions"
INSTALL_HINT = "install git hub-session and its libraries with 'make install' or pip"


# `bin/git-hub-session` runs the python3 on PATH if the checkout has no .venv.
_INTERPRETER = Path(PYTHON).parent


def system(environ: Mapping[str, str], *programs: Path) -> dict[str, str]:
    """Return the environment without the tests' own command; `programs` come first on PATH."""
    path = [
        *map(str, programs),
        *(
            entry
            for entry in environ["PATH"].split(":")
            if not Path(entry, "git-hub-session").exists()
        ),
    ]
    return {**environ, "PATH": ":".join(path)}


def run_online(hub: Hub, *words: str | Path, **variables: str) -> str:
    """Return the output of a command that downloads. Skip the test if there is no network."""
    network = {name: value for name, value in os.environ.items() if name.startswith(_NETWORK)}
    caches = {"PIP_CACHE_DIR": str(_CACHE / "pip"), "UV_CACHE_DIR": str(_CACHE / "uv")}
    process = subprocess.run(
        [os.fspath(word) for word in words], cwd=CHECKOUT, text=True, capture_output=True,
        env={**system(hub.environ), **network, **caches, **variables},
    )  # fmt: skip
    output = process.stdout + process.stderr
    if process.returncode and any(sign in output for sign in _OFFLINE):
        pytest.skip(f"cannot download: {output.strip().splitlines()[-1]}")
    assert process.returncode == 0, output
    return process.stdout


def title_of_help(hub: Hub, environ: Mapping[str, str]) -> str:
    """Return the first word of `git help hub-session`."""
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    result = hub.call("git", "help", "hub-session", environ={**environ, "MANWIDTH": "80"})
    assert result.code == 0, result
    return result.out.split()[0]


def run_session(hub: Hub, environ: Mapping[str, str], sid: str) -> None:
    """Run a session from init to merge with the installed command, so that it loads all libraries."""

    def run(*words: str) -> Result:
        return hub.call("git", "hub-session", *words, environ=environ)

    # PyYAML reads a task that AgentHub would write in another form.
    assert run("init", "-q", "--id", sid, "--task", 'say: "it\'s" # so') == Result(0, f"{sid}\n")
    path = hub.spawn(sid, 1)
    hub.commit(path, sid, "committed\n")
    (path / "new").write_text("work\n")
    assert run("update", sid, "--state", "running").code == 0
    listed = run("list", "--state", "running")
    assert listed.out.splitlines()[1].endswith('say: "it\'s" # so')
    assert f"hub/{sid}/agent-1/attempt-1" in run("status", sid).out
    cleaned = run("cleanup", sid)
    assert (cleaned.code, cleaned.err) == (0, ""), cleaned
    assert cleaned.out.endswith(f"Cleaned up 1 worktree for session {sid}\n")
    assert hub.git("show", f"refs/hub/rescue/{sid}/agent-1/attempt-1/1^3:new") == "work"
    assert run("update", "-q", sid, "--state", "evaluating") == Result(0)
    assert run("merge", "-q", "--yes", "--agent", "1", sid) == Result(0)
    assert (hub.top / sid).read_text() == "committed\n"


def test_from_the_checkout_through_a_link(hub: Hub, tmp_path: Path) -> None:
    """A symbolic link on PATH finds the checkout, also through another link."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / "link").symlink_to(COMMAND)
    (programs / "git-hub-session").symlink_to("../link")
    run_session(hub, system(hub.environ, programs, _INTERPRETER), "s1")
    directory = tmp_path / "linked-directory"
    directory.symlink_to(COMMAND.parent)
    listed = hub.call(
        "git", "hub-session", "list", environ=system(hub.environ, directory, _INTERPRETER)
    )
    assert listed == hub.run("list")


def test_hostile_modules_are_not_imported(hub: Hub, tmp_path: Path) -> None:
    """No module comes from the current directory, PYTHONPATH, PYTHONSTARTUP or the user site."""
    hub.session("s1", task='say: "it\'s"')
    expected = hub.run("status", "s1")
    trap = f"open({str(tmp_path / 'trapped')!r}, 'w')\n"
    for name in ("json", "yaml", "pygit2", "os", "re", "signal", "enum", "sitecustomize"):
        (hub.top / f"{name}.py").write_text(trap)
    (hub.top / "git_hub_session").mkdir()
    (hub.top / "git_hub_session" / "__init__.py").write_text(trap)
    hostile = {"PYTHONPATH": str(hub.top), "PYTHONSTARTUP": str(hub.top / "json.py")}
    for environ in ({}, hostile, {"PYTHONHOME": "/nowhere"}):
        variables = {**system(hub.environ, COMMAND.parent, _INTERPRETER), **environ}
        assert hub.call("git", "hub-session", "status", "s1", environ=variables) == expected
    assert not (tmp_path / "trapped").exists()


@pytest.fixture
def read_only_checkout(tmp_path: Path) -> Path:
    """A read-only copy of the checkout."""
    copy = tmp_path / "checkout"
    for name in ("bin", "git_hub_session"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for directory, _, files in os.walk(copy, topdown=False):
        for name in [*files, "."]:
            os.chmod(Path(directory, name), 0o555)
    return copy


@types(INSTALL_HINT)
def test_read_only_checkout_without_libraries(hub: Hub, read_only_checkout: Path) -> None:
    """A command without libraries works, another names the missing one. Nothing is written."""
    hub.session("s1")
    programs = hub.top.parent / "interpreter"
    hub.call(PYTHON, "-m", "venv", "--without-pip", programs)
    environ = system(hub.environ, read_only_checkout / "bin", programs / "bin")
    before = snapshot(read_only_checkout)

    def run(*words: str) -> Result:
        return hub.call("git", "hub-session", *words, environ=environ)

    assert run("list") == hub.run("list")
    assert run("update", "s1", "--state", "running").code == 0
    assert run("status", "s1") == Result(
        128,
        "",
        f"fatal: cannot load 'pygit2' with '{programs}/bin/python3'\nhint: {INSTALL_HINT}\n",
    )
    [own_libraries] = (programs / "lib").glob("python3*/site-packages")
    (own_libraries / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    assert run("status", "s1").code == 0
    follow_hint(INSTALL_HINT)
    if os.geteuid() != 0:  # root may write, so that Python caches its bytecode
        assert snapshot(read_only_checkout) == before


def test_python_that_is_too_old(hub: Hub) -> None:
    """The command and make print a clear error."""
    old = next((path for path in _PYENV.glob("3.[6-9].*/bin/python3")), None)
    old = old or next((path for path in _PYENV.glob("3.10.*/bin/python3")), None)
    if old is None:
        pytest.skip("no older Python is installed")
    programs = hub.top.parent / "old"
    programs.mkdir()
    (programs / "python3").symlink_to(old)
    (programs / "git-hub-session").write_text(
        COMMAND.read_text().replace("/.venv/bin/python", "/nowhere")
    )
    (programs / "git-hub-session").chmod(0o755)
    result = hub.run("list", environ=system(hub.environ, programs))
    assert (result.code, result.out) == (128, "")
    assert result.err.startswith("fatal: git hub-session needs Python 3.11 or later, not 3.")
    result = hub.call("make", "-s", "-C", CHECKOUT, "install", f"PYTHON={old}", "prefix=/nowhere")
    assert result.code == 2
    assert result.err.startswith("git hub-session needs Python 3.11 or later: make PYTHON=")


def test_make_install(hub: Hub, tmp_path: Path) -> None:
    """The installation works after DESTDIR and a move, has a manual, and is removed completely."""
    stage, prefix = tmp_path / "stage", tmp_path / "a prefix"
    run_online(
        hub, "make", "-s", "install", f"DESTDIR={stage}", f"prefix={prefix}", f"PYTHON={PYTHON}"
    )
    assert not prefix.exists()
    os.rename(f"{stage}{prefix}", prefix)
    files = {os.path.relpath(path, prefix) for path in prefix.rglob("*") if path.is_file()}
    assert {name for name in files if not name.startswith("lib/git-hub-session/")} == {
        "bin/git-hub-session",
        "share/man/man1/git-hub-session.1",
        "share/bash-completion/completions/git-hub-session",
        "share/zsh/site-functions/_git-hub-session",
        "share/fish/vendor_conf.d/git-hub-session.fish",
    }
    environ = system(hub.environ, prefix / "bin")
    run_session(hub, environ, "s1")
    # The installation uses neither the package nor the Python of the checkout.
    launcher = (prefix / "bin" / "git-hub-session").read_text()
    assert str(CHECKOUT) not in launcher
    usage = hub.call("git", "hub-session", "-h", environ=environ)
    assert usage == hub.run("-h")
    assert title_of_help(hub, environ) == "GIT-HUB-SESSION(1)"
    assert hub.call("git", "hub-session", "--help", environ=environ).code == 0
    others = hub.call("git", "--list-cmds=others", environ=environ)
    assert "hub-session" in others.out.split()
    # A failed installation does not change the previous one.
    environ = {"PIP_NO_INDEX": "1"}
    words = ("make", "-s", "-C", CHECKOUT, "install", f"prefix={prefix}", f"PYTHON={PYTHON}")
    assert hub.call(*words, environ=environ).code != 0
    assert {os.path.relpath(path, prefix) for path in prefix.rglob("*") if path.is_file()} == files
    hub.call("make", "-s", "-C", CHECKOUT, "uninstall", f"prefix={prefix}")
    assert [path for path in prefix.rglob("*") if not path.is_dir()] == []
    assert not (prefix / "lib" / "git-hub-session").exists()


def interpreter(version: str) -> Path:
    """Return a Python of this version. Skip the test if there is none."""
    paths = [*_PYENV.glob(f"{version}.*/bin/python{version}")]
    on_path = shutil.which(f"python{version}")
    if not paths and not on_path:
        pytest.skip(f"Python {version} is not installed")
    return paths[0] if paths else Path(str(on_path))


THIS_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"] if LONG else [THIS_VERSION])
def test_pip_install(hub: Hub, tmp_path: Path, version: str) -> None:
    """`pip install .` installs the command, its libraries and the manual.

    The long form installs them for each supported Python.
    """
    venv = tmp_path / "venv"
    hub.call(interpreter(version), "-m", "venv", "--without-pip", venv)
    pip = (PYTHON, "-m", "pip", "--quiet")
    source = CHECKOUT
    # The other versions get the same wheel. Build it without isolation, which is faster.
    if version != THIS_VERSION:
        run_online(
            hub, *pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, CHECKOUT
        )
        source = next(tmp_path.glob("*.whl"))
    run_online(hub, *pip, "--python", venv / "bin" / "python", "install", "--no-compile", source)
    environ = system(hub.environ, venv / "bin")
    run_session(hub, environ, "s1")
    assert title_of_help(hub, environ) == "GIT-HUB-SESSION(1)"
    typed = venv / "lib" / f"python{version}" / "site-packages" / "git_hub_session" / "py.typed"
    assert typed.is_file()


@pytest.mark.parametrize(
    ("tool", "words", "variables"),
    [
        pytest.param(
            "pipx",
            ["install"],
            ["PIPX_HOME", "PIPX_BIN_DIR", "PIPX_MAN_DIR"],
            marks=pytest.mark.skipif(not LONG, reason="the short form installs with uv"),
        ),
        ("uv", ["tool", "install", "--python", PYTHON], ["UV_TOOL_DIR", "UV_TOOL_BIN_DIR"]),
    ],
    ids=["pipx", "uv"],
)
def test_tool_install(
    hub: Hub, tmp_path: Path, tool: str, words: list[str], variables: list[str]
) -> None:
    """pipx and uv install the command in a bin directory, and the manual in their venv."""
    venv = tmp_path / "venv"
    hub.call(PYTHON, "-m", "venv", "--without-pip", venv)
    python = venv / "bin" / "python"
    run_online(hub, PYTHON, "-m", "pip", "--quiet", "--python", python, "install", tool)
    directories = {name: str(tmp_path / name) for name in variables}
    # pipx and uv get the wheel, which users download. `pip install .` builds it.
    run_online(hub, PYTHON, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    run_online(hub, venv / "bin" / tool, *words, wheel, **directories)
    programs = next(path for name, path in directories.items() if name.endswith("BIN_DIR"))
    run_session(hub, system(hub.environ, Path(programs)), "s1")
    assert [*tmp_path.glob("[PU]*/**/share/man/man1/git-hub-session.1")]
    environ = system(hub.environ, Path(programs))
    plugin = hub.call("git", "hub-session", "guide", "--plugin", environ=environ).out.rstrip()
    assert Path(plugin, ".claude-plugin", "plugin.json").is_file()
    assert not Path(plugin).is_relative_to(CHECKOUT)
