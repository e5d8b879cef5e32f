"""Find settings that let `git fetch` delete refs of the hub, or `git push` publish them.

A mirror and `fetch.pruneTags` treat all refs as those of the remote. The rescue refs can contain
ignored files, such as .env.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.config import ConfigEntry, is_true
from git_hub_session.git.ref_names import (
    ALL_ARCHIVES,
    ALL_BRANCHES,
    ALL_HUB,
    ALL_RESCUES,
    ALL_TAGS,
    REFS,
)
from git_hub_session.git.safe_open import read_text
from git_hub_session.util.shell import quote_word

# git before 3.0 reads these lines of a file in .git/remotes (gitrepository-layout(5)).
_REMOTE_FILE_KEYS = {"Pull": "fetch", "Push": "push"}


class ExposedRefs(NamedTuple):
    """A setting of a remote that covers refs of the hub."""

    setting: str
    """The name of the setting, such as "remote.origin.mirror"."""
    effect: str
    """A sentence that names the git command and the refs."""
    hint: str
    """The command that protects the refs."""


def _remote_file_settings(common_dir: str) -> Iterator[ConfigEntry]:
    """Yield the settings of the files in .git/remotes."""
    directory = os.path.join(common_dir, "remotes")
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return
    for name in names:
        path = os.path.join(directory, name)
        for line in read_text(path).splitlines():
            key, _, value = line.partition(":")
            if key in _REMOTE_FILE_KEYS:
                setting = f"remote.{name}.{_REMOTE_FILE_KEYS[key]}"
                yield ConfigEntry(setting, value.strip(), f"file:{path}")


def find_exposed_refs(entries: Iterable[ConfigEntry], common_dir: str) -> list[ExposedRefs]:
    """Return the settings that expose refs of the hub.

    Args:
        entries: the values of all git settings, in ascending priority.
        common_dir: the common dir of the repository, which can have files about remotes.
    """
    settings: dict[str, list[str]] = {}
    for entry in (*entries, *_remote_file_settings(common_dir)):
        settings.setdefault(entry.name, []).append(entry.value)
    exposed: list[ExposedRefs] = []
    for name in settings:
        if name.startswith("remote."):
            remote = name.removeprefix("remote.").rpartition(".")[0]
            exposed += _exposed_by_fetch(remote, settings)
            exposed += _exposed_by_push(remote, settings)
    return list(dict.fromkeys(exposed))


def exposed_ref_warnings(
    read_entries: Callable[[], Iterable[ConfigEntry]], common_dir: str
) -> list[str]:
    """Return a warning for each setting that exposes refs of the hub."""
    try:
        exposed = find_exposed_refs(read_entries(), common_dir)
    except HubError as error:
        return [f"cannot read the settings of remotes: {error.message}"]
    return [f"{refs.effect} ({refs.setting}); exclude them: {refs.hint}" for refs in exposed]


def _exposed_by_fetch(remote: str, settings: Mapping[str, Sequence[str]]) -> Iterator[ExposedRefs]:
    name = f"remote.{remote}.fetch"
    refspecs = settings.get(name, ())
    for prefix in (ALL_HUB, ALL_BRANCHES, ALL_TAGS):
        effect, pattern = "'git fetch --prune' deletes", _source_to_exclude(refspecs, prefix)
        is_tags = prefix == ALL_TAGS and not pattern
        if is_tags and _prunes_tags(remote, settings) and not _excludes(refspecs, prefix):
            effect, pattern = "'git fetch' deletes", f"{prefix}*"
        if pattern:
            yield ExposedRefs(name, f"{effect} {prefix}*", _exclude_command(name, pattern))


def _source_to_exclude(refspecs: Sequence[str], prefix: str) -> str:
    """Return the pattern to exclude so that `git fetch --prune` keeps the refs, or ''.

    A refspec excludes refs by their names in the remote.
    """
    for refspec in refspecs:
        source, _, target = refspec.removeprefix("+").partition(":")
        if _overlaps(target, prefix):
            pattern = f"{prefix}*" if source == target else source
            if not _excludes(refspecs, pattern):
                return pattern
    return ""


def _exposed_by_push(remote: str, settings: Mapping[str, Sequence[str]]) -> Iterator[ExposedRefs]:
    push, mirror = f"remote.{remote}.push", f"remote.{remote}.mirror"
    effect = f"'git push' publishes {ALL_HUB}*"
    # A mirror accepts no refspec that excludes a ref.
    if is_true(settings.get(mirror, [""])[-1]):
        exclude = _exclude_command(push, f"{ALL_HUB}*")
        command = (
            f"git config --unset-all {quote_word(mirror)}"
            f" && git config --add {quote_word(push)} '+{REFS}*:{REFS}*' && {exclude}"
        )
        yield ExposedRefs(mirror, effect, command)
    elif _publishes(settings.get(push, ())):
        yield ExposedRefs(push, effect, _exclude_command(push, f"{ALL_HUB}*"))


def _prunes_tags(remote: str, settings: Mapping[str, Sequence[str]]) -> bool:
    """Return True if `git fetch` from the remote deletes tags that the remote does not have."""

    def is_set(key: str) -> bool:
        names = (f"fetch.{key}", f"remote.{remote}.{key}")
        values = [value for name in names for value in settings.get(name, ())]
        return is_true(["", *values][-1])

    return is_set("prune") and is_set("prunetags")


def _exclude_command(name: str, pattern: str) -> str:
    return f"git config --add {quote_word(name)} {quote_word(f'^{pattern}')}"


def _publishes(refspecs: Sequence[str]) -> bool:
    """Return True if a refspec pushes all refs of the hub with other refs."""
    sources = [refspec.removeprefix("+").partition(":")[0] for refspec in refspecs]
    is_included = any(_matches(source, ALL_HUB) for source in sources if source[:1] != "^")
    return is_included and not _excludes(refspecs, ALL_HUB)


def _excludes(refspecs: Sequence[str], prefix: str) -> bool:
    patterns = [refspec[1:] for refspec in refspecs if refspec[:1] == "^"]
    return prefix in patterns or any(_matches(pattern, prefix) for pattern in patterns)


def _matches(pattern: str, prefix: str) -> bool:
    return pattern.endswith("*") and prefix.startswith(pattern[:-1])


def _overlaps(pattern: str, prefix: str) -> bool:
    """Return True if all or some refs of the hub with the prefix match the pattern."""
    start, star, end = pattern.partition("*")
    # The names of all these refs end with a number.
    if not star or (end and end[-1] not in "0123456789"):
        return False
    if not start.startswith(prefix):
        return prefix.startswith(start)
    own = (ALL_RESCUES, ALL_ARCHIVES, ALL_BRANCHES, ALL_TAGS)
    return any(start.startswith(name) or name.startswith(start) for name in own)
