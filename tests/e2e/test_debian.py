"""The Debian package: build it, check it, and use it in a clean Debian.

A test is skipped if its tools are not installed, if it may not mount, or without network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from git_hub_session import __version__
from tests.support.hub import CHECKOUT

pytestmark = pytest.mark.slow

_BUILD_PACKAGES = ("debhelper", "dh-python", "pybuild-plugin-pyproject", "python3-hatchling")
# No variable of the user's Python or git changes the build.
_ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
_NETWORK = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}

# The commands in the clean Debian, after the installation.
_USE = """\
set -eu
cd /root
git config --global user.name ada
git config --global user.email ada@example.org
git hub-session --version
git hub-session demo >/tmp/demo
git help hub-session | head -n 1 | cut -d ' ' -f 1
test -f "$(git hub-session guide --plugin)/.claude-plugin/plugin.json"
test -f /usr/share/zsh/vendor-completions/_git-hub-session
git init -q --bare -b main /tmp/remote.git
git clone -q /tmp/remote.git /tmp/first 2>/dev/null
cd /tmp/first
git commit -q --allow-empty -m start
git push -q origin HEAD
git hub-session init -q --id s1 --agents 1 --task work >/tmp/id
git hub-session push -q s1
git clone -q /tmp/remote.git /tmp/second
cd /tmp/second
git hub-session fetch -q
git hub-session list --format=porcelain | grep session_id
"""
# man keeps the formatted page in its own cache.
_FIND = (
    "find / -xdev ( -name *git-hub-session* -o -name *git_hub_session* ) "
    "-not -path /tmp/* -not -path /var/cache/man/*"
)


def build(target: Path, **variables: str) -> Path:
    """Build the package into `target`. Skip the test if Debian's tools are not installed."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}\n", *_BUILD_PACKAGES]
    if shutil.which("dpkg-query") is None:
        pytest.skip("dpkg is not installed")
    found = subprocess.run(query, capture_output=True, text=True).stdout.split()
    if found != ["installed"] * len(_BUILD_PACKAGES):
        pytest.skip(f"a package is not installed: {' '.join(_BUILD_PACKAGES)}")
    done = subprocess.run(
        ["make", "-s", "-C", CHECKOUT, "deb", f"DIST={target}"],
        env={**_ENVIRON, **variables}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [package] = target.iterdir()
    return package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, with a fixed time."""
    return build(tmp_path_factory.mktemp("deb") / "dist", SOURCE_DATE_EPOCH="1700000000")


def test_fields(package: Path) -> None:
    """Debian's libraries are enough: the package has no copy of a library."""
    assert package.name == f"git-hub-session_{__version__}_all.deb"
    fields = ("Version", "Architecture", "Depends")
    found = subprocess.run(
        ["dpkg-deb", "--field", package, *fields], capture_output=True, text=True, check=True
    ).stdout
    assert found.splitlines() == [
        f"Version: {__version__}",
        "Architecture: all",
        "Depends: git (>= 1:2.38), python3-pygit2 (>= 1.11.1), python3-yaml (>= 6.0), python3:any (>= 3.11~)",
    ]


def test_files(package: Path) -> None:
    """The manual page, the files for the three shells, the schemas and the plugin are inside."""
    words = ["dpkg-deb", "--contents", str(package)]
    listing = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    files = {line.split()[5].removeprefix(".") for line in listing.splitlines() if line[0] == "-"}
    library = "/usr/lib/python3/dist-packages/git_hub_session"
    assert {
        "/usr/bin/git-hub-session",
        "/usr/share/man/man1/git-hub-session.1.gz",
        "/usr/share/bash-completion/completions/git-hub-session",
        "/usr/share/zsh/vendor-completions/_git-hub-session",
        "/usr/share/fish/vendor_conf.d/git-hub-session.fish",
        f"{library}/py.typed",
        *(
            f"{library}/{path.relative_to(CHECKOUT / 'git_hub_session')}"
            for name in ("schemas/*.json", "plugin/**/*.*", "hooks/*.sh")
            for path in (CHECKOUT / "git_hub_session").glob(name)
            if path.is_file()
        ),
    } - files == set()


def test_two_builds_have_the_same_bytes(package: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "dist", SOURCE_DATE_EPOCH="1700000000")
    assert other.read_bytes() == package.read_bytes()


def test_lintian_finds_no_error(package: Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    done = subprocess.run(
        ["lintian", "--fail-on", "error", package], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def run_in(root: Path, *words: str) -> str:
    """Run a command in the clean Debian, with /proc, and return its output."""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', root, *words],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
             "DEBIAN_FRONTEND": "noninteractive", **_NETWORK},
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_install_use_and_remove(package: Path, tmp_path: Path) -> None:
    """In a clean Debian, apt installs what the package needs, and removes each of its files."""
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        pytest.skip("needs debootstrap and root")
    root = tmp_path / "root"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=man-db", "bookworm", root],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"cannot create a clean Debian: {made.stdout[-200:]}")
    shutil.copy(package, root / "tmp")
    run_in(
        root, "apt-get", "-qq", "install", "-y", "--no-install-recommends", f"/tmp/{package.name}"
    )
    used = run_in(root, "sh", "-c", _USE)
    assert used.splitlines() == [
        f"git-hub-session version {__version__}",
        "GIT-HUB-SESSION(1)",
        "session_id s1",
    ]
    assert "\nprimes      merged" in (root / "tmp" / "demo").read_text()
    assert "/usr/bin/git-hub-session\n" in run_in(root, *_FIND.split())
    run_in(root, "apt-get", "-qq", "purge", "-y", "git-hub-session")
    assert run_in(root, *_FIND.split()) == ""
