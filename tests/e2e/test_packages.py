"""The sdist and the wheel: their files, their metadata, and their bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

from git_hub_session import __version__
from tests.support.hub import CHECKOUT, PYTHON

_NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "build", "dist", ".*_cache", "__pycache__")
_EPOCH = "1700000000"
URL = "https://example.org/ada/git-hub-session"
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


class Packages(NamedTuple):
    """The paths of the two packages."""

    sdist: Path
    wheel: Path


def copy_checkout(target: Path, source: Path = CHECKOUT) -> Path:
    """Copy the checkout without git and without built files."""
    shutil.copytree(source, target, ignore=_NOT_COPIED, symlinks=True)
    return target


def build(source: Path, target: Path, **variables: str) -> Packages:
    """Build the sdist and the wheel of a checkout into `target`."""
    subprocess.run(
        [PYTHON, "-m", "hatchling", "build", "-d", target],
        cwd=source, env={**os.environ, **variables}, check=True, capture_output=True,
    )  # fmt: skip
    name = f"git_hub_session-{__version__}"
    return Packages(target / f"{name}.tar.gz", target / f"{name}-py3-none-any.whl")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """The packages of the checkout."""
    top = tmp_path_factory.mktemp("packages")
    return build(copy_checkout(top / "checkout"), top / "dist", SOURCE_DATE_EPOCH=_EPOCH)


def files_of_wheel(wheel: Path) -> dict[str, bytes]:
    """Return {the path of each file in a wheel: its content}."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def metadata(wheel: Path) -> Message:
    """Return the metadata of a wheel, with the readme as the body."""
    files = files_of_wheel(wheel)
    return message_from_bytes(files[f"git_hub_session-{__version__}.dist-info/METADATA"])


def readme_of(message: Message) -> str:
    """Return the readme in the metadata."""
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def test_two_builds_have_the_same_bytes(packages: Packages, tmp_path: Path) -> None:
    """The directory, the times and the permissions of the files, and the umask do not count."""
    other = copy_checkout(tmp_path / "another directory")
    for path in other.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (1, 1))
            path.chmod(0o700 if path.is_dir() or os.access(path, os.X_OK) else 0o600)
    built = build(other, tmp_path / "dist", SOURCE_DATE_EPOCH=_EPOCH)
    for path, other_path in zip(packages, built, strict=True):
        assert path.read_bytes() == other_path.read_bytes(), path.name


def test_wheel_of_the_sdist(packages: Packages, tmp_path: Path) -> None:
    """The sdist has everything that the wheel needs, and the tests and documents."""
    with tarfile.open(packages.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.iterdir()
    for name in ("tests/support/hub.py", "docs/decisions.md", "man/git-hub-session.1", ".ci/run",
                 "CONTRIBUTING.md", "packaging/pypi/metadata_hook.py"):  # fmt: skip
        assert (source / name).read_bytes() == (CHECKOUT / name).read_bytes()
    built = build(source, tmp_path / "dist", SOURCE_DATE_EPOCH=_EPOCH)
    assert built.wheel.read_bytes() == packages.wheel.read_bytes()


def test_files_of_the_wheel(packages: Packages) -> None:
    """The wheel has the package, and in share the files that man and the shells look for."""
    files = files_of_wheel(packages.wheel)
    data = f"git_hub_session-{__version__}.data/data/"
    completion = "git_hub_session/completion"
    shared = {
        "share/man/man1/git-hub-session.1": "man/git-hub-session.1",
        "share/bash-completion/completions/git-hub-session": f"{completion}/bash.sh",
        "share/zsh/site-functions/_git-hub-session": f"{completion}/zsh.zsh",
        "share/fish/vendor_conf.d/git-hub-session.fish": f"{completion}/fish.fish",
    }
    found = {name.removeprefix(data) for name in files if name.startswith(data)}
    assert found == {*shared}
    for name, source in shared.items():
        assert files[data + name] == (CHECKOUT / source).read_bytes()
    package = CHECKOUT / "git_hub_session"
    expected = {
        str(path.relative_to(CHECKOUT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in files if name.startswith("git_hub_session/")} == expected
    assert "git_hub_session/plugin/.claude-plugin/plugin.json" in expected


def test_checkers_find_nothing(packages: Packages) -> None:
    """`twine check --strict` renders the readme, and check-wheel-contents knows usual mistakes."""
    scripts = Path(sysconfig.get_path("scripts"))
    for words in (
        ("twine", "check", "--strict", *map(str, packages)),
        ("check-wheel-contents", str(packages.wheel)),
    ):
        done = subprocess.run(
            [str(scripts / words[0]), *words[1:]], cwd=CHECKOUT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_metadata_without_a_url(packages: Packages) -> None:
    """Without a url there are no links, and no link of the readme leads nowhere."""
    found = metadata(packages.wheel)
    assert (found["Name"], found["Version"]) == ("git-hub-session", __version__)
    assert found["License-Expression"] == "MIT"
    assert found["Description-Content-Type"] == "text/markdown"
    readme = readme_of(found)
    if read_url() == "":
        assert found.get_all("Project-URL") is None
        assert LINK.findall(readme) == []
        assert (
            "\n\nTerminal: init, spawn, exec, eval, diff and merge (`docs/pictures/session.svg`)\n"
            in readme
        )
        assert "\n- Manual page (`man/git-hub-session.1`): options" in readme


def test_make_oldest_installs_the_lower_bound_of_each_library() -> None:
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    needed = [*settings["dependencies"], *settings["optional-dependencies"]["watch"]]
    bounds = [tuple(re.split(">=|;", line)[:2]) for line in needed]
    done = subprocess.run(
        ["make", "-n", "-C", CHECKOUT, "oldest"], capture_output=True, text=True, check=True
    )
    assert re.findall(r"\s(\w+)==([\d.]+)", done.stdout) == bounds


def read_url() -> str:
    """Return the address of the repository in pyproject.toml."""
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    return str(settings["tool"]["hatch"]["metadata"]["hooks"]["custom"]["url"])


@pytest.mark.parametrize("spelling", [URL, f"{URL}.git", f"{URL}/"])
def test_metadata_with_a_url(tmp_path: Path, spelling: str) -> None:
    """All links come from the url in pyproject.toml, and lead to files that exist."""
    source = copy_checkout(tmp_path / "checkout")
    settings = source / "pyproject.toml"
    text = settings.read_text().replace(f'\nurl = "{read_url()}"\n', f'\nurl = "{spelling}"\n')
    settings.write_text(text)
    found = metadata(build(source, tmp_path / "dist").wheel)
    urls = sorted(found.get_all("Project-URL") or ())
    assert urls == [
        f"Changes, {URL}/blob/HEAD/CHANGELOG.md",
        f"Documentation, {URL}/blob/HEAD/docs/installing.md",
        f"Source, {URL}",
    ]
    readme = readme_of(found)
    links = LINK.findall(readme)
    assert len(links) > 10
    pictures = re.findall(r"!\[.*\]\((.*)\)", readme)
    assert pictures == [f"{URL}/raw/HEAD/docs/pictures/session.svg"]
    for link in [*links, *(url.split(", ")[1] for url in urls)]:
        kind = "raw" if link in pictures else "blob"
        assert link == URL or (CHECKOUT / link.removeprefix(f"{URL}/{kind}/HEAD/")).exists(), link
    assert f"\ngit clone {URL} git-hub-session\n" in readme
    assert "<url>" not in readme


def test_the_readme_names_the_url() -> None:
    """The line that clones the repository has the url of pyproject.toml, or a placeholder."""
    readme = (CHECKOUT / "README.md").read_text()
    assert f"\ngit clone {read_url() or '<url>'} git-hub-session\n" in readme


FORMULA = CHECKOUT / "packaging" / "homebrew" / "git-hub-session.rb"


def test_formula() -> None:
    """The formula for Homebrew has this version, each library, and the files of the wheel."""
    text = FORMULA.read_text()
    archive = f"{read_url() or '<url>'}/archive/refs/tags/v{__version__}.tar.gz"
    assert f'\n  url "{archive}"\n' in text
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    libraries = {re.split("[>;]", line)[0].lower() for line in settings["project"]["dependencies"]}
    resources = set(re.findall(r'^  resource "(.*)" do$', text, re.MULTILINE))
    assert resources | {"pygit2"} == libraries
    data = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert set(re.findall(r'libexec/"(share/.*)"', text)) == {*data.values()}


def test_syntax_of_the_formula() -> None:
    if shutil.which("ruby") is None:
        pytest.skip("ruby is not installed")
    done = subprocess.run(["ruby", "-c", FORMULA], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "Syntax OK\n"), done.stderr
