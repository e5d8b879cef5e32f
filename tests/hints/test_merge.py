"""Hints of `merge`, `eval` and `init --after`: afterwards the session goes on."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.evaluated_sessions import create_evaluated_session
from tests.support.hints import Case, cases, check_case, corrected
from tests.support.hub import Hub
from tests.support.measured_sessions import MEASURE, create_measurable_session

DONE = "status s1"
MERGE = "merge s1 --yes"
COMMIT = "git commit -q --allow-empty -m other"


def evaluated(*commands: str) -> Callable[[Hub], None]:
    """Return the situation after some commands in a repository with an evaluated session."""

    def build(hub: Hub) -> None:
        create_evaluated_session(hub)
        for command in commands:
            hub.call("sh", "-c", command)

    return build


def measured(hub: Hub) -> None:
    """Evaluate a session in which no agent is better than the baseline."""
    hub.commit(hub.top, "ms", "ms: 10\n")
    create_measurable_session(hub, "ms: 50\n")
    assert hub.run("eval", "-q", "s1", *MEASURE, "--baseline", "measure").code == 0


def spawned(*commands: str) -> Callable[[Hub], None]:
    """Return the situation after some commands in a repository with a running session."""

    def build(hub: Hub) -> None:
        hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2", "--eval", "true")
        hub.run("spawn", "-q", "s1")
        for command in commands:
            hub.call("sh", "-c", command)

    return build


WORK = "git hub-session exec -q s1 --commit --agent-cmd 'echo $HUB_AGENT >new'"
EVALUATING = (
    'sed -i \'s/"state": "merged"/"state": "evaluating"/\' .agenthub/sessions/s1/state.json'
)
CONFLICT = "echo other >new && git add new && git commit -qm new"
RESOLVE = (
    "cd ../project.hub/s1/agent-1; git merge -q main; git checkout -q --ours new; git add new;"
    " git commit -qm merged; cd -"
)
WRITE = "echo x >../project.hub/s1/agent-1/new"
HUB_FILE = (
    "cd ../project.hub/s1/agent-2 && mkdir .agenthub && echo x >.agenthub/file &&"
    " git add -f .agenthub && git commit -qm hub"
)


@cases(
    Case("git hub-session merge {} {}", "merge s1", "{0}", evaluated(), DONE),
    Case("git hub-session eval {}{}{}", MERGE, "{0}", evaluated(COMMIT)),
    Case("git branch {} {}", "eval s1 --ranking 1,2", "{0}",
         evaluated("git worktree remove -f ../project.hub/s1/agent-1",
                   "git branch -qD hub/s1/agent-1/attempt-1")),
    Case("git hub-session update {} --state {}", MERGE, "{0}",
         evaluated("git merge -q hub/s1/agent-2/attempt-1"), DONE),
    Case("git hub-session eval {}", MERGE, "{0}", spawned(WORK)),
    Case("git hub-session spawn {}", MERGE, "{0}", "git hub-session init -q --id s1 --task t", DONE),
    Case("restore the branches and merge with git: git hub-session restore {}", MERGE,
         "git hub-session restore {1} && git merge -q hub/s1/agent-2/attempt-1",
         evaluated("git hub-session archive s1"), DONE),
    corrected("name another branch with --into", "merge s1 --into x", f"{MERGE} --into main",
              evaluated()),
    corrected("name its target with --into", "merge s1 --into x", f"{MERGE} --into main",
              evaluated("git symbolic-ref refs/heads/x refs/heads/main")),
    Case("{} stash", MERGE, "{0}", evaluated("echo mine >new && git add new"),
         DONE),
    Case("commit the changes there", MERGE, "git commit -qm mine && git rm -q new && git commit -qm x"
         " && git hub-session eval -q --ranking 2,1 s1", evaluated("echo mine >new && git add new"),
         DONE),
    Case("mv {} {}", MERGE, "{0}", evaluated("echo mine >new"), DONE),
    Case("git -c {} {}", MERGE, "{0}", evaluated("git config pull.twohead ours"), DONE),
    Case("git log -1 --show-signature {}", MERGE, "{0} && git config merge.verifySignatures false",
         evaluated("git config merge.verifySignatures true")),
    Case("git config --show-origin --get-all {}", MERGE,
         "{0} && git config --unset commit.cleanup", evaluated("git config commit.cleanup x")),
    Case("{} --agent <agent>", MERGE,
         "{1} --agent agent-1",
         spawned(WORK, "git hub-session update s1 --state evaluating"), DONE),
    Case("git hub-session archive {}", MERGE, "{0}", measured, DONE),
    Case("git hub-session {} {}", "init --after s1", "{0}", "git hub-session init -q --id s1 --task t",
         DONE),
    Case("git hub-session init --task <text>", "init --after s1", "git hub-session init --task t",
         evaluated("git hub-session archive s1"), DONE),
    Case("git hub-session {} {}{}", "merge s1 --agent 1", "{0} && git hub-session merge s1 --yes",
         evaluated("git worktree remove -f ../project.hub/s1/agent-1",
                   "git branch -qD hub/s1/agent-1/attempt-1"), DONE),
    Case("git hub-session exec {} --only {} -- sh -c '{}'", MERGE,
         "{0} && git hub-session eval --ranking 2,1 s1",
         evaluated(HUB_FILE, "git hub-session eval --ranking 2,1 s1")),
    Case("git hub-session exec --only {} --commit {} -- true", "eval s1", "{0}", spawned(WRITE)),
    Case("git hub-session exec {} -- <command>", "eval s1",
         "git hub-session exec {1} --commit -- sh -c 'echo >new'", spawned()),
    Case("finish it first", MERGE, "git merge --abort",
         evaluated("git branch x", f"{COMMIT} && git switch -q x && {COMMIT}2 && git switch -q main",
                   "git merge --no-ff --no-commit x && git hub-session eval --ranking 2,1 s1"),
         then=f"{MERGE} --unmeasured"),
    Case("git switch --detach in one of them", MERGE, "git -C ../twin switch -q --detach",
         evaluated("git worktree add -q -f ../twin main")),
    Case("git hub-session status {}", "eval s1 --ranking 1,2",
         "{0} && git hub-session eval s1 --ranking 2",
         "git hub-session init -q --id s1 --task t --agents 2\n"
         f"git hub-session spawn -q s1 --only 2\n{WORK}", DONE),
    Case("git hub-session eval --include-failed {}", "eval s1", "{0}",
         spawned("git hub-session exec s1 --commit=always -- sh -c 'echo >new; false'"),
         then=DONE),
    Case("git hub-session merge {} --yes", "doctor s1", "{0}",
         evaluated(f"git hub-session {MERGE}", EVALUATING), "doctor --fix s1"),
    Case("git hub-session merge {}", "doctor s1", "{0} --yes",
         evaluated(f"git hub-session {MERGE} --no-cleanup", EVALUATING,
                   "git reset -q --hard main~1"), DONE),
    Case("resolve and commit the conflicts there, then: git hub-session eval {}", MERGE,
         f"{RESOLVE}; git hub-session eval {{1}}", spawned(WORK, CONFLICT, "git hub-session eval s1")),
    Case('dir=$(git hub-session path {}) && git -C "$dir" {} {}', MERGE,
         f"{{0}}; {RESOLVE}; git hub-session eval s1", spawned(WORK, CONFLICT, "git hub-session eval s1")),
    corrected("give a message with -m <text>", f"{MERGE} -m ''", f"{MERGE} -m text", evaluated()),
    corrected("merge without --rebase", f"{MERGE} --rebase", MERGE,
              evaluated("cd ../project.hub/s1/agent-2 && git merge -q --allow-unrelated-histories -m x"
                        " $(git commit-tree -m root HEAD^{tree})",
                        "git hub-session eval --ranking 2,1 s1")),
    corrected("leave out --in-place to measure in temporary worktrees",
              "eval s1 --in-place --eval true", "eval s1 --eval true",
              evaluated("git hub-session cleanup s1")),
)  # fmt: skip
def test_session_goes_on(hub: Hub, case: Case) -> None:
    check_case(hub, case)
