"""The kinds of uncommitted changes that a worktree can have."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.support.hub import Hub

Dirt = Callable[[Hub, Path], object]


def furnished(hub: Hub) -> Path:
    """A session with one worktree that has a file of each sort committed."""
    hub.session("s1", agents=1)
    where = hub.worktree(1)
    (where / "program").write_text("#!/bin/sh\n")
    (where / "program").chmod(0o755)
    (where / "link").symlink_to("file")
    (where / "binary").write_bytes(bytes(range(256)) * 4)
    (where / "empty").write_bytes(b"")
    (where / "dir").mkdir()
    for name in ("one", "two", "three"):
        (where / "dir" / name).write_text(f"{name}\n" * 20)
    hub.git("add", ".", cwd=where)
    hub.git("commit", "-q", "-m", "furnish", cwd=where)
    return where


def staged(hub: Hub, where: Path) -> None:
    (where / "file").write_text("staged\n")
    (where / "added").write_text("added\n")
    hub.git("add", ".", cwd=where)


def unstaged(hub: Hub, where: Path) -> None:
    (where / "file").write_text("unstaged\n")


def untracked(hub: Hub, where: Path) -> None:
    (where / "new").write_text("new\n")
    (where / "deep" / "er").mkdir(parents=True)
    (where / "deep" / "er" / "new").write_text("deep\n")


def staged_and_unstaged_in_one_file(hub: Hub, where: Path) -> None:
    (where / "file").write_text("staged\n")
    hub.git("add", "file", cwd=where)
    (where / "file").write_text("and more\n")


def staged_then_undone(hub: Hub, where: Path) -> None:
    """The index differs from HEAD, the file does not."""
    before = (where / "file").read_text()
    (where / "file").write_text("staged\n")
    hub.git("add", "file", cwd=where)
    (where / "file").write_text(before)


def deleted(hub: Hub, where: Path) -> None:
    (where / "file").unlink()
    hub.git("rm", "-q", "dir/one", cwd=where)


def all_deleted(hub: Hub, where: Path) -> None:
    hub.git("rm", "-q", "-r", ".", cwd=where)


def added_then_deleted(hub: Hub, where: Path) -> None:
    (where / "added").write_text("added\n")
    hub.git("add", "added", cwd=where)
    (where / "added").unlink()


def removed_from_the_index_only(hub: Hub, where: Path) -> None:
    hub.git("rm", "-q", "--cached", "dir/one", cwd=where)


def removed_from_the_index_then_edited(hub: Hub, where: Path) -> None:
    hub.git("rm", "-q", "--cached", "dir/one", cwd=where)
    (where / "dir" / "one").write_text("edited\n")


def modes(hub: Hub, where: Path) -> None:
    (where / "program").chmod(0o644)
    (where / "file").chmod(0o755)
    hub.git("add", "file", cwd=where)


def symlinks(hub: Hub, where: Path) -> None:
    (where / "link").unlink()
    (where / "link").symlink_to("dir/two")
    (where / "dangling").symlink_to("/nonexistent")
    (where / "staged-link").symlink_to("dir")
    hub.git("add", "staged-link", cwd=where)


def link_becomes_a_file(hub: Hub, where: Path) -> None:
    (where / "link").unlink()
    (where / "link").write_text("a file now\n")


def file_becomes_a_link(hub: Hub, where: Path) -> None:
    (where / "file").unlink()
    (where / "file").symlink_to("dir/one")


def file_becomes_a_link_staged(hub: Hub, where: Path) -> None:
    file_becomes_a_link(hub, where)
    hub.git("add", ".", cwd=where)


def directory_becomes_a_link(hub: Hub, where: Path) -> None:
    """What is tracked below it must not be read through the link."""
    elsewhere = where.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "one").write_text("not ours\n")
    hub.git("rm", "-q", "-r", "--cached", "dir", cwd=where)
    hub.git("reset", "-q", cwd=where)
    for name in ("one", "two", "three"):
        (where / "dir" / name).unlink()
    (where / "dir").rmdir()
    (where / "dir").symlink_to(elsewhere)


def directory_becomes_a_file(hub: Hub, where: Path) -> None:
    for name in ("one", "two", "three"):
        (where / "dir" / name).unlink()
    (where / "dir").rmdir()
    (where / "dir").write_text("a file now\n")


def directory_becomes_a_file_staged(hub: Hub, where: Path) -> None:
    directory_becomes_a_file(hub, where)
    hub.git("add", "-A", cwd=where)


def file_becomes_a_directory(hub: Hub, where: Path) -> None:
    (where / "file").unlink()
    (where / "file").mkdir()
    (where / "file" / "inside").write_text("inside\n")


def file_becomes_a_directory_staged(hub: Hub, where: Path) -> None:
    file_becomes_a_directory(hub, where)
    hub.git("add", "-A", cwd=where)


def renamed(hub: Hub, where: Path) -> None:
    hub.git("mv", "dir/one", "dir/uno", cwd=where)
    (where / "dir" / "uno").write_text("one\n" * 20 + "more\n")
    (where / "dir" / "two").rename(where / "dir" / "due")


def binary(hub: Hub, where: Path) -> None:
    (where / "binary").write_bytes(bytes(reversed(range(256))) * 4)
    (where / "staged.bin").write_bytes(b"\0\xff" * 500)
    hub.git("add", "staged.bin", cwd=where)
    (where / "untracked.bin").write_bytes(b"\0\xfe" * 500)


def odd_names(hub: Hub, where: Path) -> None:
    for name in (
        b"b\xff\xfe",
        b"new\nline",
        b'quo"te',
        b"-n",
        b"back\\slash",
        b"sp ace ",
        b"\x1b[2J",
    ):
        for prefix in (b"", b"staged-"):
            (where / os.fsdecode(prefix + name)).write_bytes(prefix + name)
    hub.git("add", "--", "staged-*", cwd=where)
    hub.git("mv", "file", os.fsdecode(b"moved\xff\n"), cwd=where)


def empty_files(hub: Hub, where: Path) -> None:
    (where / "file").write_bytes(b"")
    (where / "staged").write_bytes(b"")
    hub.git("add", "staged", cwd=where)
    (where / "untracked").write_bytes(b"")


def file_and_untracked_of_the_same_content(hub: Hub, where: Path) -> None:
    (where / "copy").write_bytes((where / "file").read_bytes())


def told_not_to_show_untracked(hub: Hub, where: Path) -> None:
    hub.git("config", "status.showUntrackedFiles", "no")
    untracked(hub, where)


def file_modes_off(hub: Hub, where: Path) -> None:
    hub.git("config", "core.fileMode", "false")
    (where / "file").chmod(0o755)
    hub.git("update-index", "--chmod=-x", "program", cwd=where)
    (where / "file").write_text("changed\n")


def index_version_4(hub: Hub, where: Path) -> None:
    hub.git("update-index", "--index-version", "4", cwd=where)
    staged_and_unstaged_in_one_file(hub, where)
    untracked(hub, where)


def split_index(hub: Hub, where: Path) -> None:
    hub.git("update-index", "--split-index", cwd=where)
    staged_and_unstaged_in_one_file(hub, where)
    (where / "dir" / "one").write_text("unstaged\n")
    untracked(hub, where)


def untracked_cache(hub: Hub, where: Path) -> None:
    hub.git("update-index", "--force-untracked-cache", cwd=where)
    hub.git("status", cwd=where)
    untracked(hub, where)


KINDS: list[Dirt] = [
    staged,
    unstaged,
    untracked,
    staged_and_unstaged_in_one_file,
    staged_then_undone,
    deleted,
    all_deleted,
    added_then_deleted,
    removed_from_the_index_only,
    removed_from_the_index_then_edited,
    modes,
    symlinks,
    link_becomes_a_file,
    file_becomes_a_link,
    file_becomes_a_link_staged,
    directory_becomes_a_link,
    directory_becomes_a_file,
    directory_becomes_a_file_staged,
    file_becomes_a_directory,
    file_becomes_a_directory_staged,
    renamed,
    binary,
    odd_names,
    empty_files,
    file_and_untracked_of_the_same_content,
    told_not_to_show_untracked,
    file_modes_off,
    index_version_4,
    split_index,
    untracked_cache,
]


def large_files(hub: Hub) -> tuple[str, str]:
    """Filters that keep content aside and commit a pointer, as LFS does."""
    store = hub.top.parent / "large"
    store.mkdir()
    script = hub.top.parent / "pointer"
    script.write_text(
        "#!/bin/sh\nset -e\n"
        f"if test $1 = clean; then cat >{store}/tmp.$$; sum=$(md5sum <{store}/tmp.$$); "
        f'sum=${{sum%% *}}; mv {store}/tmp.$$ {store}/$sum; echo "pointer $sum"; '
        f"else read word sum; cat {store}/$sum; fi\n"
    )
    script.chmod(0o755)
    return f"{script} clean", f"{script} smudge"
