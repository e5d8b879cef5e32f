"""Read and write config.yaml: round trips, files of other programs, damaged files."""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Callable

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from git_hub_session.errors import Damaged
from git_hub_session.session.config_file import (
    MAX_CONFIG_BYTES,
    append_setting,
    parse_config,
    render_config,
)
from tests.support.examples import many_examples
from tests.support.hub import CHECKOUT, PYTHON

ORDER = (
    "session_id",
    "task",
    "agent_count",
    "base_branch",
    "created",
    "eval_cmd",
    "metric",
    "direction",
    "baseline",
)
# The texts have any characters that UTF-8 can encode, and many special characters of the formats.
SPECIAL = [
    '"',
    "\\",
    "\n",
    "'",
    ":",
    "#",
    "- ",
    "|",
    ">",
    "!!",
    "&a",
    "*a",
    "%",
    "\0",
    "\x85",
    "\ufeff",
]
LINES = ['"\nagent_count: 9', "\neval_cmd: evil", '"\n', "\ntask: ", "  ", "\u2028", "\U0001f600"]
utf8 = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
texts = st.lists(st.one_of(utf8, st.sampled_from(SPECIAL + LINES)), max_size=8).map("".join)
values = st.fixed_dictionaries(
    {
        "session_id": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        "task": texts,
        "agent_count": st.integers(1, 999).map(str),
        "base_branch": texts,
        "created": st.just("2026-03-17T14:30:22.123456+00:00"),
    },
    optional={"eval_cmd": texts, "metric": texts, "direction": texts, "baseline": texts},
).map(lambda config: {key: config[key] for key in ORDER if key in config})


def read_as_agenthub(text: str) -> dict[str, str]:
    """Read a config.yaml as AgentHub's scripts do: line by line, without the quotes at the ends."""
    lines = [line.strip() for line in io.StringIO(text, newline=None)]
    pairs = [line.split(":", 1) for line in lines if ":" in line and not line.startswith("#")]
    return {key.strip(): value.strip().strip('"') for key, value in pairs}


def is_one_printable_line(text: str) -> bool:
    return text.isprintable() and not {*text} & {"\ufffe", "\uffff"}


@pytest.mark.slow
@many_examples(250)
@given(values)
def test_read_returns_the_written_values(config: dict[str, str]) -> None:
    """AgentHub reads the same task and command, except for spaces at the ends.

    PyYAML reads the same values if no text has a quote or a backslash.
    """
    text = render_config(config)
    assert parse_config(text) == config
    special = [key for key in ("task", "eval_cmd") if {*config.get(key, "")} & {*'"\\'}]
    if not special:
        assert yaml.load(text, Loader=yaml.BaseLoader) == config
    read = read_as_agenthub(text)
    if all(is_one_printable_line(value) for value in config.values()):
        for key in {"task", "eval_cmd"} & config.keys():
            assert read[key].strip() == config[key].strip()


@many_examples(250)
@given(values)
def test_agenthub_reads_no_setting_from_a_text(config: dict[str, str]) -> None:
    """AgentHub reads each line with a colon as a setting, so only settings may have such lines."""
    keys = [
        line.split(":")[0].strip()
        for line in render_config(config).splitlines()
        if ":" in line and not line.startswith("#")
    ]
    assert keys == list(config)


@many_examples(250)
@given(st.one_of(texts, st.text()))
def test_any_file_is_read_or_damaged(text: str) -> None:
    try:
        config = parse_config(text)
    except Damaged as error:
        assert error.message.startswith("config.yaml: ")
    else:
        assert all(isinstance(text, str) for pair in config.items() for text in pair)


@many_examples(250)
@given(texts, texts)
def test_a_file_of_agenthub_is_read_literally(task: str, command: str) -> None:
    """AgentHub escapes no text. No part of a task or a command is read as a setting."""
    if '"\nagent_count:' in command or '"\n' in command:
        command = "pytest bench.py"
    head = f'session_id: s1\ntask: "{task}"\nagent_count: 3\nbase_branch: dev\ncreated: 2026\n'
    expected = {
        "session_id": "s1",
        "task": task,
        "agent_count": "3",
        "base_branch": "dev",
        "created": "2026",
    }
    assert parse_config(head) == expected
    tail = f'eval_cmd: "{command}"\nmetric: p50_ms\ndirection: lower\nbaseline: 180\n'
    assert parse_config(head + tail) == {
        **expected,
        "eval_cmd": command,
        "metric": "p50_ms",
        "direction": "lower",
        "baseline": "180",
    }


def test_plain_texts_are_written_exactly_as_agenthub_does() -> None:
    text = (
        "session_id: 20260317-143022\n"
        'task: "Optimize: it\'s slow # really, 漢字"\n'
        "agent_count: 3\n"
        "base_branch: feature/x_1.10\n"
        "created: 2026-03-17T14:30:22.123456+00:00\n"
        'eval_cmd: "pytest bench.py --json"\n'
        "metric: p50 ms\n"
        "direction: lower\n"
        "baseline: -1.5e3\n"
    )
    assert render_config(parse_config(text)) == text


@pytest.mark.parametrize(
    ("task", "line"),
    [
        ('say "hi" now', 'task: "say "hi" now"'),
        ('"hi" and "bye"', 'task: " "hi" and "bye" "'),
        ("it's C:\\new", 'task: "it\'s C:\\new"'),
        ("two\nlines", "task: |2-\n  two\n  lines"),
        ("two\nlines: more", 'task: !!str "two\\nlines: more"'),
        ("\x1b[2J\x00", 'task: !!str "\\x1b[2J\\x00"'),
    ],
)
def test_styles_of_special_tasks(task: str, line: str) -> None:
    text = f"session_id: s1\n{line}\nagent_count: 1\nbase_branch: main\ncreated: 2026\n"
    config = parse_config(text)
    assert config["task"] == task
    assert render_config(config) == text


TEXTS = ('say "hi" to C:\\new', 'two "lines"\nof \\text: 1\neval_cmd: "no"')
ADDED_LINES = (
    "",
    "# a comment",
    "owner: me",
    'owner: "me"',
    "note: this: is no YAML",
    "not a setting",
    "tags: [a, b]",
    "---",
    "steps:\n  - one\n  - two",
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("metric: p50_ms", "metric: p50_ms # milliseconds"),
        ("metric: p50_ms", 'metric: p50_ms\t# the "median"'),
        ("base_branch: dev", "base_branch: dev  # not main"),
        ("baseline: 180", "baseline: 180 "),
        ("direction: lower", "direction  :\tlower\t"),
        ("agent_count: 3", "agent_count:   3"),
        ("agent_count: 3", "\tagent_count:3"),
        ("base_branch: dev", "  base_branch:dev"),
        ("direction: lower", "\tdirection:lower"),
        ("baseline: 180", "baseline:180"),
        ("baseline: 180", "baseline: 180\nowner:\n  metric: x\n# no\n  baseline: 1"),
        ("metric: p50_ms", '"metric": p50_ms'),
        ("metric: p50_ms", '"metric": "p50_ms"'),
        ("direction: lower", "'direction' : 'lower'"),
        ("task: ", "task:  "),
        ("eval_cmd: ", "eval_cmd  : "),
        ('now"', 'now" # to be done'),
        ('"x""', '"x"" # to be done'),
        ("\nagent_count", '\n# say "hi" again\nagent_count'),
        ("\nmetric", '\n# run "make" first\nmetric'),
    ],
)
def test_comments_and_spaces_change_no_value(old: str, new: str) -> None:
    """The texts have quotes, so that the file is no YAML."""
    text = (
        'session_id: s1\ntask: "say "hi" now"\nagent_count: 3\nbase_branch: dev\ncreated: 2026\n'
        'eval_cmd: "make "x""\nmetric: p50_ms\ndirection: lower\nbaseline: 180\n'
    )
    assert text.count(old) == 1
    assert parse_config(text.replace(old, new)) == parse_config(text)


@pytest.mark.parametrize("line", [" " * 500_000, '" ' * 250_000, '"#' * 250_000, "\t#" * 250_000])
def test_time_of_long_lines_is_linear(line: str) -> None:
    text = f'session_id: s\ntask: "a"{line}x\nagent_count: 3\nbase_branch: dev\ncreated: 2026\n'
    text += f'metric: a{line}b\neval_cmd: "a"{line}"\n'
    start = time.process_time()
    try:
        parse_config(text)
    except Damaged:
        pass
    assert time.process_time() - start < 5


@pytest.mark.parametrize("task", TEXTS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("line", ADDED_LINES)
def test_an_added_line_changes_no_other_line(line: str, line_end: str, task: str) -> None:
    """The line is before any line of AgentHub, or at the end. A second line is often at the end."""
    command = 'python -c "print(\'C:\\new\')" --json "x"'
    lines = [
        "session_id: s1",
        f'task: "{task}"',
        "agent_count: 3",
        "base_branch: dev",
        "created: 2026-03-17T14:30:22",
        f'eval_cmd: "{command}"',
        "metric: p50_ms",
        "direction: lower",
        "baseline: 180",
    ]
    expected = parse_config("\n".join(lines) + "\n")
    assert (expected["task"], expected["eval_cmd"]) == (task, command)
    for position in range(len(lines) + 1):
        if position == 2 and '"' in line:
            continue  # the task goes to the last quote before the number of agents
        for end in ((), ("template: optimizer", "guard: |2-", "  a", "  b")):
            added = [*lines[:position], line, *lines[position:], *end, ""]
            config = parse_config("\n".join(added).replace("\n", line_end))
            config["task"] = config["task"].replace("\r\n", "\n")
            assert {**config, **expected} == config, (position, end)
            assert (config.get("guard"), config.get("template")) == (
                ("a\nb", "optimizer") if end else (None, None)
            )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("require: {errors: 0}", "config.yaml: 'require' is not a list of texts"),
        ("guard: [a", "config.yaml: not valid YAML (key 'guard')"),
        ('metric: "p50', "config.yaml: not valid YAML (key 'metric')"),
    ],
)
def test_invalid_setting_in_the_layout_of_agenthub(line: str, message: str) -> None:
    text = (
        'session_id: s1\ntask: "say "hi" now"\nagent_count: 3\nbase_branch: dev\n'
        f'created: 2026\neval_cmd: "make "x" y"\n{line}\n'
    )
    with pytest.raises(Damaged) as error:
        parse_config(text)
    assert error.value.message == message


def test_last_line_of_a_key_counts() -> None:
    """AgentHub and YAML agree on that. AgentHub needs no space after the colon."""
    text = (
        'session_id: s1\ntask: "a "b" c"\nagent_count: 3   # three\nbase_branch: \'dev\'\n'
        "created: 2026\nmetric: a\nmetric: b\nbaseline:1\n"
    )
    assert parse_config(text) == {
        "session_id": "s1",
        "task": 'a "b" c',
        "agent_count": "3",
        "base_branch": "dev",
        "created": "2026",
        "metric": "b",
        "baseline": "1",
    }


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["metric: ms", "# the end", "mine: {a: [1]}"])
def test_a_setting_is_appended(last: str, line_end: str) -> None:
    """All other lines stay, also without a line end in the last line."""
    lines = ["session_id: s1", 'task: "a "b" c"', "agent_count: 3", "# dev", "base_branch: dev"]
    text = line_end.join([*lines, "created: 2026", last])
    expected = f"{text}{line_end}baseline: 1.5 s{line_end}"
    assert append_setting(text, "baseline", "1.5 s") == expected
    assert append_setting(text + line_end, "baseline", "1.5 s") == expected
    assert parse_config(expected) == {**parse_config(text), "baseline": "1.5 s"}


def test_yaml_scalars_stay_text() -> None:
    text = "session_id: 20260317\nbase_branch: no\nmetric: 1_000\nbaseline: 1.10\ntask: ~\ncreated: 2026-03-17\n"
    assert parse_config(text) == {
        "session_id": "20260317",
        "base_branch": "no",
        "metric": "1_000",
        "baseline": "1.10",
        "task": "~",
        "created": "2026-03-17",
    }


def test_a_file_of_another_layout_is_read_as_yaml() -> None:
    text = '# by hand\r\n"task": >-\r\n  one\r\n  line\r\nagent_count: 3   # three\r\nmine: {a: [1]}\r\n'
    assert parse_config(text) == {"task": "one line", "agent_count": "3"}
    lists = "task: t\nrequire: [errors==0, 'p99<1s']\nguard:\n- a b\n- c\nmine: [d]\n"
    expected = {"task": "t", "require": "errors==0\np99<1s", "guard": "a b\nc"}
    assert parse_config(lists) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config.yaml: empty"),
        ("# nothing\n", "config.yaml: empty"),
        ("just text", "config.yaml: not a mapping"),
        ("- a\n- b\n", "config.yaml: not a mapping"),
        ('task: "say "hi""\n', "config.yaml: not valid YAML (line 1)"),
        ("a: b: c\n", "config.yaml: not valid YAML (line 1)"),
        ("a: 1\n---\nb: 2\n", "config.yaml: not valid YAML (line 2)"),
        ("? [a]\n: b\n", "config.yaml: not valid YAML (line 1)"),
        ("a: &x [1]\nb: *x\n", "config.yaml: aliases are not allowed"),
        ("[" * 101 + "]" * 101, "config.yaml: nested too deeply"),
        ("a\0b", "config.yaml: not valid YAML"),
        ("require: {errors: 0}", "config.yaml: 'require' is not a list of texts"),
        ("guard: [[a]]", "config.yaml: 'guard' is not a list of texts"),
        ("\ud800", "config.yaml: not valid YAML"),
    ],
)
def test_damaged_files(text: str, message: str) -> None:
    with pytest.raises(Damaged) as error:
        parse_config(text)
    assert error.value.message == message


def test_tags_execute_nothing() -> None:
    tagged = "task: !!python/object/apply:os.system ['exit 1']\nmetric: !!python/name:os.system x\n"
    assert parse_config(tagged) == {"metric": "x"}


_HEAD = 'session_id: s1\ntask: "'
_TAIL = '"\nagent_count: 3\nbase_branch: main\ncreated: 2026\n'
HOSTILE_TEXTS: dict[str, Callable[[int], str]] = {
    "brackets": lambda n: "[" * n,
    "closed brackets": lambda n: "[" * (n // 2) + "]" * (n // 2),
    "braces": lambda n: "{a: " * (n // 4),
    "dashes": lambda n: "- " * (n // 2),
    "question marks": lambda n: "? " * (n // 2),
    "ends of a task": lambda n: _HEAD + '"\nagent_count:' * (n // 14),
    "quotes": lambda n: _HEAD + '"' * n + _TAIL + 'eval_cmd: "' + '"\n' * (n // 2),
    "spaces in the middle": lambda n: _HEAD + _TAIL.replace("main", "m" * n) + " " * n,
    "a metric": lambda n: _HEAD + _TAIL + "metric: " + "x " * (n // 2) + '"',
    "a bomb": lambda n: "a: &a [x,x]\n" + "".join(f"b{i}: &b{i} [*a,*a]\n" for i in range(n // 20)),
    "anchors": lambda n: "".join(f"k{i}: &a{i} x\n" for i in range(n // 16)),
    "tags": lambda n: "k: !" + "x" * n + " y\n",
    "keys": lambda n: "".join(f"k{i}: v\n" for i in range(n // 12)),
    "comments": lambda n: "#\n" * (n // 2) + "a: b",
    "a block": lambda n: "task: |\n" + "  x\n" * (n // 4),
    "blank lines": lambda n: "task: >\n  x\n" + "\n" * n + "  y\n",
    "documents": lambda n: "---\n" * (n // 4),
    "directives": lambda n: "%TAG !a! b\n" * (n // 11),
    "colons": lambda n: "a:" * (n // 2),
    "backslashes": lambda n: 'task: "' + "\\\\" * (n // 2) + '"\n',
    "flow": lambda n: "a: [" + "b, " * (n // 3) + "]\n",
}

_PARSE = """
import resource, sys
sys.path.insert(0, sys.argv[1])
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from git_hub_session.session.config_file import parse_config
from git_hub_session.errors import Damaged
try:
    print("read", len(parse_config(sys.stdin.read())))
except Damaged as error:
    print(error.message)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_the_largest_hostile_file_is_parsed_within_limits(name: str) -> None:
    """The parser needs less than 20 seconds of CPU time and 1 GiB. The C library does not crash."""
    text = HOSTILE_TEXTS[name](MAX_CONFIG_BYTES - 200)
    process = subprocess.run(
        [PYTHON, "-I", "-c", _PARSE, str(CHECKOUT)],
        input=text[:MAX_CONFIG_BYTES],
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith(("read ", "config.yaml: "))
