"""Read .hubsession, the file with the defaults of a project.

The file has git's configuration syntax and is at the top of the main worktree. It can come from a
clone, so it cannot include other files, and has no setting that weakens how work is saved. A command
that it names runs only after the user has approved it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.git.config import ConfigEntry, find_invalid_lines, parse_git_settings
from git_hub_session.git.safe_open import open_regular
from git_hub_session.settings.table import (
    PROJECT_FILE,
    WORKTREE_PATH,
    Setting,
    executor_of,
    find_setting,
)
from git_hub_session.util.text import quote_list

_MAX_BYTES = 1 << 16
_MAX_NAMES = 5
_BESIDE_REPOSITORY = "../{repo}"


class ProjectFile(NamedTuple):
    """The settings of the file, and the warnings about lines that are ignored."""

    entries: tuple[ConfigEntry, ...] = ()
    warnings: tuple[str, ...] = ()


def read_project_file(top: str) -> ProjectFile:
    """Read the file of the main worktree at `top`. A bare repository has none."""
    path = os.path.join(top, PROJECT_FILE)
    try:
        data = _read_bytes(path) if top else b""
    except FileNotFoundError:
        return ProjectFile()
    except OSError as error:
        return ProjectFile(warnings=(f"cannot read '{PROJECT_FILE}': {error.strerror}",))
    if len(data) > _MAX_BYTES:
        return ProjectFile(warnings=(f"'{PROJECT_FILE}' is larger than {_MAX_BYTES:,} bytes",))
    return _parse(data.decode("utf-8-sig", "replace"), path)


def _read_bytes(path: str) -> bytes:
    """Return the content, and at most one byte more than the limit. Do not follow a link."""
    with open(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return file.read(_MAX_BYTES + 1)


def _parse(text: str, path: str) -> ProjectFile:
    entries: list[ConfigEntry] = []
    ignored: dict[str, list[str]] = {}
    for name, value in parse_git_settings(text):
        setting = find_setting(name)
        reason = _NOT_ALLOWED if executor_of(name) else _find_reason(setting, value)
        if reason:
            ignored.setdefault(reason, []).append(setting.key if setting else name)
        else:
            entries.append(ConfigEntry(name, value, f"file:{path}"))
    return ProjectFile(tuple(entries), tuple(_warnings(ignored, find_invalid_lines(text))))


_UNKNOWN = "unknown setting"
_NOT_ALLOWED = "only 'git config' can set"
_NOT_TEXT = "not UTF-8 text"
_OUTSIDE = f"not a path '{_BESIDE_REPOSITORY}...' with '{{n}}'"


def _find_reason(setting: Setting | None, value: str) -> str:
    """Return the reason to ignore a line of the file, or ''."""
    if setting is None:
        return _UNKNOWN
    if not setting.is_project:
        return _NOT_ALLOWED
    if "\ufffd" in value or "\0" in value:
        return _NOT_TEXT
    if setting is WORKTREE_PATH and value and not _is_beside_repository(value):
        return _OUTSIDE
    return ""


def _is_beside_repository(template: str) -> bool:
    """Return True if the worktrees are in a directory beside the repository, with its name.

    In another directory, such as ~/.vim/pack, a program could run the files of the repository.
    """
    rest = template.removeprefix(_BESIDE_REPOSITORY)
    is_beside = rest != template and not rest.startswith("/")
    return is_beside and ".." not in rest.split("/") and "{n}" in rest and rest == rest.strip()


def _warnings(ignored: Mapping[str, Sequence[str]], invalid: Sequence[str]) -> Iterator[str]:
    for reason, names in ignored.items():
        yield f"'{PROJECT_FILE}': {reason}: {quote_list([*dict.fromkeys(names)], _MAX_NAMES)}"
    if invalid:
        lines = [f"{line:.60}" for line in invalid]
        yield f"'{PROJECT_FILE}': not a line of a git configuration: {quote_list(lines, _MAX_NAMES)}"
