"""Functions that create each kind of uncommitted change in a worktree."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

from tests.support.hub import Hub

Change = Callable[[Hub, Path], object]


def create_worktree_with_files(hub: Hub) -> Path:
    """Create a session with one worktree, commit a file of each kind, and return the worktree."""
    hub.session("s1", agents=1)
    worktree = hub.worktree(1)
    (worktree / "program").write_text("#!/bin/sh\n")
    (worktree / "program").chmod(0o755)
    (worktree / "link").symlink_to("file")
    (worktree / "binary").write_bytes(bytes(range(256)) * 4)
    (worktree / "empty").write_bytes(b"")
    (worktree / "dir").mkdir()
    for name in ("one", "two", "three"):
        (worktree / "dir" / name).write_text(f"{name}\n" * 20)
    hub.git("add", ".", cwd=worktree)
    hub.git("commit", "-q", "-m", "furnish", cwd=worktree)
    return worktree


def stage_changes(hub: Hub, worktree: Path) -> None:
    (worktree / "file").write_text("staged\n")
    (worktree / "added").write_text("added\n")
    hub.git("add", ".", cwd=worktree)


def change_file(hub: Hub, worktree: Path) -> None:
    (worktree / "file").write_text("unstaged\n")


def create_untracked_files(hub: Hub, worktree: Path) -> None:
    (worktree / "new").write_text("new\n")
    (worktree / "deep" / "er").mkdir(parents=True)
    (worktree / "deep" / "er" / "new").write_text("deep\n")


def stage_and_change_file(hub: Hub, worktree: Path) -> None:
    (worktree / "file").write_text("staged\n")
    hub.git("add", "file", cwd=worktree)
    (worktree / "file").write_text("and more\n")


def stage_and_revert_file(hub: Hub, worktree: Path) -> None:
    """Make the index differ from HEAD, but not the file."""
    before = (worktree / "file").read_text()
    (worktree / "file").write_text("staged\n")
    hub.git("add", "file", cwd=worktree)
    (worktree / "file").write_text(before)


def delete_files(hub: Hub, worktree: Path) -> None:
    (worktree / "file").unlink()
    hub.git("rm", "-q", "dir/one", cwd=worktree)


def delete_all_files(hub: Hub, worktree: Path) -> None:
    hub.git("rm", "-q", "-r", ".", cwd=worktree)


def add_and_delete_file(hub: Hub, worktree: Path) -> None:
    (worktree / "added").write_text("added\n")
    hub.git("add", "added", cwd=worktree)
    (worktree / "added").unlink()


def remove_from_index(hub: Hub, worktree: Path) -> None:
    hub.git("rm", "-q", "--cached", "dir/one", cwd=worktree)


def remove_from_index_and_edit(hub: Hub, worktree: Path) -> None:
    hub.git("rm", "-q", "--cached", "dir/one", cwd=worktree)
    (worktree / "dir" / "one").write_text("edited\n")


def change_modes(hub: Hub, worktree: Path) -> None:
    (worktree / "program").chmod(0o644)
    (worktree / "file").chmod(0o755)
    hub.git("add", "file", cwd=worktree)


def change_symlinks(hub: Hub, worktree: Path) -> None:
    (worktree / "link").unlink()
    (worktree / "link").symlink_to("dir/two")
    (worktree / "dangling").symlink_to("/nonexistent")
    (worktree / "staged-link").symlink_to("dir")
    hub.git("add", "staged-link", cwd=worktree)


def replace_link_with_file(hub: Hub, worktree: Path) -> None:
    (worktree / "link").unlink()
    (worktree / "link").write_text("a file now\n")


def replace_file_with_link(hub: Hub, worktree: Path) -> None:
    (worktree / "file").unlink()
    (worktree / "file").symlink_to("dir/one")


def replace_file_with_link_and_stage(hub: Hub, worktree: Path) -> None:
    replace_file_with_link(hub, worktree)
    hub.git("add", ".", cwd=worktree)


def replace_directory_with_link(hub: Hub, worktree: Path) -> None:
    """Replace a directory of tracked files. Git must not read the files through the link."""
    elsewhere = worktree.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "one").write_text("not ours\n")
    hub.git("rm", "-q", "-r", "--cached", "dir", cwd=worktree)
    hub.git("reset", "-q", cwd=worktree)
    for name in ("one", "two", "three"):
        (worktree / "dir" / name).unlink()
    (worktree / "dir").rmdir()
    (worktree / "dir").symlink_to(elsewhere)


def replace_directory_with_file(hub: Hub, worktree: Path) -> None:
    for name in ("one", "two", "three"):
        (worktree / "dir" / name).unlink()
    (worktree / "dir").rmdir()
    (worktree / "dir").write_text("a file now\n")


def replace_directory_with_file_and_stage(hub: Hub, worktree: Path) -> None:
    replace_directory_with_file(hub, worktree)
    hub.git("add", "-A", cwd=worktree)


def replace_file_with_directory(hub: Hub, worktree: Path) -> None:
    (worktree / "file").unlink()
    (worktree / "file").mkdir()
    (worktree / "file" / "inside").write_text("inside\n")


def replace_file_with_directory_and_stage(hub: Hub, worktree: Path) -> None:
    replace_file_with_directory(hub, worktree)
    hub.git("add", "-A", cwd=worktree)


def rename_files(hub: Hub, worktree: Path) -> None:
    hub.git("mv", "dir/one", "dir/uno", cwd=worktree)
    (worktree / "dir" / "uno").write_text("one\n" * 20 + "more\n")
    (worktree / "dir" / "two").rename(worktree / "dir" / "due")


def change_binary_files(hub: Hub, worktree: Path) -> None:
    (worktree / "binary").write_bytes(bytes(reversed(range(256))) * 4)
    (worktree / "staged.bin").write_bytes(b"\0\xff" * 500)
    hub.git("add", "staged.bin", cwd=worktree)
    (worktree / "untracked.bin").write_bytes(b"\0\xfe" * 500)


def create_files_with_unusual_names(hub: Hub, worktree: Path) -> None:
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
            (worktree / os.fsdecode(prefix + name)).write_bytes(prefix + name)
    hub.git("add", "--", "staged-*", cwd=worktree)
    hub.git("mv", "file", os.fsdecode(b"moved\xff\n"), cwd=worktree)


def create_empty_files(hub: Hub, worktree: Path) -> None:
    (worktree / "file").write_bytes(b"")
    (worktree / "staged").write_bytes(b"")
    hub.git("add", "staged", cwd=worktree)
    (worktree / "untracked").write_bytes(b"")


def copy_file(hub: Hub, worktree: Path) -> None:
    (worktree / "copy").write_bytes((worktree / "file").read_bytes())


def hide_untracked_files_in_status(hub: Hub, worktree: Path) -> None:
    hub.git("config", "status.showUntrackedFiles", "no")
    create_untracked_files(hub, worktree)


def ignore_file_modes(hub: Hub, worktree: Path) -> None:
    hub.git("config", "core.fileMode", "false")
    (worktree / "file").chmod(0o755)
    hub.git("update-index", "--chmod=-x", "program", cwd=worktree)
    (worktree / "file").write_text("changed\n")


def use_index_version_4(hub: Hub, worktree: Path) -> None:
    hub.git("update-index", "--index-version", "4", cwd=worktree)
    stage_and_change_file(hub, worktree)
    create_untracked_files(hub, worktree)


def use_split_index(hub: Hub, worktree: Path) -> None:
    hub.git("update-index", "--split-index", cwd=worktree)
    stage_and_change_file(hub, worktree)
    (worktree / "dir" / "one").write_text("unstaged\n")
    create_untracked_files(hub, worktree)


def use_untracked_cache(hub: Hub, worktree: Path) -> None:
    hub.git("update-index", "--force-untracked-cache", cwd=worktree)
    hub.git("status", cwd=worktree)
    create_untracked_files(hub, worktree)


CHANGES: list[Change] = [
    stage_changes,
    change_file,
    create_untracked_files,
    stage_and_change_file,
    stage_and_revert_file,
    delete_files,
    delete_all_files,
    add_and_delete_file,
    remove_from_index,
    remove_from_index_and_edit,
    change_modes,
    change_symlinks,
    replace_link_with_file,
    replace_file_with_link,
    replace_file_with_link_and_stage,
    replace_directory_with_link,
    replace_directory_with_file,
    replace_directory_with_file_and_stage,
    replace_file_with_directory,
    replace_file_with_directory_and_stage,
    rename_files,
    change_binary_files,
    create_files_with_unusual_names,
    create_empty_files,
    copy_file,
    hide_untracked_files_in_status,
    ignore_file_modes,
    use_index_version_4,
    use_split_index,
    use_untracked_cache,
]


def large_file_filters(hub: Hub) -> tuple[str, str]:
    """Return the clean and smudge commands of a filter that commits pointers, like Git LFS."""
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


def create_socket(path: Path) -> None:
    """Create a socket that no process listens on."""
    # The system limits the path of a socket to about 100 bytes.
    with socket.socket(socket.AF_UNIX) as server, chdir(path.parent):
        server.bind(path.name)
