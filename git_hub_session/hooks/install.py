"""Install, remove and describe the guards in the place where git runs hooks.

git 2.54 and later run each hook that the configuration names, beside the hook of the user. Earlier
versions run one file for each hook.
"""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, Refused
from git_hub_session.hooks.files import (
    describe_file,
    install_file,
    uninstall_file,
    write_script,
)
from git_hub_session.hooks.guards import GUARDS, Guard, GuardStatus
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

_CONFIGURED_SINCE = (2, 54)
_OWN_DIRECTORY = "hub-session-hooks"
_NOT_SET = 1  # the exit status of `git config --get`


class RelativeHooksPath(Refused):
    """A core.hooksPath that names another directory in each worktree."""

    code = "relative-hooks-path"


def install_guards(project: Project) -> bool:
    """Install all guards. Return False if nothing changed. Raise RelativeHooksPath."""
    if project.git.version() >= _CONFIGURED_SINCE:
        has_removed_files = _uninstall_files(project)
        changed = [_install_configured(project, guard) for guard in GUARDS]
        return any(changed) or has_removed_files
    directory = find_hooks_directory(project)
    changed = [install_file(directory, guard) for guard in GUARDS]
    # A newer git runs these files too.
    changed += [_uninstall_configured(project, guard) for guard in GUARDS]
    return any(changed)


def uninstall_guards(project: Project) -> bool:
    """Remove all guards, and restore the hooks of the user. Return False if nothing changed."""
    changed = [_uninstall_configured(project, guard) for guard in GUARDS]
    return _uninstall_files(project) or any(changed)


def describe_guards(project: Project) -> list[GuardStatus]:
    """Return the facts about each guard."""
    found = [_describe_configured(project, guard) for guard in GUARDS]
    if all(status.path for status in found):
        return found
    directory = _effective_directory(project)
    if not os.path.isabs(directory):
        problem = "core.hooksPath is relative"
        return [each if each.path else each._replace(problem=problem) for each in found]
    return [
        status if status.path else describe_file(directory, guard)
        for status, guard in zip(found, GUARDS, strict=True)
    ]


def find_hooks_directory(project: Project) -> str:
    """Return the directory of the hooks. Raise RelativeHooksPath if its path is relative."""
    directory = _effective_directory(project)
    if os.path.isabs(directory):
        return directory
    top = project.paths.main_worktree or project.paths.common_dir
    absolute = quote_word(os.path.normpath(os.path.join(top, directory)))
    raise RelativeHooksPath(
        f"core.hooksPath is relative: '{directory}' is another directory in each worktree",
        hint=f"git config core.hooksPath {absolute}",
    )


def _effective_directory(project: Project) -> str:
    """Return core.hooksPath, or else the directory `hooks` of the repository."""
    return _config(project, "--type=path", "core.hooksPath") or _default_directory(project)


def _default_directory(project: Project) -> str:
    return os.path.join(project.paths.common_dir, "hooks")


def _config(project: Project, *words: str) -> str:
    """Return the value of a setting, or ''."""
    try:
        output = project.git.run(["config", "-z", *words[:-1], "--get", words[-1]])
    except GitFailed as error:
        if error.status != _NOT_SET:
            raise
        return ""
    return os.fsdecode(output).removesuffix("\0")


def _uninstall_files(project: Project) -> bool:
    """Remove the scripts in the directory of hooks, also if core.hooksPath was set afterwards."""
    directories = {_default_directory(project), _effective_directory(project)}
    changed = [
        uninstall_file(directory, guard)
        for directory in filter(os.path.isabs, directories)
        for guard in GUARDS
    ]
    return any(changed)


def _script_path(project: Project, guard: Guard) -> str:
    return os.path.join(project.paths.common_dir, _OWN_DIRECTORY, guard.hook)


def _install_configured(project: Project, guard: Guard) -> bool:
    path = _script_path(project, guard)
    if _describe_configured(project, guard) == GuardStatus(guard.hook, path, is_configured=True):
        return False
    write_script(path, guard.read_script())
    project.git.run(["config", "--local", f"{guard.section}.command", _command(path)])
    project.git.run(["config", "--local", f"{guard.section}.event", guard.hook])
    if _is_disabled(project, guard):
        project.git.run(["config", "--local", f"{guard.section}.enabled", "true"])
    return True


def _uninstall_configured(project: Project, guard: Guard) -> bool:
    path = _script_path(project, guard)
    is_set = bool(_config(project, "--local", f"{guard.section}.command"))
    if is_set:
        project.git.run(["config", "--local", "--remove-section", guard.section])
    is_written = os.path.lexists(path)
    if is_written:
        os.unlink(path)
        if not os.listdir(os.path.dirname(path)):
            os.rmdir(os.path.dirname(path))
    return is_set or is_written


def _describe_configured(project: Project, guard: Guard) -> GuardStatus:
    path = _script_path(project, guard)
    command = _config(project, "--local", f"{guard.section}.command")
    if not command:
        return GuardStatus(guard.hook, "")
    script = describe_file(os.path.dirname(path), guard)
    problem = script.problem
    if project.git.version() < _CONFIGURED_SINCE:
        problem = "git before 2.54 does not run it"
    elif not script.path or quote_word(path) not in command:
        problem = "git does not find the script"
    elif command != _command(path):
        problem = "of another version"
    elif _is_disabled(project, guard):
        problem = f"{guard.section}.enabled is false"
    return GuardStatus(guard.hook, path, is_configured=True, problem=problem)


def _is_disabled(project: Project, guard: Guard) -> bool:
    """Return True if git skips the script: the user has set `enabled`, perhaps in another file."""
    return _config(project, "--type=bool", f"{guard.section}.enabled") == "false"


def _command(path: str) -> str:
    """Return the command for git, which appends arguments. Without the script, it succeeds.

    The shell that git starts reads the script. A second shell would take twice the time.
    """
    return f"! test -x {quote_word(path)} || . {quote_word(path)}"
