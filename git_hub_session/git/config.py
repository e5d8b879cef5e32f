"""git's configuration syntax, for the few settings that are read before libgit2 is loaded.

Source: git-config(1), "Syntax". Includes are not followed: git itself reads what decides
where a repository is (core.bare, core.worktree) from the one file, without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from git_hub_session.util.numbers import parse_int

# Patterns are strings where most files need none of them: compiling is what reading costs.
# A line, without its comment: a backslash continues the line, but not a comment.
_LINE = r"""((?:\\\r?\n|\\.|"(?:\\\r?\n|\\.|[^"\\\n])*"|[^#;\n])*)(?:[#;].*)?(?:\n|\Z)"""
_CONTINUED = r"\\\r?\n"
_SECTION = re.compile(r'\[([A-Za-z0-9.-]+)(?:[ \t]+"((?:[^"\\]|\\.)*)")?\]')
_SPACE = " \t\r\n"  # git's own, whatever else Unicode takes for a space
_NUMBER = r"[+-]?0*[1-9][0-9]*[kmg]?"
_MAX_SETTINGS = 9_999  # read from GIT_CONFIG_COUNT
_MAX_SIZE = 10**15 - 1
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}
_PARAMETER = r"'((?:[^']|'\\'')*)'(?:(=)(?:'((?:[^']|'\\'')*)')?)?(?:\s+|$)"


def parse_git_config(text: str) -> dict[str, str]:
    """The settings in a configuration file, last one wins: {"core.bare": "true"}.

    Section and name are lower case; a name without '=' is "true". Lines that are no
    configuration are passed over: git itself will say what is wrong with them.
    """
    settings: dict[str, str] = {}
    section = ""
    for full_line in _lines(text):
        line = full_line.strip(_SPACE)
        header = _SECTION.match(line)
        if header:
            section = header[1].lower()
            if header[2] is not None:
                section += "." + re.sub(r"\\(.)", r"\1", header[2])
            line = line[header.end() :].strip(_SPACE)
        name, equals, value = line.partition("=")
        name = name.rstrip(" \t")
        if section and _is_name(name):
            settings[f"{section}.{name.lower()}"] = (
                _value(value.lstrip(" \t")) if equals else "true"
            )
    return settings


def _lines(text: str) -> list[str]:
    """The lines, those that are continued in one, without comments."""
    if not any(char in text for char in "\\#;"):
        return text.split("\n")
    return [re.sub(_CONTINUED, "", line) for line in re.findall(_LINE, text)]


def _is_name(text: str) -> bool:
    return text.isascii() and text[:1].isalpha() and text.replace("-", "").isalnum()


def _value(text: str) -> str:
    if '"' not in text and "\\" not in text:
        return text.rstrip(_SPACE)
    out, quoted, at, kept = [], False, 0, 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            at += 1
            out.append(_ESCAPES.get(text[at], text[at]))
            kept = len(out)
        elif char == '"':
            quoted = not quoted
        else:
            out.append(char)
            if quoted or char not in _SPACE:
                kept = len(out)
        at += 1
    return "".join(out[:kept])  # white space at the end counts only within quotes


def config_from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What `git -c name=value` and GIT_CONFIG_COUNT put into the environment, which libgit2 does not read."""
    settings: dict[str, str] = {}
    for at in range(parse_int(environ.get("GIT_CONFIG_COUNT", ""), _MAX_SETTINGS) or 0):
        name = environ.get(f"GIT_CONFIG_KEY_{at}", "")
        settings[_fold_key(name)] = environ.get(f"GIT_CONFIG_VALUE_{at}", "")
    for quoted in re.finditer(_PARAMETER, environ.get("GIT_CONFIG_PARAMETERS", "")):
        name, equals, value = (part and part.replace("'\\''", "'") for part in quoted.groups())
        if not equals:
            name, equals, value = name.partition("=")  # the spelling of git before 2.31
            value = value if equals else None
        settings[_fold_key(name)] = "true" if value is None else value
    settings.pop("", None)
    return settings


def _fold_key(name: str) -> str:
    section, _, rest = name.partition(".")
    middle, dot, last = rest.rpartition(".")
    return f"{section.lower()}.{middle}{dot}{last.lower()}"


def is_true(value: str | None) -> bool:
    """git's boolean: true, yes, on, any number but 0."""
    text = (value or "").strip().lower()
    return text in ("true", "yes", "on") or re.fullmatch(_NUMBER, text) is not None


def parse_size(text: str) -> int | None:
    """Bytes of a size such as 100m or 2G (git's k, m, g), or None where it is none."""
    scale = {"k": 1024, "m": 1024**2, "g": 1024**3}.get(text[-1:].lower(), 0)
    number = parse_int(text[:-1] if scale else text, _MAX_SIZE)
    return None if number is None else number * (scale or 1)
