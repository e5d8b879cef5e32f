"""Files and directories of a worktree that no process uses, but the system itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cleanup import everything, kept, removed, saved
from tests.support.hints import type_hint, types
from tests.support.hub import Hub

MIB = 1 << 20


def run(*command: str | Path) -> str:
    """Run a command of root, or skip the test."""
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"needs {error.filename}")
    if result.returncode:
        pytest.skip(f"not possible here: {result.stderr.strip()}")
    return result.stdout.strip()


@contextmanager
def undone(*command: str | Path) -> Iterator[None]:
    """Run a command at the end, which may fail."""
    try:
        yield
    finally:
        subprocess.run(command, capture_output=True)


def assert_kept(hub: Hub, worktree: Path, message: str, hint: str) -> None:
    before = everything(hub)
    assert hub.run("cleanup", "-n", "s1").code == 1
    for option in ("--force", "--discard"):
        assert hub.run("cleanup", option, "s1") == kept(worktree, message, hint)
    assert everything(hub) == before


@types("{}losetup -d {}")
def test_disk_image_of_a_loop_device(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    image = worktree / "disk image"
    image.write_bytes(bytes(MIB))
    device = run("losetup", "--find", "--show", image)
    with undone("losetup", "-d", device):
        hint = f"losetup -d {device}"
        assert_kept(hub, worktree, f"cannot delete '{image}': '{device}' uses it", hint)
        Path(device).write_bytes(b"late")
        type_hint(hub, hint)
        assert hub.run("cleanup", "s1") == saved(worktree)


@types("{}swapoff {}")
def test_swap_space(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    file = worktree / "swap"
    file.write_bytes(bytes(MIB))
    file.chmod(0o600)
    run("mkswap", file)
    run("swapon", file)
    with undone("swapoff", file):
        assert_kept(hub, worktree, f"cannot delete '{file}': it is swap space", f"swapoff {file}")
        type_hint(hub, f"swapoff {file}")
        assert hub.run("cleanup", "s1") == saved(worktree)


@types("{}umount {}")
@pytest.mark.parametrize("option", ["lowerdir", "upperdir"])
def test_layer_of_an_overlay(hub: Hub, tmp_path: Path, option: str) -> None:
    """Files that are written in the overlay would be lost."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (tmp_path / "a:b").mkdir()
    for name in ("point", "other", "work"):
        (tmp_path / "a:b" / name).mkdir()
    work = worktree.parent / "work"
    work.mkdir()
    top = str(tmp_path / "a:b").replace(":", "\\:")
    point = tmp_path / "a:b" / "point"
    layers = {"lowerdir": f"{top}/other", "upperdir": f"{top}/other", "workdir": f"{top}/work"}
    layers |= {option: str(worktree)} | ({"workdir": str(work)} if option == "upperdir" else {})
    layers["upperdir"] = layers["upperdir"].replace("\\", "")
    layers["workdir"] = layers["workdir"].replace("\\", "")
    options = ",".join("=".join(item) for item in layers.items())
    run("mount", "-t", "overlay", "overlay", "-o", options, point)
    with undone("umount", "--lazy", point):
        message = f"cannot delete '{worktree}': the overlay file system at '{point}' uses it"
        assert_kept(hub, worktree, message, f"umount {point}")
        type_hint(hub, f"umount {point}")
        assert hub.run("cleanup", "s1") == removed(worktree)
