"""The finder of the package finds and loads the same modules as Python's own finder."""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
import sys
import zipfile
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from pkgutil import walk_packages

import pytest

import git_hub_session
from git_hub_session._finder import _Finder
from tests.support.hub import CHECKOUT, PYTHON

RUN = (PYTHON, "-I", "-c", "import sys; sys.path.insert(0, sys.argv.pop(1))\n")
START = "from git_hub_session.__main__ import command\ncommand()\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A directory with a copy of the package, without compiled files."""
    source = CHECKOUT / "git_hub_session"
    no_cache = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, tmp_path / "copy" / "git_hub_session", ignore=no_cache)
    return tmp_path / "copy"


def run(place: Path, *options: str) -> str:
    """Return the list of commands that a copy of the program prints."""
    command = [PYTHON, *options, *RUN[1:3], RUN[3] + START, str(place), "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def change_summary(place: Path) -> tuple[Path, Path]:
    """Change a summary. Keep the size of the file. Return the source and its compiled file."""
    source = place / "git_hub_session" / "commands" / "__init__.py"
    text = source.read_text()
    source.write_text(text.replace("sessions", "SESSIONS", 1))
    compiled = source.parent / "__pycache__" / f"__init__.{sys.implementation.cache_tag}.pyc"
    return source, compiled


def specification(spec: ModuleSpec | None, name: str) -> dict[str, object]:
    """Return the values of a specification, with the source and the code of its module."""
    assert spec is not None
    loader = spec.loader
    assert isinstance(loader, SourceFileLoader)
    names = ("name", "origin", "cached", "parent", "has_location", "submodule_search_locations")
    values = {attribute: getattr(spec, attribute) for attribute in names}
    return {**values, "code": loader.get_code(name), "source": loader.get_source(name)}


def test_modules_are_found_as_by_python() -> None:
    names = [module.name for module in walk_packages(git_hub_session.__path__, "git_hub_session.")]
    assert len(names) > 100
    for name in names:
        path = __import__(name.rpartition(".")[0], fromlist=["__path__"]).__path__
        expected = specification(PathFinder.find_spec(name, path), name)
        assert specification(_Finder().find_spec(name, path), name) == expected


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("git_hub_session.missing", git_hub_session.__path__),
        ("git_hub_session", None),
        ("git_hub_session.errors", None),
        ("json.decoder", __import__("json").__path__),
    ],
)
def test_other_names_are_left_to_python(name: str, path: list[str] | None) -> None:
    assert _Finder().find_spec(name, path) is None


@pytest.mark.parametrize(
    "change",
    [
        "sys.modules['_frozen_importlib_external'] = None",
        "sys.modules['_imp'] = None",
    ],
)
def test_a_python_without_the_private_functions(copy: Path, change: str) -> None:
    lines = f"{RUN[3]}{change}\n{START}"
    command = [*RUN[:3], lines, str(copy), "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("git-hub-session version ")


def test_the_program_installs_the_finder(copy: Path) -> None:
    command = [*RUN[:3], RUN[3] + PROBE, str(copy), "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == "_Loader\n"


PROBE = """\
import os
end = os._exit
def report(status):
    print(type(sys.modules["git_hub_session.main"].__spec__.loader).__name__, file=sys.stderr)
    end(status)
os._exit = report
from git_hub_session.__main__ import command
command()
"""


def test_the_first_run_compiles_the_package_and_the_second_run_uses_it(copy: Path) -> None:
    first = run(copy)
    compiled = copy / "git_hub_session" / "__pycache__" / f"main.{sys.implementation.cache_tag}.pyc"
    before = compiled.stat().st_mtime_ns
    assert run(copy) == first
    assert compiled.stat().st_mtime_ns == before


def test_a_changed_source_is_compiled_again(copy: Path) -> None:
    assert "SESSIONS" not in run(copy)
    source, _ = change_summary(copy)
    os.utime(source, (1_700_000_000, 1_700_000_000))
    assert "SESSIONS" in run(copy)


@pytest.mark.parametrize("content", [b"", b"\xff" * 2_000, b"\0" * 200_000])
def test_a_damaged_compiled_file_is_replaced(copy: Path, content: bytes) -> None:
    run(copy)
    _, compiled = change_summary(copy)
    compiled.write_bytes(content)
    assert "SESSIONS" in run(copy)
    assert compiled.read_bytes() != content


def test_a_compiled_file_with_a_hash_is_left_to_python(copy: Path) -> None:
    source, compiled = change_summary(copy)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), cfile=str(compiled), invalidation_mode=mode)
    source.write_text(source.read_text().replace("SESSIONS", "sessions"))
    assert "SESSIONS" in run(copy)


def test_compiled_files_of_a_moved_package_name_its_new_place(copy: Path) -> None:
    run(copy)
    moved = copy.rename(copy.with_name("moved"))
    code = "from git_hub_session._finder import install_finder; install_finder()\n"
    code += "from git_hub_session import main; print(main.main.__code__.co_filename)"
    result = subprocess.run(
        [*RUN[:3], RUN[3] + code, str(moved)], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"{moved}/git_hub_session/main.py\n"


def test_optimized_code_has_its_own_compiled_files(copy: Path) -> None:
    assert run(copy) == run(copy, "-O")
    name = f"main.{sys.implementation.cache_tag}.opt-1.pyc"
    assert (copy / "git_hub_session" / "__pycache__" / name).exists()


def test_compiled_files_in_another_directory(copy: Path, tmp_path: Path) -> None:
    assert run(copy) == run(copy, "-X", f"pycache_prefix={tmp_path / 'cache'}")
    assert list((tmp_path / "cache").rglob("main.*.pyc"))


def test_a_large_module(copy: Path) -> None:
    with open(copy / "git_hub_session" / "errors.py", "a") as file:
        file.write(f"TEXT = '{'x' * 200_000}'\n")
    assert run(copy) == run(copy)


def test_a_package_in_a_zip_file(copy: Path, tmp_path: Path) -> None:
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in copy.rglob("*.py"):
            file.write(path, path.relative_to(copy))
    assert run(archive) == run(copy)
