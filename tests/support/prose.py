"""Find prose that is hard to read.

A *mark* is a pattern that plain technical English rarely needs. One mark can be a false alarm;
two marks in one text rarely are. A text without a mark can still be hard to read. The first lines of
docstrings have their own rules.

`python -m tests.support.prose [PATH...]` prints each text that has a mark, each first line
that breaks a rule, and a table. Without a PATH it reads the whole project.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.prose_units import (
    Documented,
    Unit,
    attributes,
    docstrings,
    read_python_files,
    read_units,
)

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "git_hub_session"
PAGES = tuple(CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
MANUAL = CHECKOUT / "man"
DOCS = CHECKOUT / "docs"


# --- Marks ----------------------------------------------------------------------------------------

LONGEST_MATCH = 30


class Mark(NamedTuple):
    """A pattern of prose that is hard to read."""

    name: str
    reason: str
    pattern: re.Pattern[str]

    def find(self, text: str) -> str:
        """Return the beginning of the first match, or ''."""
        match = self.pattern.search(text)
        found_text = match[0].strip() if match else ""
        return found_text if len(found_text) <= LONGEST_MATCH else found_text[:LONGEST_MATCH] + "…"


def _any_word(text: str) -> str:
    """Return a pattern that matches any of the words."""
    return f"(?:{'|'.join(text.split())})"


def _compile(pattern: str, flags: re.RegexFlag = re.IGNORECASE) -> re.Pattern[str]:
    return re.compile(pattern, flags | re.VERBOSE)


# Words before a noun, as in "for the holder". A clause is hard to read here: "for who holds it".
BEFORE_CLAUSE = _any_word(
    "and are as at before but by for from in is know knows of on or say says tell tells than that"
    " to where whether with"
)
CLAUSE_VERBS = _any_word(
    "acts are calls came can cannot comes could did does fails failed follow follows goes had has"
    " have held holds is keeps kept lies listens looks loses lost made makes may might no posts"
    " ran reads remains runs said stands stays stood there to took takes wants was went were will"
    " works worked would wrote"
)
CLAUSE_SUBJECTS = _any_word("a an git he it nobody one somebody the they we")

CLAUSE_FOR_NOUN = rf"""
    (?: (?:^|[,;:.(]\ ?) | \b{BEFORE_CLAUSE}\ (?!what\ to\b) )
    (?:what|who|whoever|whom|whose)\ (?!is\ wrong\b|it\ (?:does|is)\b(?!\ (?:about|not)\b))
    (?:{CLAUSE_VERBS}|{CLAUSE_SUBJECTS})\b
"""
# "Of a session without agents." But: "In a bare repository, ..." and "Not every ...".
FRAGMENT = r"""
    ^(?: (?:Besides|Of|Off|That|Those|Where(?!\ (?:possible|necessary)))\b
       | Such\b(?!\ an?\ )
       | Not\b(?!\ (?:all|every|only)\b)
       | (?:After|As|At|Before|By|For|From|In|Like|Once|To|Under|With|Without)\b
         (?! -\w | \ (?:least|most|default|addition|example|instance|usual)\b
             | (?:[^.;:]|[.:](?=\S)){1,70},\ (?!(?:and|but|or)\b) ) )
"""
VAGUE_AGENT = r"""
    \b(?: anybody | nobody | somebody | whoever | no\ one(?!\ of) | all\ of\ it | nothing\ of
        | none\ of(?!\ (?:\d|the\b|these\b)) | of\ (?:ours|theirs|(?:his|its)\ own)
        | (?<!there\ )is\ one(?=[.,;:)]|$|\ (?:already|and|here|or|that|there|which|who)\b)
        | (?-i:(?:are|is|was)\ none) | that\ there\ (?:are|is)(?!\ (?:an?|no)\b) )\b
"""
# "What it holds, goes with it."
CLAUSE_FIRST = r"^(?:How|What|Where(?!\ possible)|Whether|Which|Who|Why)\b[^.?]*[,:;]"
DOUBLE_RELATIVE = r"""
    \bthat\b[^.;]{0,60}\bthat\b[^.;]{0,40}\bthat\b
    | \b(what|where|which|who)\b[^.;]{0,50}\b\1\b
"""
# "It is over." But: "It is unsafe to ...", "Each command has ...", "One of the paths is ...".
IMPERSONAL = _any_word("cheaper enough impossible possible safe unsafe useful")
AFTER_PRONOUN = _any_word(
    r"are can cannot does do has have in is of(?!\sthe\b) that was were which who"
)
LOOSE_PRONOUN = rf"""
    ^(?: It\b(?!\ (?:is|would\ be)\ {IMPERSONAL}\ (?:that|to)\b)
       | (?:All\ of|Its|The\ same|Them|They|Those)\b
       | (?:Both|Each|One)\ {AFTER_PRONOUN}\b )
"""
ODD_WORDS = r"""
    mend(?:s|ed|ing)? | anew | meanwhile | besides | uprooted | torso | half[- ]made | by\ half
    | (?:are|is)\ (?:said|told) | was\ told | said\ of | tells?\ of | hears?\ of
    | told\ (?:apart|by|of|that|to) | lies | lay\ there | stands?\ in | stands\ there | stood\ in
    | goes\ along | moved\ along | put\ right | set\ right | cut\ in\ two | cut\ off | taken\ off
    | take\ back | takes?\ away | taken\ away | took\ away | comes\ to\ its\ end
    | is\ over(?!\ \d) | in\ the\ way(?!\ (?:of|that)\b) | as\ far\ as(?!\ possible)
    | hard(?:ly)?\ any | by\ hand\ it
"""

MARKS = (
    Mark("clause for a noun", "name the person or the thing", _compile(CLAUSE_FOR_NOUN)),
    Mark("fragment", "a sentence needs a subject and a verb", _compile(FRAGMENT, re.NOFLAG)),
    Mark("vague agent", "name the program, the user or the file", _compile(VAGUE_AGENT)),
    Mark("odd word", "use a common verb, or git's term", _compile(rf"\b(?:{ODD_WORDS})\b")),
    Mark("clause first", "put the main clause first", _compile(CLAUSE_FIRST)),
    Mark("double relative", "write one idea per sentence", _compile(DOUBLE_RELATIVE)),
    Mark("loose pronoun", "begin with the noun", _compile(LOOSE_PRONOUN)),
)


class Offender(NamedTuple):
    """A text, and its marks or the rules that it breaks."""

    path: Path
    line: int
    faults: tuple[str, ...]
    """The names of the marks with the words that match, or the broken rules."""
    text: str

    def __str__(self) -> str:
        path = self.path.relative_to(CHECKOUT) if CHECKOUT in self.path.parents else self.path
        return f"{path}:{self.line}: {', '.join(self.faults)}: {self.text}"


def marks_in(text: str) -> tuple[str, ...]:
    """Return the names of the marks in a text."""
    return tuple(mark.name for mark in MARKS if mark.find(text))


def find_offenders(units: Iterable[Unit]) -> list[Offender]:
    """Return the units with a mark, those with the most marks first."""
    offenders = []
    for unit in units:
        matches = [(mark.name, mark.find(unit.text)) for mark in MARKS]
        faults = tuple(f"{name} [{found_text}]" for name, found_text in matches if found_text)
        if faults:
            offenders.append(Offender(unit.path, unit.line, faults, unit.text))
    return sorted(offenders, key=lambda offender: -len(offender.faults))


class Share(NamedTuple):
    """The units with marks, as a share of all units in percent."""

    units: int
    one_mark: float
    two_marks: float


def share_of_marks(units: Iterable[Unit]) -> Share:
    """Count the units that have a mark, and those that have two or more."""
    counts = [len(marks_in(unit.text)) for unit in units]
    percent = 100 / max(1, len(counts))
    with_one = sum(count >= 1 for count in counts)
    with_two = sum(count >= 2 for count in counts)
    return Share(len(counts), percent * with_one, percent * with_two)


# --- First lines of docstrings --------------------------------------------------------------------


class FirstLine(NamedTuple):
    """The first line of a docstring."""

    name: str
    """The name of the function, or '' for a module, class, property or attribute."""
    text: str


class Rule(NamedTuple):
    """A rule for first lines."""

    name: str
    holds: Callable[[FirstLine], bool]


LONGEST_FIRST_LINE = 90
PREDICATE = re.compile(r"_?(?:is|has|can)_")
QUESTION_WORD = re.compile(r"(?:How|Of|What|Whether|Where|Which|Who|Whose|Why)\b")
# No list of verbs is complete. So the rule has a list of words and endings that are no imperatives.
NO_VERB = _any_word(
    "A After All Also An Another Any Are As At Both Before By Called Can During Each Every False For"
    " From He If In Is It Its Just Like Must Never New No None Not On Once One Only Or Our Same"
    " Should Such Taken That The Their There These They This Those True To Under Until Upon We"
    " When While Whom Will With Without You"
)
# "Returns", "Returned", "Returning", "Recursively"; but "Pass", "Need", "Bring", "Apply".
INFLECTED = r"\w+(?:[^s]s|ed|ing|ly)\b(?<!Focus)(?<!Bring)(?<!Ping)(?<!eed)(?<!Embed)(?<!ply)"
# "Path of the session."; but "Dispose of the session."
NOUN_OF = r"\w+\ of\b(?<!Dispose\ of)"
NOT_IMPERATIVE = _compile(rf"(?:{NO_VERB}|{INFLECTED})\b|{NOUN_OF}", re.NOFLAG)


def _is_imperative(text: str) -> bool:
    """Return True if the first word can be an imperative."""
    is_word = re.match(r"[A-Z][a-z-]+(?![\w'])", text) is not None
    return is_word and not NOT_IMPERATIVE.match(text)


FIRST_LINE_RULES = (
    Rule("first line too long", lambda line: len(line.text) <= LONGEST_FIRST_LINE),
    Rule("no full stop at the end of the first line", lambda line: line.text.endswith(".")),
    Rule("first line starts with a question word", lambda line: not QUESTION_WORD.match(line.text)),
    Rule("no imperative", lambda line: not line.name or _is_imperative(line.text)),
    Rule(
        "no 'Return True if'",
        lambda line: not PREDICATE.match(line.name) or line.text.startswith("Return True if "),
    ),
)


def broken_rules(line: FirstLine) -> tuple[str, ...]:
    """Return the names of the rules that a first line breaks."""
    return tuple(rule.name for rule in FIRST_LINE_RULES if not rule.holds(line))


def find_bad_first_lines(paths: Iterable[Path]) -> list[Offender]:
    """Return the docstrings whose first line breaks a rule."""
    offenders = []
    for path, _, tree in read_python_files(paths):
        for number, line in _first_lines(tree):
            if rules := broken_rules(line):
                offenders.append(Offender(path, number, rules, line.text))
    return offenders


def _first_lines(tree: ast.Module) -> Iterator[tuple[int, FirstLine]]:
    for node, text in docstrings(tree):
        yield node.body[0].lineno, FirstLine(_function_name(node), text.splitlines()[0])
    for number, text in attributes(tree):
        yield number, FirstLine("", text.strip().splitlines()[0])


def _function_name(node: Documented) -> str:
    """Return the name of a function or method, or '' for a property, a class or a module."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    is_property = any(
        ast.unparse(decorator).endswith("property") for decorator in node.decorator_list
    )
    return "" if is_property else node.name


# --- Output ---------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    """Print the offenders, the reasons for the marks, and the share of each kind of text."""
    paths = [Path(argument) for argument in arguments] or [PACKAGE, *PAGES, MANUAL, DOCS]
    units = read_units(paths)
    for offender in (*find_offenders(units), *find_bad_first_lines(paths)):
        print(offender)
    print(f"\n{'mark':<18} {'texts':>6}  reason")
    for mark in MARKS:
        count = sum(1 for unit in units if mark.find(unit.text))
        print(f"{mark.name:<18} {count:>6}  {mark.reason}")
    print(f"\n{'kind':<18} {'texts':>6} {'one mark or more':>17} {'two or more':>12}")
    for kind in dict.fromkeys(unit.kind for unit in units):
        share = share_of_marks(unit for unit in units if unit.kind == kind)
        print(f"{kind:<18} {share.units:>6} {share.one_mark:>15.1f} % {share.two_marks:>10.1f} %")


if __name__ == "__main__":
    main(sys.argv[1:])
