"""Run git push, fetch and ls-remote for one remote, with a silence limit and retries.

git runs as for the user: its credential helpers, the configuration of ssh, proxies and hooks apply.
A remote is hostile input: its texts are escaped and shortened, and its lines are parsed strictly.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import sleep

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed, HubError
from git_hub_session.git.config import settings_variables
from git_hub_session.git.process import NoAnswer, Surroundings, run_git
from git_hub_session.git.ref_names import REFS, is_object_id
from git_hub_session.util.text import decode_terminal_line

if TYPE_CHECKING:
    from git_hub_session.git.command import Git

PAUSES = (1.0, 2.0, 4.0)
"""The seconds between the tries of a command whose connection failed."""
SILENCE_LIMIT = 120.0
"""The seconds after which a git that writes nothing, not even its progress, is ended."""

REFUSED, UNCHANGED, CREATED, DELETED = "!", "=", "*", "-"
"""The flags of `git push --porcelain` (git-push(1)). Updates have " " or "+" (forced)."""

# Another push has changed one of the refs at the same time, or the server cannot write them.
_RACED = "atomic transaction failed"
_FOLLOWING = {"atomic push failed", "atomic push failure", _RACED}
"""The reasons of refs that are refused because another ref is."""

_MOVED = (
    "stale info",
    "non-fast-forward",
    "fetch first",
    "failed to update ref",
    "cannot lock ref",
    _RACED,
)
"""The starts of the reasons of a ref that another clone may have changed."""
_MAX_LINES = 20
_MAX_LINE = 300  # characters
_ANSWER = re.compile(rb"([ +\-*=!])\t([^\t\n]*):([^\t:\n]+)\t(.*)")
_SUMMARY = r"([0-9a-f]{40,64})\.\.\.?([0-9a-f]{40,64})"
_REASON = r".*?\] \((.*)\)"
_PASSWORD = r"(?<=://)[^/@\s]*@"
_PROGRESS = r"remote:$|(remote: )?[A-Z][a-z]+ing (objects|deltas|for updates|reused)?.*\d|Total \d|Delta compression|To \S"
_FATAL = (
    r"(?:fatal|error|ssh|kex_exchange_identification): (.*)|(.*: Permission denied .*)|.*errno=(.*)"
)
_OF_GIT = r"fatal: |hint: |error: (failed to push|atomic push)"
_OF_SERVER = r"remote: (?!error: hook declined to update)(.*)"
_AFTERWARDS = r"Could not read from remote repository|failed to push some refs"
# git fails with these messages again, so a retry does not help. All of them are in English.
_PERMANENT = (
    r"does not appear to be a git repository|not found|[Aa]ccess denied|Permission denied"
    r"|Authentication failed|could not read (Username|Password)|Host key verification failed"
    r"|couldn't find remote ref|invalid refspec|not a valid object|No such remote|dubious ownership"
    r"|the receiving end does not support"
    r"|strange (pathname|hostname)|transport '.*' not allowed|is not a git command|Unable to find remote helper|bad config"
)
# git can end with status 1 if the connection fails after its start, or if another process has a lock
# or is creating or removing a worktree.
_TEMPORARY = (
    r"hung up|RPC failed|unexpected disconnect|early EOF|failed to report status"
    r"|cannot lock ref|Unable to create '.*\.lock'|bad object worktrees/"
)
_WEB_ERROR = r"returned error: [45]\d\d\b"
_NO_STATUS = "remote failed to report status"

# git does not translate its messages. The programs that it starts keep the language of the user.
# The guard of this program (hooks/) does not check the changes of its own commands.
_VARIABLES = {"GIT_TEXTDOMAINDIR": os.devnull, "GIT_HUB_SESSION_GUARD": "off"}


class RemoteFailed(HubError):
    """A git command that could not use a remote."""

    code = "remote-failed"


class RemoteRefused(RemoteFailed):
    """A server of the web that refuses requests, for example because of a rate limit."""

    code = "remote-refused"
    exit_code = 1


class RefAnswer(NamedTuple):
    """The answer of a remote for one ref of a push."""

    flag: str
    """One of the flags of `git push --porcelain`."""
    ref: str
    """The full name of the ref on the remote."""
    old: str = ""
    """The object id before an update, or ''."""
    new: str = ""
    """The object id after an update, or ''."""
    reason: str = ""
    """The reason of a refusal, such as "stale info"."""

    @property
    def is_refused(self) -> bool:
        """True if the remote did not change the ref."""
        return self.flag == REFUSED

    @property
    def has_moved(self) -> bool:
        """True if another clone may have changed the ref. A fetch shows its value."""
        return self.is_refused and self.reason.startswith(_MOVED)

    @property
    def is_following(self) -> bool:
        """True if the ref was refused only because another ref of the push was."""
        return self.is_refused and self.reason in _FOLLOWING


class PushAnswer(NamedTuple):
    """The answer of a remote for all refs of a push."""

    refs: tuple[RefAnswer, ...]
    tries: int
    """The number of tries. After a failed try, the remote may have the new values already."""
    messages: tuple[str, ...] = ()
    """The lines of the remote and of hooks, without control characters."""

    @property
    def refused(self) -> tuple[RefAnswer, ...]:
        """The refs that the remote did not change."""
        return tuple(answer for answer in self.refs if answer.is_refused)

    @property
    def server_messages(self) -> list[str]:
        """The lines of the server, such as the reason of a hook."""
        matches = [re.match(_OF_SERVER, line) for line in self.messages]
        return [match[1] for match in matches if match]

    def of(self, ref: str) -> RefAnswer:
        """Return the answer for a ref. A ref without an answer is refused."""
        answers = (answer for answer in self.refs if answer.ref == ref)
        return next(answers, RefAnswer(REFUSED, ref, reason="no answer"))


class Remote:
    """One remote of a repository."""

    def __init__(
        self,
        git: Git,
        name: str,
        *,
        pauses: Sequence[float] = PAUSES,
        silence_limit: float = SILENCE_LIMIT,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """Bind git to a remote.

        Args:
            name: the name of a remote, or a URL (see choose_remote()).
            pauses: the seconds before each further try of a command whose connection failed.
            silence_limit: the seconds without output after which git is ended.
            note: called with a sentence before each further try.
        """
        self.name = name
        self._git = git
        self._pauses = pauses
        self._silence_limit = silence_limit
        self._note = note or (lambda _text: None)

    @property
    def binding(self) -> tuple[Git, str]:
        """The arguments that bind another Remote to the same remote."""
        return self._git, self.name

    @property
    def label(self) -> str:
        """The name for messages, without a password."""
        return re.sub(_PASSWORD, "", self.name)

    def push(
        self,
        refspecs: Sequence[str],
        *,
        leases: Mapping[str, str] | None = None,
        runs_hook: bool = True,
    ) -> PushAnswer:
        """Push all refspecs or none of them. Return the answers, also if the remote refuses.

        Args:
            refspecs: as for git-push(1), with full names of refs.
            leases: {ref on the remote: its expected object id, or '' for a new ref}. A lease allows
                any change of its ref. Without a lease, a ref is only created or fast-forwarded.
            runs_hook: run the pre-push hook of the user.

        Raises:
            RemoteFailed: the connection failed, or git refused the push before it.
        """
        command = [
            *("push", "--porcelain", "--progress", "--atomic", "--no-follow-tags"),
            *(f"--force-with-lease={ref}:{old}" for ref, old in (leases or {}).items()),
            *(() if runs_hook else ("--no-verify",)),
            *("--", self.name, *refspecs),
        ]
        # A mirror accepts no refspecs.
        settings = {"core.abbrev": "no", f"remote.{self.name}.mirror": "false"}
        output, messages, tries = self._run("push to", command, settings, accepts_answer=True)
        lines = [line for line in _lines_of(messages) if not re.match(_OF_GIT, line)]
        answer = PushAnswer(tuple(parse_answers(output)), tries, tuple(lines))
        if tries > 1 and answer.refused and self._has_all(refspecs):
            # The connection failed after the remote had changed its refs.
            done = (each._replace(flag=" ", reason="") for each in answer.refs)
            return answer._replace(refs=tuple(done))
        return answer

    def _has_all(self, refspecs: Sequence[str]) -> bool:
        """Return True if the remote has the object ids of the refspecs. A deleted ref has none."""
        targets = (refspec.removeprefix("+").partition(":") for refspec in refspecs)
        refs = self.list_refs()
        return all(refs.get(ref, "") == oid for oid, _, ref in targets)

    def fetch(self, refspecs: Sequence[str], options: Sequence[str] = ()) -> None:
        """Fetch the refspecs, and nothing else. Raise RemoteFailed.

        Args:
            options: further options of git-fetch(1), such as "--prune".
        """
        command = [
            *("fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--refmap="),
            *("--no-auto-maintenance", "--no-recurse-submodules", *options),
            *("--", self.name, *refspecs),
        ]
        self._run("fetch from", command, {})

    def list_refs(self, prefix: str = REFS) -> dict[str, str]:
        """Return {ref: object id} of the refs with a prefix. Raise RemoteFailed.

        The remote sends all of its refs. Fetch the refs if their number is small.
        """
        command = ["ls-remote", "--refs", "--", self.name, f"{prefix}*"]
        output, _, _ = self._run("list the refs of", command, {})
        lines = (line.partition("\t") for line in os.fsdecode(output).splitlines())
        return {ref: oid for oid, _, ref in lines if is_object_id(oid) and ref.startswith(prefix)}

    def _run(
        self,
        verb: str,
        command: Sequence[str],
        settings: Mapping[str, str],
        *,
        accepts_answer: bool = False,
    ) -> tuple[bytes, bytes, int]:
        """Run git, again after failures of the connection. Return its output and the tries.

        Args:
            verb: the first words of an error, such as "push to".
            accepts_answer: return the output also if git fails, but only because of refused refs.
        """
        directory, environ = self._git.surroundings
        variables = {**environ, **_VARIABLES, **settings_variables(settings, environ)}
        surroundings = Surroundings(directory, variables)
        pauses = iter(self._pauses)
        tries = 0
        while True:
            tries += 1
            pause = next(pauses, None)
            try:
                return *run_git(command, surroundings, silence_limit=self._silence_limit), tries
            except NoAnswer as error:
                message = error.message
            except GitFailed as error:
                if accepts_answer and _has_refusal(error):
                    return error.stdout, os.fsencode(error.stderr), tries
                message = _reason_of(error)
                pause = pause if _is_temporary(error) else None
            failure_class = RemoteRefused if re.search(_WEB_ERROR, message) else RemoteFailed
            failure = failure_class(f"cannot {verb} '{self.label}': {message}")
            if pause is None:
                raise failure
            self._note(f"{failure.message}; trying again in {pause:g} s")
            sleep(pause)


def _reason_of(error: GitFailed) -> str:
    """Return git's error as one line."""
    lines = list(_lines_of(os.fsencode(error.stderr)))
    matches = [re.match(_FATAL, line) for line in lines]
    reasons = [next(filter(None, match.groups())) for match in matches if match]
    others = [line for line in lines if not re.search(_AFTERWARDS, line)]  # such as those of a hook
    reasons = [reason for reason in reasons if not re.search(_AFTERWARDS, reason)] or others[-1:]
    return re.sub(_PASSWORD, "", "; ".join(dict.fromkeys(reasons))) or error.message


def _is_temporary(error: GitFailed) -> bool:
    """Return True if the connection failed, and may work later."""
    text = error.stderr + os.fsdecode(error.stdout)
    if re.search(_PERMANENT, text):
        return False
    return error.was_killed or error.status == 128 or bool(re.search(_TEMPORARY, text))


def _has_refusal(error: GitFailed) -> bool:
    """Return True if git or the remote has refused refs of a push, and the connection worked."""
    refused = [answer for answer in parse_answers(error.stdout) if answer.is_refused]
    return bool(refused) and not any(answer.reason == _NO_STATUS for answer in refused)


def parse_answers(output: bytes) -> Iterator[RefAnswer]:
    """Parse the output of `git push --porcelain` with full object ids (core.abbrev=no).

    The output can contain other lines: those of the pre-push hook.
    """
    for line in output.split(b"\n"):
        match = _ANSWER.fullmatch(line)
        if match is None:
            continue
        flag, _, ref, summary = (os.fsdecode(group) for group in match.groups())
        ids = re.fullmatch(f"{_SUMMARY}(?: .*)?", summary)
        old, new = (ids[1], ids[2]) if ids else ("", "")
        reason = re.fullmatch(_REASON, summary)
        yield RefAnswer(flag, ref, old, new, _shorten(os.fsencode(reason[1])) if reason else "")


def _lines_of(messages: bytes) -> Iterator[str]:
    """Yield the first lines of messages, without git's progress and control characters."""
    lines = map(_shorten, re.split(rb"[\n\r]+", messages))
    kept = [line for line in lines if line and not re.match(_PROGRESS, line)]
    yield from kept[:_MAX_LINES]


def _shorten(line: bytes) -> str:
    text = decode_terminal_line(line[:_MAX_LINE]).rstrip()
    return text if len(line) <= _MAX_LINE else f"{text}..."


def refused_reasons(answers: Iterable[RefAnswer]) -> str:
    """Return the reasons of refused refs as one text, without those that follow from others."""
    reasons = {answer.reason for answer in answers if answer.is_refused and answer.reason}
    return ", ".join(sorted(reasons - _FOLLOWING or reasons))
