"""git hub-session completion: print the completion script of a shell."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import FORMAT, Arguments, Option, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, View, make_record
from git_hub_session.commands import COMMANDS
from git_hub_session.commands._script.view import ScriptView, read_script
from git_hub_session.completion.complete import (
    WORDS,
    Completion,
    complete_command,
    complete_word,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context

SCRIPTS = {
    "bash": "completion/bash.sh",
    "zsh": "completion/zsh.zsh",
    "fish": "completion/fish.fish",
}
"""The shells, and the files with their scripts."""

USAGE = Usage(
    ("completion (bash | zsh | fish)", "completion --words -- [<word>...]"),
    (Option("--words", "complete the last of the words; the scripts use it"), *FORMAT),
    max_arguments=1,
    takes_command=True,
)


def run(context: Context, args: Arguments) -> ScriptView | WordsView:
    """Return the script of a shell, or the words that complete a command line."""
    if args.is_set("words"):
        return WordsView(_complete(args.command or ("",), context))
    return read_script(args.argument, SCRIPTS)


def _complete(words: Sequence[str], context: Context) -> Completion:
    """Complete the last of the words after `git hub-session`."""
    name, *rest = words
    if not rest:
        return complete_command({command: row.summary for command, row in COMMANDS.items()}, name)
    if name not in COMMANDS:
        return Completion(WORDS)
    usage = __import__(COMMANDS[name].module, fromlist=["USAGE"]).USAGE
    return complete_word(usage, rest, context)


class WordsView(View):
    """The words that complete a command line, each with a description after a tab."""

    wraps = False

    def __init__(self, completion: Completion) -> None:
        self.completion = completion

    def document(self) -> dict[str, Any]:
        words = [candidate._asdict() for candidate in self.completion.candidates]
        return {"kind": self.completion.kind, "words": words}

    def records(self) -> list[Record]:
        candidates = (candidate._asdict() for candidate in self.completion.candidates)
        return [make_record({"kind": self.completion.kind}), *map(make_record, candidates)]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        rows = ("\t".join(candidate) for candidate in self.completion.candidates)
        return TextOutput([self.completion.kind, *rows])
