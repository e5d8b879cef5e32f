"""Remotes whose settings delete or publish the refs of the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hints import type_hint, types
from tests.support.hub import CHECKOUT, Hub, Result

ARCHIVE = "refs/hub/archive/s1/agent-{}/attempt-1/1"
FETCH_DELETES = "'git fetch --prune' deletes"
PUSH_WITHOUT_MIRROR = "git config --unset-all {} && git config --add {} '+{}*:{}*' && {}"
PUBLISHES = "'git push' publishes refs/hub/*"


@pytest.fixture
def losers(hub: Hub) -> Hub:
    """Return a session with two agents that have committed, and uncommitted work of agent-1."""
    hub.session("s1", agents=2)
    for agent in (1, 2):
        hub.commit(hub.worktree(agent), "try", f"{agent}\n")
    (hub.worktree(1) / "draft").write_text("mine\n")
    return hub


def add_remote(hub: Hub, **settings: str) -> Path:
    """Create the remote "up" with the commits of main, and with settings such as fetch="..."."""
    remote = hub.top.parent / "up.git"
    hub.call("git", "clone", "-q", "--bare", hub.top, remote)
    for ref in ("refs/heads/hub", "refs/tags", "refs/hub"):
        for name in hub.git("-C", str(remote), "for-each-ref", "--format=%(refname)", ref).split():
            hub.git("-C", str(remote), "update-ref", "-d", name)
    hub.git("remote", "add", "up", remote)
    for key, value in settings.items():
        hub.git("config", "--replace-all", f"remote.up.{key}", value)
    return remote


def exposed(hub: Hub) -> dict[str, tuple[str, str]]:
    """Return {setting: (evidence, advice)} of the doctor's findings about remotes."""
    result = hub.json("doctor", code=1)
    return {
        finding["subject"]: (finding["evidence"], finding["advice"])
        for finding in result["findings"]
        if finding["code"] == "refs-exposed"
    }


@types("git config --add {} {}")
def test_fetch_prunes_the_archive_tags(losers: Hub) -> None:
    """The commits of the losers stay, `restore` uses them, and the doctor creates the tags again."""
    tips = [losers.git("rev-parse", f"hub/s1/agent-{agent}/attempt-1") for agent in (1, 2)]
    assert losers.run("archive", "-q", "s1") == Result(0)
    add_remote(losers, prune="true", pruneTags="true")
    losers.git("fetch", "-q", "up")
    losers.git("reflog", "expire", "--expire=now", "--all")
    losers.git("gc", "-q", "--prune=now")
    assert losers.refs("refs/tags") == {}
    result = losers.run("doctor", "--fix")
    assert (result.code, result.err) == (1, "")
    assert losers.refs("refs/tags") == {
        f"refs/tags/hub/archive/s1/agent-{agent}": tip for agent, tip in enumerate(tips, 1)
    }
    command = "git config --add remote.up.fetch '^refs/tags/hub/archive/*'"
    evidence = "'git fetch' deletes refs/tags/hub/archive/*"
    assert exposed(losers) == {"remote.up.fetch": (evidence, command)}
    losers.git("fetch", "-q", "up")
    assert losers.run("restore", "s1") == Result(
        0,
        "".join(
            f"Restored agent-{agent} in ../project.hub/s1/agent-{agent} on hub/s1/agent-{agent}/attempt-1\n"
            f"  branch from {ARCHIVE.format(agent)}\n"
            + ("  work from refs/hub/rescue/s1/agent-1/attempt-1/1\n" if agent == 1 else "")
            for agent in (1, 2)
        ),
    )
    type_hint(losers, command)
    losers.git("tag", "hub/archive/s1/agent-1", tips[0])
    losers.git("fetch", "-q", "up")
    assert losers.refs("refs/tags") == {"refs/tags/hub/archive/s1/agent-1": tips[0]}


@types("git config --add {} {}")
def test_mirror_that_prunes(losers: Hub) -> None:
    """`archive` prints the commands. After them, `git fetch --prune` deletes nothing of the hub."""
    add_remote(losers, fetch="+refs/*:refs/*")
    hidden = ["refs/hub/*", "refs/heads/hub/*", "refs/tags/hub/archive/*"]
    commands = [f"git config --add remote.up.fetch '^{refs}'" for refs in hidden]
    expected = "".join(
        f"warning: {FETCH_DELETES} {refs} (remote.up.fetch); exclude them: {command}\n"
        for refs, command in zip(hidden, commands, strict=True)
    )
    assert losers.run("archive", "-q", "s1") == Result(0, "", expected)
    refs = {**losers.refs("refs/hub"), **losers.refs("refs/tags")}
    assert len(refs) == 5
    for command in commands:
        type_hint(losers, command)
    losers.git("switch", "-q", "--detach")
    losers.git("fetch", "-q", "--prune", "up")
    assert {**losers.refs("refs/hub"), **losers.refs("refs/tags")} == refs
    assert losers.run("doctor").code == 0


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        pytest.param({"mirror": "true"}, "remote.up.mirror", marks=types(PUSH_WITHOUT_MIRROR)),
        ({"push": "+refs/*:refs/*"}, "remote.up.push"),
    ],
)
def test_push_of_all_refs(losers: Hub, settings: dict[str, str], setting: str) -> None:
    remote = add_remote(losers, **settings)
    result = losers.run("cleanup", "-q", "s1")
    command = "git config --add remote.up.push '^refs/hub/*'"
    if "mirror" in settings:
        unset = "git config --unset-all remote.up.mirror"
        command = f"{unset} && git config --add remote.up.push '+refs/*:refs/*' && {command}"
    warning = f"warning: {PUBLISHES} ({setting}); exclude them: {command}\n"
    assert result == Result(0, "", warning)
    assert exposed(losers) == {setting: (PUBLISHES, command)}
    type_hint(losers, command)
    losers.git("push", "-q", "up")
    pushed = losers.git("-C", str(remote), "for-each-ref", "--format=%(refname)").splitlines()
    assert "refs/heads/hub/s1/agent-1/attempt-1" in pushed
    assert [ref for ref in pushed if ref.startswith("refs/hub")] == []
    assert losers.run("doctor").code == 0


@pytest.mark.parametrize(
    ("fetch", "refs", "excluded"),
    [
        ("+refs/hub/rescue/*:refs/hub/rescue/*", "refs/hub/*", "refs/hub/*"),
        ("+refs/saved/*:refs/hub/rescue/*", "refs/hub/*", "refs/saved/*"),
        ("refs/tags/*:refs/tags/*", "refs/tags/hub/archive/*", "refs/tags/hub/archive/*"),
        ("+refs/heads/hub/s1/*:refs/heads/hub/s1/*", "refs/heads/hub/*", "refs/heads/hub/*"),
    ],
)
def test_refspec_of_some_refs(losers: Hub, fetch: str, refs: str, excluded: str) -> None:
    """Type the command of the finding. Then `git fetch --prune` deletes no ref."""
    assert losers.run("cleanup", "-q", "s1").code == 0
    if "tags" in refs:
        assert losers.run("archive", "-q", "s1").code == 0
    add_remote(losers, fetch=fetch)
    command = f"git config --add remote.up.fetch '^{excluded}'"
    assert exposed(losers) == {"remote.up.fetch": (f"{FETCH_DELETES} {refs}", command)}
    before = losers.refs("refs")
    type_hint(losers, command)
    losers.git("fetch", "-q", "--prune", "up")
    assert losers.refs("refs") == before
    assert losers.run("doctor").code == 0


def test_other_refs_below_refs_hub(losers: Hub) -> None:
    """Another program may use refs/hub for its own refs. A push of saved work alone is meant."""
    push = "refs/hub/rescue/*:refs/hub/rescue/*"
    add_remote(losers, fetch="+refs/pull/*:refs/hub/pull/*", push=push)
    assert losers.run("cleanup", "-q", "s1") == Result(0)
    assert losers.run("doctor").code == 0


def test_usual_remotes_expose_nothing(losers: Hub) -> None:
    add_remote(losers, prune="true")
    losers.git("remote", "add", "a.remote", losers.top.parent / "up.git")
    losers.git("config", "fetch.pruneTags", "true")
    losers.git("config", "remote.up.pruneTags", "false")
    losers.git("config", "remote.up.push", "refs/heads/main")
    assert losers.run("archive", "-q", "s1") == Result(0)
    assert losers.run("doctor").code == 0


def test_name_of_a_remote_is_quoted(losers: Hub) -> None:
    add_remote(losers)
    losers.git("config", "remote.it's $(x).fetch", "+refs/*:refs/*")
    command = "git config --add 'remote.it'\"'\"'s $(x).fetch' '^refs/hub/*'"
    findings = losers.json("doctor", code=1)["findings"]
    assert [finding["advice"] for finding in findings][:1] == [command]
    type_hint(losers, command)


def test_describe_finds_no_archive_tag(hub: Hub) -> None:
    """The base contains the commits of the winner, of an idle agent and of a later merge."""
    hub.git("tag", "v1.0")
    hub.session("s1", agents=3)
    winner = hub.commit(hub.worktree(1), "file", "better\n")
    loser = hub.commit(hub.worktree(3), "file", "worse\n")
    hub.git("merge", "-q", "--no-ff", "-m", "merge", "hub/s1/agent-1/attempt-1")
    for state in ("running", "evaluating", "merged"):
        hub.run("update", "s1", "--state", state)
    assert hub.run("cleanup", "-q", "--archive", "s1") == Result(0)
    assert hub.refs("refs/tags/hub") == {"refs/tags/hub/archive/s1/agent-3": loser}
    assert hub.git("describe", "--tags") == "v1.0-2-g" + hub.git("rev-parse", "--short", "main")
    assert hub.refs("refs/hub/archive")[ARCHIVE.format(1)] == winner
    assert hub.run("doctor").code == 0
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert hub.git("rev-parse", "HEAD", cwd=hub.top.parent / "project.hub/s1/agent-1") == winner


def test_each_archive_of_an_attempt_is_kept(hub: Hub) -> None:
    """The two tags belong to the first archives. The newest archive ref is restored."""
    hub.session("s1", agents=1)
    worktree = hub.worktree(1)
    tips = []
    for number in range(4):
        tips.append(hub.commit(worktree, "try", f"{number}\n"))
        assert hub.run("archive", "-q", "s1") == Result(0)
        assert hub.run("restore", "-q", "s1") == Result(0)
        worktree = hub.top.parent / "project.hub/s1/agent-1"
        assert hub.git("rev-parse", "HEAD", cwd=worktree) == tips[-1]
    prefix = "refs/hub/archive/s1/agent-1/attempt-1"
    assert hub.refs("refs/hub") == {f"{prefix}/{number}": tip for number, tip in enumerate(tips, 1)}
    assert hub.run("archive", "-q", "s1") == Result(0)
    assert len(hub.refs("refs/hub")) == 4
    assert hub.run("doctor").code == 0


@types("git fsck --no-reflogs --lost-found")
def test_rescue_ref_that_a_mirror_deletes(losers: Hub) -> None:
    """`restore` says that the changes are missing, and names the command that finds them."""
    assert losers.run("cleanup", "-q", "s1") == Result(0)
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1"
    saved = losers.git("rev-parse", ref)
    add_remote(losers, fetch="+refs/hub/*:refs/hub/*")
    losers.git("fetch", "-q", "--prune", "up")
    assert ref not in losers.refs()
    find = "git fsck --no-reflogs --lost-found"
    warning = f"its saved changes are not restored, because '{ref}' was deleted (find them: {find})"
    for dry_run in (["-n"], []):
        result = losers.run("restore", "-q", *dry_run, "s1")
        assert (result.code, result.err) == (0, f"warning: agent-1: {warning}\n")
    assert saved in type_hint(losers, find).out
    losers.git("stash", "apply", "-q", saved, cwd=losers.top.parent / "project.hub/s1/agent-1")
    assert (losers.top.parent / "project.hub/s1/agent-1/draft").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("target", "refs"),
    [
        ("refs/heads/*-1", "refs/heads/hub/*"),
        ("refs/heads/*/attempt-1", "refs/heads/hub/*"),
        ("refs/heads/h*", "refs/heads/hub/*"),
        ("refs/hub/rescue/s1/*/1", "refs/hub/*"),
        ("refs/heads/*/head", ""),
        ("refs/heads/hub/s1/agent-1/attempt-1", ""),  # git refuses without the ref in the remote
    ],
)
def test_refspec_with_a_star_before_its_end(losers: Hub, target: str, refs: str) -> None:
    assert losers.run("cleanup", "-q", "s1").code == 0
    remote = add_remote(losers, fetch=f"+{target}:{target}", prune="true")
    before = losers.refs("refs/heads/hub") | losers.refs("refs/hub")
    if not refs:
        losers.call("git", "fetch", "-q", "up")
        assert losers.refs("refs/heads/hub") | losers.refs("refs/hub") == before
        assert losers.run("doctor").code == 0
        return
    [(evidence, advice)] = exposed(losers).values()
    assert evidence == f"{FETCH_DELETES} {refs}"
    type_hint(losers, advice)
    losers.git("fetch", "-q", "up")
    assert losers.refs("refs/heads/hub") | losers.refs("refs/hub") == before
    assert losers.run("doctor").code == 0
    assert remote.exists()


def test_old_file_of_a_remote(losers: Hub) -> None:
    """git before 3.0 reads .git/remotes. A mirror that is not checked out has such refspecs."""
    remote = add_remote(losers)
    losers.git("remote", "remove", "up")
    (losers.top / ".git" / "remotes").mkdir()
    text = f"URL: {remote}\nPull: +refs/hub/*:refs/hub/*\nPush: refs/*:refs/*\n"
    (losers.top / ".git" / "remotes" / "up").write_text(text)
    assert losers.run("archive", "-q", "s1").code == 0
    before = losers.refs("refs/hub")
    assert len(before) == 3
    found = exposed(losers)
    assert {name: evidence for name, (evidence, _) in found.items()} == {
        "remote.up.fetch": f"{FETCH_DELETES} refs/hub/*",
        "remote.up.push": PUBLISHES,
    }
    for _, advice in found.values():
        type_hint(losers, advice)
    assert losers.run("doctor").code == 0
    if losers.call("git", "fetch", "-q", "--prune", "up").code == 0:
        losers.git("push", "-q", "up")
        assert losers.refs("refs/hub") == before
        assert losers.git("-C", str(remote), "for-each-ref", "refs/hub") == ""


def test_commands_of_the_manual(losers: Hub) -> None:
    """The commands that the man page prints exclude the refs of the hub from a mirror."""
    page = (CHECKOUT / "man" / "git-hub-session.1").read_text()
    block = page.partition("Exclude the refs of the hub and the branches of the agents:\n")[2]
    text = block.partition(".Bd -literal -offset indent\n")[2].partition(".Ed\n")[0]
    for escape, character in ((r"\(aq", "'"), (r"\-", "-"), (r"\e", "\\"), ("<name>", "up")):
        text = text.replace(escape, character)
    remote = add_remote(losers, fetch="+refs/*:refs/*")
    assert losers.run("cleanup", "-q", "s1").code == 0
    before = losers.refs("refs/hub") | losers.refs("refs/heads/hub")
    for command in text.replace("\\\n", "").splitlines():
        assert losers.call("sh", "-c", command).code == 0, command
    losers.git("switch", "-q", "--detach")
    losers.git("fetch", "-q", "--prune", "up")
    assert losers.refs("refs/hub") | losers.refs("refs/heads/hub") == before
    pushed = losers.git("-C", str(remote), "for-each-ref", "--format=%(refname)")
    assert [ref for ref in pushed.splitlines() if "hub" in ref] == []
