"""Parse git's configuration syntax, for the settings that are read before libgit2 is loaded.

Source: git-config(1), "Syntax". Included files are not read. git reads the settings that locate
a repository (core.bare, core.worktree) from one file, without its includes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from git_hub_session._typing import NamedTuple
from git_hub_session.util.numbers import parse_int, parse_octal

# Patterns that most files do not need are strings: compiling them is slow.

# One line without its comment. A backslash continues a line, but not a comment.
_LINE = r"""((?:\\\r?\n|\\.|"(?:\\\r?\n|\\.|[^"\\\n])*"|[^#;\n])*)(?:[#;].*)?(?:\n|\Z)"""
_CONTINUATION = r"\\\r?\n"
_SUBSECTION = r'\[([A-Za-z0-9.-]+)[ \t]+"((?:[^"\\]|\\.)*)"\]'
_SPACE = " \t\r\n"  # git's white space: str.strip() would also remove that of Unicode
_MAX_SETTINGS = 9_999  # the largest accepted GIT_CONFIG_COUNT
_MAX_SIZE = 10**15 - 1
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}
_PARAMETER = r"'((?:[^']|'\\'')*)'(?:(=)(?:'((?:[^']|'\\'')*)')?)?(?:\s+|$)"


class ConfigEntry(NamedTuple):
    """One value of a setting, and its origin as in `git config --show-origin`."""

    name: str
    """The name, with section and variable in lower case."""
    value: str
    origin: str
    """The text "command line:", or "file:" and a path."""


def parse_git_config(text: str) -> dict[str, str]:
    """Parse a configuration file. The last value of a setting wins: {"core.bare": "true"}.

    Section and name are in lower case, and the subsection keeps its case. A name without '=' has
    the value "true". Invalid lines are skipped: git itself reports them.
    """
    return dict(parse_git_settings(text))


def parse_git_settings(text: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of a configuration file in their order, as parse_git_config()."""
    for name, value in _parse_lines(text):
        if name:
            yield name, value


def find_invalid_lines(text: str) -> list[str]:
    """Return the lines that parse_git_settings() skips, without comments and empty lines."""
    return [line for name, line in _parse_lines(text) if not name and line]


def _parse_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each line, or '' and the line if it sets nothing."""
    section = ""
    for full_line in _logical_lines(text):
        line = full_line.strip(_SPACE)
        if line.startswith("["):
            header, line = _split_header(line)
            section = header or section
        name, equals, value = line.partition("=")
        name = name.rstrip(" \t")
        if section and _is_variable_name(name):
            parsed = _parse_value(value.lstrip(" \t")) if equals else "true"
            yield f"{section}.{name.lower()}", parsed
        else:
            yield "", line


def _split_header(line: str) -> tuple[str, str]:
    """Return the section in the header, or '' if it is not valid, and the rest of the line."""
    section, bracket, rest = line[1:].partition("]")
    if bracket and section.isascii() and section.replace("-", "").replace(".", "").isalnum():
        return section.lower(), rest.strip(_SPACE)
    header = re.match(_SUBSECTION, line)
    if header is None:
        return "", line
    name = f"{header[1].lower()}.{_unescape(header[2])}"
    return name, line[header.end() :].strip(_SPACE)


def _unescape(text: str) -> str:
    """Return the name of a subsection without its backslashes."""
    return re.sub(r"\\(.)", r"\1", text) if "\\" in text else text


def _logical_lines(text: str) -> list[str]:
    """Split the text into lines. Join continued lines, and remove comments."""
    if not any(char in text for char in "\\#;"):
        return text.split("\n")
    return [re.sub(_CONTINUATION, "", line) for line in re.findall(_LINE, text)]


def _is_variable_name(text: str) -> bool:
    return text.isascii() and text[:1].isalpha() and text.replace("-", "").isalnum()


def _parse_value(text: str) -> str:
    if '"' not in text and "\\" not in text:
        return text.rstrip(_SPACE)
    chars: list[str] = []
    is_quoted = False
    length = 0  # without white space at the end, which counts only inside quotes
    position = 0
    while position < len(text):
        char = text[position]
        if char == "\\" and position + 1 < len(text):
            position += 1
            chars.append(_ESCAPES.get(text[position], text[position]))
            length = len(chars)
        elif char == '"':
            is_quoted = not is_quoted
        else:
            chars.append(char)
            if is_quoted or char not in _SPACE:
                length = len(chars)
        position += 1
    return "".join(chars[:length])


def config_from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of `git -c` and GIT_CONFIG_COUNT. libgit2 does not read them."""
    return dict(settings_from_environment(environ))


def settings_from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the settings of `git -c` and GIT_CONFIG_COUNT in their order."""
    for number in range(parse_int(environ.get("GIT_CONFIG_COUNT", ""), _MAX_SETTINGS) or 0):
        name = environ.get(f"GIT_CONFIG_KEY_{number}", "")
        if name:
            yield _fold_key(name), environ.get(f"GIT_CONFIG_VALUE_{number}", "")
    parameters = environ.get("GIT_CONFIG_PARAMETERS")
    # Without a parameter, do not compile the pattern: `list` would take 1 % longer.
    for match in re.finditer(_PARAMETER, parameters) if parameters else ():
        name, equals, value = (part and part.replace("'\\''", "'") for part in match.groups())
        if not equals:
            name, equals, value = name.partition("=")  # the format of git before 2.31
            value = value if equals else None
        if name:
            yield _fold_key(name), "true" if value is None else value


def settings_variables(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that add settings to those of GIT_CONFIG_COUNT.

    A name can contain '=', which `git -c` does not accept.
    """
    if not settings:
        return {}
    start = parse_int(environ.get("GIT_CONFIG_COUNT", ""), _MAX_SETTINGS) or 0
    variables = {"GIT_CONFIG_COUNT": str(start + len(settings))}
    for number, (name, value) in enumerate(settings.items(), start):
        variables[f"GIT_CONFIG_KEY_{number}"] = name
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def _fold_key(name: str) -> str:
    """Return the key with section and name in lower case. The subsection keeps its case."""
    section, _, rest = name.partition(".")
    subsection, dot, variable = rest.rpartition(".")
    return f"{section.lower()}.{subsection}{dot}{variable.lower()}"


def is_true(value: str | None) -> bool:
    """Return True if git reads the value as true: true, yes, on, or a number other than 0."""
    text = (value or "").strip().lower()
    if text in ("true", "yes", "on"):
        return True
    return bool(parse_size(text[1:] if text.startswith(("+", "-")) else text))


def is_false(value: str) -> bool:
    """Return True if git reads the value as false: false, no, off, 0, or an empty value."""
    return value.strip().lower() in ("false", "no", "off", "0", "")


def shared_directory_mode(value: str, mode: int) -> int:
    """Return the mode of a new directory with a value of core.sharedRepository (git's path.c)."""
    words = {"group": 0o660, "all": 0o664, "world": 0o664, "everybody": 0o664, "umask": 0}
    granted = words.get(value)
    number = parse_octal(value, 9)
    if number is not None:
        granted = (0, 0o660, 0o664)[number] if number < 3 else number & 0o666
        if number >= 3:
            if granted & 0o600 != 0o600:
                return mode  # git rejects the value
            mode &= ~0o777
    if granted is None:
        granted = 0o660 if is_true(value) else 0
    mode |= granted | (granted & 0o444) >> 2
    return mode | 0o2000 if granted & 0o060 else mode


def parse_size(text: str) -> int | None:
    """Parse a size such as 100m or 2G into bytes. Return None if the text is not a size."""
    factor = {"k": 1024, "m": 1024**2, "g": 1024**3}.get(text[-1:].lower(), 0)
    number = parse_int(text[:-1] if factor else text, _MAX_SIZE)
    return None if number is None else number * (factor or 1)
