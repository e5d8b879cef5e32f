"""git hub-session exec --on --bootstrap: install the program on a machine that does not have it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from git_hub_session import __version__
from git_hub_session.executors import wheel
from tests.support.clones import connect
from tests.support.hints import find_hint, follow_hint, types
from tests.support.hub import Hub, Result
from tests.support.remotes import ServedRepository, run_sshd
from tests.support.wheels import pack_libraries
from tests.support.workers import define_executor, finish, published_attempts, start_command

ROOT = Path(__file__).parents[2]
COMMIT = "git-hub-session --version; echo x >work && git add work && git commit -qm work"
_PROGRAMS = (
    "git sh sed cut cat sleep env setsid mkdir mktemp mv rm rmdir ln true wc tail head touch"
)


@pytest.fixture
def first(hub: Hub, served: ServedRepository) -> Hub:
    """Return a clone with a session of one agent."""
    connect(hub, served.url)
    created = hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "1")
    assert created == Result(0, "s1\n")
    return hub


@pytest.fixture
def far_path(tmp_path: Path) -> Path:
    """Return the only directory of programs at the far end: git, the usual programs and Python."""
    programs = tmp_path / "far-bin"
    programs.mkdir()
    for name in _PROGRAMS.split():
        (programs / name).symlink_to(shutil.which(name) or "")
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(os.path.realpath(sys.executable))} "$@"\n')
    python.chmod(0o755)
    return programs


@pytest.fixture
def bare(first: Hub, far_home: Path, far_path: Path) -> Hub:
    """Return the clone with the executor `bare`, which has the programs of far_path."""
    clear = "env -u PYTHONPATH -u PIP_FIND_LINKS"
    define_executor(
        first, "bare", command=f"{clear} HOME={far_home} PATH={far_path} PIP_CONFIG_FILE=/dev/null"
    )
    return first


def execute(hub: Hub, *words: str) -> Result:
    """Run `git hub-session exec` to its end."""
    return finish(start_command(hub, "exec", *words))


def programs(far_home: Path) -> list[str]:
    """Return the kinds of the files in the directory of installed programs."""
    directory = far_home / ".cache" / "git-hub-session" / "programs"
    return sorted("link" if each.is_symlink() else "venv" for each in directory.glob("*"))


def test_the_wheel_has_the_metadata_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [*wheel.REQUIREMENTS] == project["dependencies"]
    assert project["requires-python"] == wheel.REQUIRED_PYTHON
    with zipfile.ZipFile(BytesIO(wheel.make_wheel())) as archive:
        [scripts] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        name, _, value = archive.read(scripts).decode().splitlines()[1].partition(" = ")
        assert {name: value} == project["scripts"]


def test_the_wheel_has_all_files_of_the_package() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "git_hub_session"], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    data = wheel.make_wheel()
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {*tracked} <= {*archive.namelist()}
    assert wheel.make_wheel() == data


@pytest.mark.slow
@types("add --bootstrap, or install it there: pipx install git-hub-session")
def test_ssh_brings_the_program_along(
    first: Hub, served: ServedRepository, far_home: Path, far_path: Path, tmp_path: Path
) -> None:
    """pip at the far end finds the libraries. The second worker and the second call find it."""
    wheels = pack_libraries(tmp_path / "wheels")
    variables = {
        "HOME": far_home,
        "PATH": far_path,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": wheels,
    }
    with run_sshd(tmp_path / "keys", {key: str(each) for key, each in variables.items()}) as host:
        first.environ["GIT_SSH_COMMAND"] = host.command
        words = ("s1", "--", "sh", "-c", COMMIT)
        missing = execute(first, "--on", "ssh:far", *words)
        assert missing.code == 1
        template = "add --bootstrap, or install it there: pipx install git-hub-session"
        follow_hint(find_hint(missing, template))
        assert programs(far_home) == []
        result = execute(first, "--on", "ssh:far*2", "--bootstrap", *words)
        assert result.code == 0, result
        [line] = [each for each in result.err.splitlines() if " installing " in each]
        directory = far_home / ".cache" / "git-hub-session" / "programs"
        start = f"ssh:far: installing git hub-session {__version__} in {directory}/{__version__}."
        assert line.startswith(start)
        assert f"ssh:far: agent-1 | git-hub-session version {__version__}" in result.out
        assert [*published_attempts(served)] == ["agent-1/attempt-1"]
        assert programs(far_home) == ["link", "venv"]
        again = execute(first, "--on", "ssh:far", *words)
        assert (again.code, again.err) == (0, "")
    assert {each.name for each in far_home.iterdir()} == {".cache", ".gitconfig"}


@pytest.mark.slow
@types("set PIP_INDEX_URL or PIP_FIND_LINKS in {} if PyPI cannot be reached there")
def test_a_machine_without_a_network(
    bare: Hub, served: ServedRepository, far_home: Path, tmp_path: Path
) -> None:
    wheels = pack_libraries(tmp_path / "wheels")
    empty = tmp_path / "empty"
    empty.mkdir()
    define_executor(bare, "bare", setup=f"export PIP_NO_INDEX=1 PIP_FIND_LINKS={empty}")
    words = ("--on", "bare", "--bootstrap", "s1", "--", "sh", "-c", COMMIT)
    result = execute(bare, *words)
    assert result.code == 1
    assert "bare: ERROR: No matching distribution found for " in result.err
    assert result.err.splitlines()[-2] == "error: cannot install git hub-session on 'bare'"
    assert programs(far_home) == []
    assert published_attempts(served) == {}
    template = "set PIP_INDEX_URL or PIP_FIND_LINKS in {} if PyPI cannot be reached there"
    hint = find_hint(result, template)
    assert "hubsession.executor.bare.setup" in hint
    define_executor(bare, "bare", setup=f"export PIP_NO_INDEX=1 PIP_FIND_LINKS={wheels}")
    follow_hint(hint)
    again = execute(bare, *words)
    assert again.code == 0, again
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    assert programs(far_home) == ["link", "venv"]


@pytest.mark.slow
def test_a_program_whose_python_is_gone(
    bare: Hub, served: ServedRepository, far_home: Path, tmp_path: Path
) -> None:
    """An update of the system can remove the Python of a venv."""
    wheels = pack_libraries(tmp_path / "wheels")
    define_executor(bare, "bare", setup=f"export PIP_NO_INDEX=1 PIP_FIND_LINKS={wheels}")
    broken = far_home / ".cache" / "git-hub-session" / "programs" / __version__ / "bin"
    broken.mkdir(parents=True)
    (broken.parent.with_name("old")).mkdir()
    broken.rmdir()
    broken.parent.rmdir()
    broken.parent.symlink_to("old")
    result = execute(bare, "--on", "bare", "--bootstrap", "s1", "--", "sh", "-c", COMMIT)
    assert result.code == 0, result
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]


@pytest.mark.slow
def test_another_build_of_the_same_version(
    bare: Hub, served: ServedRepository, far_home: Path, tmp_path: Path
) -> None:
    """Only --bootstrap renews the program. The venv of the old build stays: a worker may use it."""
    wheels = pack_libraries(tmp_path / "wheels")
    define_executor(bare, "bare", setup=f"export PIP_NO_INDEX=1 PIP_FIND_LINKS={wheels}")
    words = ("s1", "--", "sh", "-c", COMMIT)
    assert execute(bare, "--on", "bare", "--bootstrap", *words).code == 0
    link = far_home / ".cache" / "git-hub-session" / "programs" / __version__
    old = os.readlink(link)
    same = execute(bare, "--on", "bare", "--bootstrap", *words)
    assert (same.code, same.err, os.readlink(link)) == (0, "", old)
    assert (link / "build").read_text() == wheel.build_id()
    (link / "build").write_text("another build")
    plain = execute(bare, "--on", "bare", *words)
    assert (plain.code, plain.err, os.readlink(link)) == (0, "", old)
    renewed = execute(bare, "--on", "bare", "--bootstrap", *words)
    assert renewed.code == 0, renewed
    assert " installing git hub-session " in renewed.err
    assert os.readlink(link) != old
    assert (link / "build").read_text() == wheel.build_id()
    assert programs(far_home) == ["link", "venv", "venv"]


def test_the_build_names_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file, a renamed file and a new file are other builds."""
    package = tmp_path / "git_hub_session"
    package.mkdir()
    monkeypatch.setattr(wheel, "_PACKAGE", str(package))
    builds = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.py", "2"), ("c.py", "2")):
        if name == "b.py":
            (package / "a.py").rename(package / "b.py")
        (package / name).write_text(text)
        wheel.build_id.cache_clear()
        builds.add(wheel.build_id())
    wheel.build_id.cache_clear()
    assert len(builds) == 4


@pytest.mark.slow
@types("install Python there with pip and venv: apt install python3-venv")
def test_a_machine_without_python(
    bare: Hub, served: ServedRepository, far_home: Path, far_path: Path
) -> None:
    (far_path / "python3").rename(far_path / "hidden")
    words = ("--on", "bare", "--bootstrap", "s1", "--", "true")
    result = execute(bare, *words)
    assert result.code == 1
    error, hint = result.err.splitlines()
    assert error == "error: 'bare' has no Python 3.11 or later with venv"
    assert [each.name for each in far_home.iterdir()] == [".gitconfig"]
    (far_path / "hidden").rename(far_path / "python3")
    follow_hint(hint.removeprefix("hint: "))
    define_executor(bare, "bare", setup="export PIP_NO_INDEX=1")
    assert "installing git hub-session" in execute(bare, *words).err


@pytest.mark.slow
def test_the_program_is_there(first: Hub, served: ServedRepository) -> None:
    """Nothing is installed."""
    define_executor(first, "bare", command="env")
    result = execute(first, "--on", "bare", "--bootstrap", "s1", "--", "true")
    assert (result.code, result.err) == (0, "")
    assert programs(Path(first.environ["HOME"])) == []
