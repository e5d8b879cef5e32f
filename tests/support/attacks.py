"""The attacks: files and refs that an attacker may have put into a repository."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from git_hub_session.git.worktrees import REMOVAL_LOCK
from tests.support.attack_repository import AttackRepository
from tests.support.stores import CREATED

ROOT = os.geteuid() == 0
LARGE = 100 << 20  # bytes
EVIL = (
    "\x1b[31m\x1b]0;title\x07\x9b2J\rover\x08\u202eltr\u2066iso\u2069\u200f\u061c"
    "\u2028\x00\x7f\\ \"'"
)
"""Text that controls a terminal, ends a line, or is not text."""
EVIL_NAME = EVIL.replace("\x00", "") + "\n\nworktree /forged\n"
"""EVIL as a file name."""


class Attack(NamedTuple):
    """A named attack, and the function that plants it in a repository."""

    name: str
    plant: Callable[[AttackRepository], None]


FILES: dict[str, str] = {
    "config": "sessions/s1/config.yaml",
    "state": "sessions/s1/state.json",
    "task": "sessions/s1/task.txt",
    "index": "board/_index.json",
    "post": "board/results/001-agent-1-20260317T143022Z.md",
    "ignore": ".gitignore",
}
"""The files of the hub that are replaced, as paths below it."""
DIRECTORIES: dict[str, str] = {
    "hub": "",
    "sessions": "sessions",
    "session": "sessions/s1",
    "output": "sessions/s1/output",
    "board": "board",
    "channel": "board/results",
}
"""The directories of the hub that are replaced, as paths below it."""
GIT_FILES: dict[str, str] = {
    "gitdir": "worktrees/agent-1/gitdir",
    "entry head": "worktrees/agent-1/HEAD",
    "commondir": "worktrees/agent-1/commondir",
    "locked": "worktrees/agent-1/locked",
    "index of an entry": "worktrees/agent-1/index",
    "reflog": "worktrees/agent-1/logs/HEAD",
    "rebase": "worktrees/agent-1/rebase-merge/head-name",
    "removal": "worktrees/agent-1/hub-session-removal",
    "bisect": "worktrees/agent-1/BISECT_LOG",
    "packed refs": "packed-refs",
    "configuration": "config",
    "head": "HEAD",
    "branch": "refs/heads/hub/s1/agent-1/attempt-1",
    "exclude": "info/exclude",
    "index": "index",
}
"""The files of git that the package parses itself, as paths below .git."""


def _remove(path: Path) -> None:
    """Remove the file or directory, and create its parent directories."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)


def _link(repository: AttackRepository, path: Path) -> None:
    """Move the file outside, and replace it with a link to it."""
    moved = repository.outside / "stolen"
    if path.exists():
        path.rename(moved)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(moved)


def _dangling(repository: AttackRepository, path: Path) -> None:
    """Replace the file with a link to a missing file outside."""
    _remove(path)
    path.symlink_to(repository.outside / "made")


def _loop(_repository: AttackRepository, path: Path) -> None:
    """Replace the file with a link to itself."""
    _remove(path)
    path.symlink_to(path)


def _pipe(_repository: AttackRepository, path: Path) -> None:
    """Replace the file with a named pipe."""
    _remove(path)
    os.mkfifo(path)


def _device(_repository: AttackRepository, path: Path) -> None:
    """Replace the file with /dev/zero, which has no end."""
    _remove(path)
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def _swap(_repository: AttackRepository, path: Path) -> None:
    """Replace a file with a directory, or a directory with a file."""
    was_directory = path.is_dir()
    _remove(path)
    if was_directory:
        path.write_text("a file\n")
    else:
        path.mkdir()
        (path / "in the way").write_text("a file\n")


def _large(_repository: AttackRepository, path: Path) -> None:
    """Replace the file with NUL bytes without a newline."""
    _remove(path)
    path.touch()
    os.truncate(path, LARGE)


def _noise(_repository: AttackRepository, path: Path) -> None:
    """Replace the file with a small file that is not text."""
    _remove(path)
    path.write_bytes(b"\xff\xfe\x00{[\x1b[2J\r\n\n" * 999)


def _empty(_repository: AttackRepository, path: Path) -> None:
    """Replace the file with an empty file."""
    _remove(path)
    path.touch()


_DIRECTORY_REPLACEMENTS = [_link, _dangling, _loop, _pipe, *([_device] if ROOT else []), _swap]
_FILE_REPLACEMENTS = [*_DIRECTORY_REPLACEMENTS, _large, _noise, _empty]


def _replace_at(
    replace: Callable[[AttackRepository, Path], None], *path: str
) -> Callable[[AttackRepository], None]:
    """Return an attack that replaces one path of the repository."""
    return lambda repository: replace(repository, repository.project.joinpath(*path))


HUB_FILE_ATTACKS = [
    *(
        Attack(f"{replace.__name__[1:]} for {name}", _replace_at(replace, ".agenthub", path))
        for name, path in FILES.items()
        for replace in _FILE_REPLACEMENTS
    ),
    *(
        Attack(f"{replace.__name__[1:]} for {name}", _replace_at(replace, ".agenthub", path))
        for name, path in DIRECTORIES.items()
        for replace in _DIRECTORY_REPLACEMENTS
    ),
]
GIT_FILE_ATTACKS = [
    Attack(f"{replace.__name__[1:]} for {name} of git", _replace_at(replace, ".git", path))
    for name, path in GIT_FILES.items()
    for replace in (_pipe, *([_device] if ROOT else []), _swap, _large, _noise)
]


def _edit_states(repository: AttackRepository, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the document in state.json of all sessions."""
    for sid in ("s1", "s2", "s3"):
        file = repository.session(sid) / "state.json"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))


def _write_configs(repository: AttackRepository, **settings: str) -> None:
    """Write config.yaml of all sessions as AgentHub does, without escapes."""
    for sid in ("s1", "s2", "s3"):
        values = {"session_id": sid, "task": "t", "agent_count": "2", "base_branch": "main"}
        values |= {"created": CREATED, **settings}
        lines = (
            f'{key}: "{value}"' if key in ("task", "eval_cmd") else f"{key}: {value}"
            for key, value in values.items()
        )
        (repository.session(sid) / "config.yaml").write_text("\n".join(lines) + "\n")


def a_command_in_the_config(repository: AttackRepository) -> None:
    _write_configs(repository, eval_cmd=repository.canary, metric="p50", direction="lower")


def a_tag_in_the_config(repository: AttackRepository) -> None:
    text = f"session_id: s1\ntask: !!python/object/apply:os.system ['{repository.canary}']\nagent_count: 2\n"
    (repository.session("s1") / "config.yaml").write_text(text)


def a_base_branch_like_an_option(repository: AttackRepository) -> None:
    _write_configs(repository, base_branch=f"--exec={repository.canary.replace(' ', chr(9))}")


def a_base_branch_outside(repository: AttackRepository) -> None:
    _write_configs(repository, base_branch="../../../outside/plain/kept")


def a_million_agents(repository: AttackRepository) -> None:
    _write_configs(repository, agent_count="999999999")


def a_yaml_bomb(repository: AttackRepository) -> None:
    bomb = "a: &a [x,x]\n" + "".join(
        f"b{number}: &b{number} [*a,*a,*a,*a]\n" for number in range(30000)
    )
    (repository.session("s1") / "config.yaml").write_text(bomb)


def deep_yaml(repository: AttackRepository) -> None:
    (repository.session("s1") / "config.yaml").write_text("task: " + "[" * 500_000)


def deep_json(repository: AttackRepository) -> None:
    for name in ("sessions/s1/state.json", "board/_index.json"):
        (repository.store / name).write_text('{"a":' * 100_000)


def many_json_values(repository: AttackRepository) -> None:
    """Plant 16 MiB of JSON that needs a gigabyte in memory."""
    for name in ("sessions/s1/state.json", "board/_index.json"):
        (repository.store / name).write_text(
            '{"state": "running", "a": [' + "{}," * 5_000_000 + "0]}"
        )


def small_and_deep_json(repository: AttackRepository) -> None:
    """Plant JSON that exceeds the size limit if it is written with indentation."""
    deep = "[" * 190 + "0," * 60_000 + "0" + "]" * 190
    document = json.loads((repository.session("s1") / "state.json").read_text())
    text = json.dumps({**document, "deep": None}).replace("null", deep)
    (repository.session("s1") / "state.json").write_text(text)


def wide_characters(repository: AttackRepository) -> None:
    """Plant text with one wide character, for which Python needs four bytes for each character."""
    (repository.store / FILES["post"]).write_text("x" * 900_000 + "\U0001f600")
    file = repository.session("s1") / "state.json"
    document = json.loads(file.read_text())
    document["history"] = [{"reason": "x" * (5 << 20) + "\U0001f600"}]
    file.write_text(json.dumps(document, ensure_ascii=False))


def a_large_board(repository: AttackRepository) -> None:
    for number in range(2, 22):
        post = repository.store / "board" / "results" / f"{number:03d}-a-20260317T143022Z.md"
        post.write_text("x" * (1 << 20))


def paths_in_the_state(repository: AttackRepository) -> None:
    """Plant paths and refs outside the session in state.json."""
    target = str(repository.outside / "plain")

    def change(document: dict[str, Any]) -> None:
        for agent in document["agents"].values():
            agent |= {
                "worktree": target,
                "status": "spawning",
                "rescue": ["refs/heads/keep", "../x", 1],
            }
            agent["work"] = {"attempt-1": "refs/heads/keep", "../..": "/"}
            agent["exec"] = {"run": "../../../../outside"}
        document["agents"] |= {"../../outside": {"worktree": target}, "agent-1/../..": 7}
        document |= {"session_id": "../../outside", "base_commit": "--exec=x"}

    _edit_states(repository, change)


def an_interrupted_restore_to_an_outside_path(repository: AttackRepository) -> None:
    def change(document: dict[str, Any]) -> None:
        for agent in document["agents"].values():
            agent |= {"worktree": str(repository.outside / "plain"), "status": "restoring"}
            agent["work"] = {"attempt-1": "refs/heads/keep"}

    _edit_states(repository, change)


def a_state_of_other_types(repository: AttackRepository) -> None:
    def change(document: dict[str, Any]) -> None:
        huge = int("9" * 4000)
        document |= {"created": huge, "updated": [], "base_commit": {}, "evaluation": 1e308}
        document |= {"merge": {"agent": huge, "attempt": -1, "into": 1, "tip": [], "commit": None}}
        document["agents"] = {
            "agent-1": {
                "attempt": huge,
                "rescue": "x",
                "work": [],
                "exec": 5,
                "result": {"rank": huge, "metric": huge, "attempt": 1, "commit": "1a" * 20},
            },
            "agent-2": [],
            "": None,
        }
        document["history"] = [1, None, {"at": 5}, {"at": huge, "reason": []}]

    _edit_states(repository, change)


def a_merge_like_an_option(repository: AttackRepository) -> None:
    tip = repository.hub.git("rev-parse", "hub/s2/agent-1/attempt-1")
    merge = {"agent": 1, "attempt": 1, "tip": tip, "into": "--exec=x", "commit": tip}
    _edit_states(repository, lambda document: document.update(merge=merge))


def a_merge_into_an_outside_path(repository: AttackRepository) -> None:
    tip = repository.hub.git("rev-parse", "hub/s2/agent-1/attempt-1")
    merge = {
        "agent": 1,
        "attempt": 1,
        "tip": tip,
        "into": "../../../outside/plain/kept",
        "commit": tip,
    }
    _edit_states(repository, lambda document: document.update(merge=merge))


def branches_like_options(repository: AttackRepository) -> None:
    head = repository.hub.git("rev-parse", "HEAD")
    for ref in (
        "refs/heads/-rf",
        "refs/heads/--upload-pack=x",
        "refs/heads/hub/s1/--exec=x",
        "refs/heads/hub/s1/agent-1/-d",
    ):
        repository.hub.git("update-ref", ref, head)
    repository.hub.git(
        "worktree",
        "add",
        "-q",
        "--no-checkout",
        "--detach",
        repository.base / "project.hub" / "odd",
        head,
    )
    (repository.git_dir("odd") / "HEAD").write_text("ref: refs/heads/hub/s1/--exec=x\n")


def unusual_session_names(repository: AttackRepository) -> None:
    for name in (
        "-rf",
        "--help",
        "..x",
        EVIL_NAME[:200].replace("/", ""),
        "s1.lock",
        "x" * 200,
        "ä",
    ):
        shutil.copytree(repository.session("s2"), repository.store / "sessions" / name)


def a_git_dir_of_an_outside_path(repository: AttackRepository) -> None:
    """Plant git dirs that point to a plain directory, to another repository and to /."""
    for name, target in (("agent-1", "plain/.git"), ("agent-2", "repository/.git")):
        (repository.git_dir(name) / "gitdir").write_text(f"{repository.outside / target}\n")
    (repository.git_dir("agent-11") / "gitdir").write_text("/.git\n")


def a_git_dir_of_the_main_worktree(repository: AttackRepository) -> None:
    (repository.git_dir() / "gitdir").write_text(f"{repository.project}/.git\n")


def a_git_dir_with_a_relative_outside_path(repository: AttackRepository) -> None:
    (repository.git_dir() / "gitdir").write_text("../../../../outside/plain/.git\n")


def a_git_dir_with_several_lines(repository: AttackRepository) -> None:
    (repository.git_dir() / "gitdir").write_text(
        f"{repository.outside}/plain\n/etc/.git\n\x1b[2J\n"
    )


def a_git_dir_that_is_a_link(repository: AttackRepository) -> None:
    repository.git_dir().rename(repository.outside / "entry")
    repository.git_dir().symlink_to(repository.outside / "entry")


def a_worktree_that_is_a_link(repository: AttackRepository) -> None:
    repository.worktree().rename(repository.outside / "tree")
    repository.worktree().symlink_to(repository.outside / "tree")


def a_git_file_that_is_a_pipe(repository: AttackRepository) -> None:
    _pipe(repository, repository.worktree() / ".git")


def a_git_file_with_an_outside_path(repository: AttackRepository) -> None:
    (repository.worktree() / ".git").write_text(f"gitdir: {repository.outside}/repository/.git\n")


def a_head_with_a_relative_outside_path(repository: AttackRepository) -> None:
    (repository.git_dir() / "HEAD").write_text(
        "ref: refs/heads/hub/s1/../../../../../outside/plain/kept\n"
    )


def an_interrupted_removal_of_an_outside_path(repository: AttackRepository) -> None:
    journal = repository.git_dir() / "hub-session-removal"
    shutil.rmtree(repository.worktree())  # as after an interrupted removal
    journal.write_text(f"{REMOVAL_LOCK}\0{repository.outside}/plain\0delete")
    (repository.git_dir("agent-2") / "hub-session-removal").write_text(
        f"{REMOVAL_LOCK}\0{repository.outside}/plain\0aside"
    )


def a_trash_that_is_a_link(repository: AttackRepository) -> None:
    (repository.project / ".git" / "hub-session-trash").symlink_to(repository.outside / "plain")
    for name in ("agent-1", "agent-2"):
        repository.worktree().with_name(f".{name}.hub-trash").symlink_to(
            repository.outside / "plain"
        )


def links_in_a_worktree(repository: AttackRepository) -> None:
    worktree = repository.worktree()
    (worktree / "to a directory").symlink_to(repository.outside / "plain")
    shutil.rmtree(worktree / "sub")
    (worktree / "sub").symlink_to(repository.outside / "plain")
    (worktree / "pipe").unlink(missing_ok=True)
    os.mkfifo(worktree / "pipe")
    (worktree / ".gitignore").symlink_to(repository.outside / "plain" / "kept")


def includes_of_outside_paths(repository: AttackRepository) -> None:
    (repository.project / ".worktreeinclude").write_text(
        "../outside/plain/*\n/etc/passwd\n.agenthub/**\n*\n"
    )
    (repository.project / "linked").symlink_to(repository.outside / "plain")


def hooks_in_the_hub(repository: AttackRepository) -> None:
    """Plant hooks and settings in directories that look like repositories."""
    hook = f"#!/bin/sh\n{repository.canary}\n"
    for directory in (
        repository.store,
        repository.session("s1"),
        repository.worktree() / ".agenthub",
    ):
        (directory / "hooks").mkdir(parents=True)
        for name in ("post-checkout", "reference-transaction", "pre-commit", "pre-auto-gc"):
            (directory / "hooks" / name).write_text(hook)
            (directory / "hooks" / name).chmod(0o755)
        (directory / "config").write_text(
            f"[core]\n\tfsmonitor = {repository.canary}\n[alias]\n\tx = !{repository.canary}\n"
        )
        (directory / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
    for worktree in (repository.project, repository.worktree(), repository.worktree("s2")):
        (worktree / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
        (worktree / ".gitmodules").write_text(
            f'[submodule "x"]\n\tpath = x\n\turl = x\n\tupdate = !{repository.canary}\n'
        )


def control_characters_everywhere(repository: AttackRepository) -> None:
    """Plant control characters in all texts: tasks, reasons, branches, subjects, locks, names."""
    _write_configs(repository)
    for sid in ("s1", "s2", "s3"):
        settings = {
            "session_id": sid,
            "task": f"{EVIL}\n{EVIL}",
            "agent_count": "2",
            "base_branch": f"main{EVIL}",
            "created": EVIL,
        }
        settings |= {
            "eval_cmd": f"{repository.canary} {EVIL}",
            "metric": EVIL,
            "direction": "lower",
            "baseline": EVIL,
            EVIL: EVIL,
        }
        lines = (f"{json.dumps(key)}: {json.dumps(value)}\n" for key, value in settings.items())
        (repository.session(sid) / "config.yaml").write_text("".join(lines))

    def change(document: dict[str, Any]) -> None:
        step = {
            "at": EVIL,
            "from": EVIL,
            "to": EVIL,
            "by": EVIL,
            "verb": EVIL,
            "reason": f"{EVIL}\n{EVIL}",
        }
        document["history"] = [step, {"reason": "\ud800\udcff"}]
        document |= {"created": EVIL, "updated": EVIL}
        document["agents"][EVIL] = {"status": EVIL, "rescue": [EVIL], "work": {EVIL: EVIL}}
        for agent in list(document["agents"].values()):
            agent["result"] = {
                "rank": 1,
                "attempt": 1,
                "commit": "1a" * 20,
                "metric": 1,
                "reason": EVIL,
            }

    _edit_states(repository, change)
    head = f"---\nauthor: {EVIL}\ntimestamp: {EVIL}\nparent: {EVIL}\nsession: s1\n---\n\n{EVIL}\n{EVIL}\n"
    results = repository.store / "board" / "results"
    (results / "002-x-20260317T143022Z.md").write_text(head)
    (results / f"{EVIL_NAME[:60].replace('/', '')}.md").write_text(head)
    (repository.store / "board" / EVIL_NAME[:60].replace("/", "")).mkdir()
    index = {"channels": ["results", EVIL, "../outside", "a\nb"], "counters": {"results": EVIL}}
    (repository.store / "board" / "_index.json").write_text(json.dumps(index))
    repository.hub.git(
        "commit", "-q", "--allow-empty", "-m", EVIL.replace("\x00", ""), cwd=repository.worktree()
    )
    repository.hub.git(
        "worktree", "lock", "--reason", EVIL.replace("\x00", ""), repository.worktree()
    )


def control_characters_in_a_path(repository: AttackRepository) -> None:
    name = EVIL_NAME.replace("/", "-")
    repository.hub.git(
        "worktree", "move", repository.worktree(), repository.worktree().with_name("moved")
    )
    moved = repository.worktree().with_name(f"a{name}".strip())
    repository.worktree().with_name("moved").rename(moved)
    (repository.git_dir() / "gitdir").write_text(f"{moved}/.git\n")
    repository.hub.git("branch", "hub/s1/\u202eagent", "main")
    (moved / f"b{name}").write_text("unsaved\n")


def channels_with_outside_paths(repository: AttackRepository) -> None:
    index = {"channels": ["../../../outside/plain", "/etc", "..", ".", "results"], "counters": {}}
    (repository.store / "board" / "_index.json").write_text(json.dumps(index))
    (repository.store / "board" / "dispatch").rename(repository.outside / "dispatch")
    (repository.store / "board" / "dispatch").symlink_to(repository.outside / "dispatch")
    (repository.store / "board" / "results" / ".new.tmp").symlink_to(
        repository.outside / "plain" / "kept"
    )


def output_links_to_an_outside_path(repository: AttackRepository) -> None:
    shutil.rmtree(repository.session("s1") / "output")
    (repository.session("s1") / "output").mkdir()
    for name in ("exec-1", "exec-2", "eval-1"):
        (repository.session("s1") / "output" / name).symlink_to(repository.outside / "plain")


def commands_in_the_project_file(repository: AttackRepository) -> None:
    command = repository.canary
    lines = [f'{name} = "{command}"' for name in ("agentCmd", "eval", "setup", "editor", "holdout")]
    lines += ["metric = m", "direction = lower", "worktreePath = ~/.vim/pack/{n}", "agents = 9"]
    lines += [f"[include]\npath = {repository.outside}/plain/kept", f"[x]\n{EVIL}"]
    (repository.project / ".hubsession").write_text("[hubsession]\n" + "\n".join(lines))


def a_project_file_that_is_a_link(repository: AttackRepository) -> None:
    (repository.project / ".hubsession").symlink_to(repository.outside / "plain" / "kept")


CONTENT_ATTACKS = [
    Attack(plant.__name__.replace("_", " "), plant)
    for plant in (
        a_command_in_the_config,
        a_tag_in_the_config,
        a_base_branch_like_an_option,
        a_base_branch_outside,
        a_million_agents,
        a_yaml_bomb,
        deep_yaml,
        deep_json,
        many_json_values,
        small_and_deep_json,
        wide_characters,
        a_large_board,
        paths_in_the_state,
        an_interrupted_restore_to_an_outside_path,
        a_state_of_other_types,
        a_merge_like_an_option,
        a_merge_into_an_outside_path,
        branches_like_options,
        unusual_session_names,
        a_git_dir_of_an_outside_path,
        a_git_dir_of_the_main_worktree,
        a_git_dir_with_a_relative_outside_path,
        a_git_dir_with_several_lines,
        a_git_dir_that_is_a_link,
        a_worktree_that_is_a_link,
        a_git_file_that_is_a_pipe,
        a_git_file_with_an_outside_path,
        a_head_with_a_relative_outside_path,
        an_interrupted_removal_of_an_outside_path,
        a_trash_that_is_a_link,
        links_in_a_worktree,
        includes_of_outside_paths,
        hooks_in_the_hub,
        control_characters_everywhere,
        control_characters_in_a_path,
        channels_with_outside_paths,
        output_links_to_an_outside_path,
        commands_in_the_project_file,
        a_project_file_that_is_a_link,
    )
]
