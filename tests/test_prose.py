"""The project's prose stays within its budgets, and the checker finds what it should find."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import prose
from tests.support.prose import MARKS, FirstLine, Offender, Share
from tests.support.prose_units import (
    PythonFile,
    Unit,
    markdown_units,
    mdoc_units,
    python_units,
    read_units,
)

# --- Budgets --------------------------------------------------------------------------------------


class Budget(NamedTuple):
    """The largest share of texts with marks, in percent."""

    name: str
    paths: tuple[Path, ...]
    kinds: tuple[str, ...]
    one_mark: float
    two_marks: float

    def allows(self, share: Share) -> bool:
        """Return True if neither share is larger than the budget."""
        return share.one_mark <= self.one_mark and share.two_marks <= self.two_marks


COMMENTARY = ("docstring", "attribute", "comment")
BUDGETS = (
    Budget("docstrings and comments", (prose.PACKAGE,), COMMENTARY, one_mark=10, two_marks=0),
    Budget("messages", (prose.PACKAGE,), ("message",), one_mark=3, two_marks=0),
    Budget("README and others", prose.PAGES, ("markdown",), one_mark=12, two_marks=1),
    Budget("man page", (prose.MANUAL,), ("mdoc",), one_mark=12, two_marks=1),
    Budget("docs", (prose.DOCS,), ("markdown",), one_mark=12, two_marks=1),
)
BAD_FIRST_LINES = 0

MOST_OFFENDERS = 40


@cache
def units_in(paths: tuple[Path, ...]) -> list[Unit]:
    """Return the units, and read each file once for all budgets."""
    return read_units(paths)


def report(summary: str, offenders: list[Offender]) -> str:
    """Return the text of a failure: the summary and the worst offenders."""
    worst = [str(offender) for offender in offenders[:MOST_OFFENDERS]]
    return "\n".join([summary, *worst, "All offenders: python -m tests.support.prose"])


@pytest.mark.parametrize("budget", BUDGETS, ids=[budget.name for budget in BUDGETS])
def test_prose_stays_within_its_budget(budget: Budget) -> None:
    units = [unit for unit in units_in(budget.paths) if unit.kind in budget.kinds]
    assert units, f"no texts of '{budget.name}' were found"
    share = prose.share_of_marks(units)
    if not budget.allows(share):
        summary = (
            f"{budget.name}: {share.one_mark:.1f} % of {share.units} texts have a mark"
            f" (limit: {budget.one_mark} %), {share.two_marks:.1f} % have two"
            f" (limit: {budget.two_marks} %)"
        )
        pytest.fail(report(summary, prose.find_offenders(units)), pytrace=False)


def test_first_lines_of_docstrings_keep_the_rules() -> None:
    offenders = prose.find_bad_first_lines([prose.PACKAGE])
    if len(offenders) > BAD_FIRST_LINES:
        pytest.fail(report(f"{len(offenders)} first lines break a rule", offenders), pytrace=False)


def test_a_budget_is_exceeded_by_either_share() -> None:
    budget = Budget("x", (), (), one_mark=10, two_marks=1)
    assert budget.allows(Share(100, 10, 1))
    assert not budget.allows(Share(100, 11, 1))
    assert not budget.allows(Share(100, 10, 2))


def test_a_failure_prints_the_worst_offenders_first() -> None:
    units = [
        Unit("comment", prose.CHECKOUT / "a.py", 1, "Nobody has the lock."),
        Unit("comment", prose.CHECKOUT / "a.py", 2, "Lock the session first."),
        Unit("comment", Path("/else/b.py"), 3, "Of a step that nobody wrote."),
    ]
    assert report("2 texts", prose.find_offenders(units)).splitlines()[:3] == [
        "2 texts",
        "/else/b.py:3: fragment [Of], vague agent [nobody]: Of a step that nobody wrote.",
        "a.py:1: vague agent [Nobody]: Nobody has the lock.",
    ]
    assert prose.share_of_marks([*units, units[1]]) == Share(4, one_mark=50, two_marks=25)


# --- Marks ----------------------------------------------------------------------------------------

ODD = {
    "clause for a noun": [
        "Clean up for who holds the lock.",
        "Tell who has called.",
        "Ask for what it holds.",
        "It is removed by whoever comes next.",
    ],
    "fragment": [
        "Of a session without agents.",
        "Where the session is archived.",
        "For a worktree without a branch.",
        "Not the branch of another session.",
    ],
    "vague agent": [
        "Remove a lock that nobody holds.",
        "Keep the branch that is one.",
        "Return the transitions that there are.",
        "Of all paths there is none of ours.",
    ],
    "odd word": ["Mend the link.", "The session is over.", "The directory lies elsewhere."],
    "clause first": ["What the run wrote, stays.", "Whether it runs: see the table."],
    "double relative": [
        "Remove what git wrote after what we wrote.",
        "Read the file that names the directory that holds the ref that moved.",
    ],
    "loose pronoun": ["It is removed at the end.", "Both are kept.", "One that has a branch."],
}
PLAIN = [
    "Clean up while the caller holds the session lock. Do not archive the branch.",
    "Return True if an interrupted removal may only be finished, not undone.",
    "The commit that HEAD points to, or ''.",
    "Raise IllegalTransition if the state machine has no step from X to X.",
    "Lock before the rename: X removes the git dir of a missing, unlocked worktree.",
    "In a bare repository, print the path of the git dir.",
    "With X, remove the worktree even if config.yaml is missing, and keep its branch.",
    "At most 40 lines.",
    "Not every file system supports links.",
    "Where possible, read the refs in-process.",
    "Tell the user what to do.",
    "The hint says what is wrong.",
    "Describe what it does.",
    "Each command runs in its own session.",
    "One row per session.",
    "Check that there are no unknown options.",
    "One of the paths is a link.",
    "It is unsafe to delete a ref with libgit2.",
    "The value is over 10.",
    "nothing to merge: 'main' already contains the commits of agent-1",
]


def test_each_mark_has_a_bad_example() -> None:
    assert set(ODD) == {mark.name for mark in MARKS}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in ODD for text in ODD[name]])
def test_a_mark_is_found_in_odd_prose(name: str, text: str) -> None:
    assert name in prose.marks_in(text)


@pytest.mark.parametrize("text", PLAIN)
def test_no_mark_is_found_in_plain_prose(text: str) -> None:
    assert prose.marks_in(text) == ()


# --- First lines ----------------------------------------------------------------------------------

FIRST_LINES = [
    ("read", "Return the path.", ()),
    ("read", "Pass the path to git.", ()),
    ("read", "Lock, read, change and replace the file.", ()),
    ("read", "What git reads.", ("first line starts with a question word",)),
    ("is_open", "Return True if the file is open.", ()),
    ("can_read", "Check the file.", ("no 'Return True if'",)),
    ("_has_lock", "Return the lock.", ("no 'Return True if'",)),
    ("read", "Returns the path.", ("no imperative",)),
    ("read", "The path.", ("no imperative",)),
    ("read", "Paths that git reads.", ("no imperative",)),
    ("read", "Path of the session.", ("no imperative",)),
    ("read", "Recursively read all files.", ("no imperative",)),
    ("read", "Return the path", ("no full stop at the end of the first line",)),
    ("read", f"Return {'x' * 83}.", ("first line too long",)),
    ("read", f"Return {'x' * 82}.", ()),
    ("", "The path of the session.", ()),
    ("", "Whether the file is open.", ("first line starts with a question word",)),
]


@pytest.mark.parametrize(("name", "text", "broken"), FIRST_LINES)
def test_first_line_rules(name: str, text: str, broken: tuple[str, ...]) -> None:
    assert prose.broken_rules(FirstLine(name, text)) == broken


def test_a_property_and_an_attribute_have_no_imperative(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text(PYTHON)
    found = [(each.line, each.faults) for each in prose.find_bad_first_lines([tmp_path])]
    assert found == [(21, ("no imperative",))]


# --- Units ----------------------------------------------------------------------------------------

PYTHON = '''\
"""The module."""

# A comment that
# has two lines.
LIMIT = 5  # megabytes of memory
"""The "largest" size."""
x = 1  # type: ignore[misc]
# ------------------------------


class Stuck(RuntimeError):
    """The command cannot go on with `x`."""

    @property
    def size(self) -> int:
        """The size."""
        return 1


def stop(size: int) -> None:
    """A function."""
    if size:
        raise Stuck("stop at " + "once" if size else f"size {size} is too large")
    print("not a message")
    reporter.note("the session is archived")
    Stuck("code")
    read("file name", hint="try it again")
'''


def test_units_of_a_python_file() -> None:
    path = Path("code.py")
    units = python_units([PythonFile(path, PYTHON, ast.parse(PYTHON))])
    assert sorted((unit.line, unit.kind, unit.text) for unit in units) == [
        (1, "docstring", "The module."),
        (3, "comment", "A comment that has two lines."),
        (5, "comment", "megabytes of memory"),
        (6, "attribute", "The X size."),
        (12, "docstring", "The command cannot go on with X."),
        (16, "docstring", "The size."),
        (21, "docstring", "A function."),
        (23, "message", "size X is too large"),
        (23, "message", "stop at"),
        (25, "message", "the session is archived"),
        (27, "message", "try it again"),
    ]


MARKDOWN = """\
# No heading is read

The first paragraph
has `two` [lines](https://example.org/).
- the first item
  goes on
- the second item

```
no code is read
```

| a header cell | of a table |
|---|---|
| short | a cell of *four* words |

    no indented code either
"""


def test_units_of_a_markdown_file() -> None:
    units = markdown_units(Path("a.md"), MARKDOWN)
    assert [(unit.line, unit.text) for unit in units] == [
        (3, "The first paragraph has X lines."),
        (5, "the first item goes on"),
        (7, "the second item"),
        (13, "a header cell"),
        (13, "of a table"),
        (15, "a cell of four words"),
    ]


MDOC = """\
.\\" No comment is read.
.Sh DESCRIPTION
.Nm
reads the file
.Pa config.yaml .
.Pp
The second paragraph.
.Bd -literal
no display is read
.Ed
.It Fl Fl force
Remove it anyway.
"""


def test_units_of_a_manual_page() -> None:
    units = mdoc_units(Path("a.1"), MDOC)
    assert [(unit.line, unit.text) for unit in units] == [
        (3, "X reads the file X."),
        (7, "The second paragraph."),
        (12, "Remove it anyway."),
    ]
