"""Manual fixes that `doctor` prints: afterwards it finds no problem."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.hints import Case, cases, check_case, find_hint, type_hint, types
from tests.support.hub import Hub

W = "../project.hub/s1/agent-1"
GIT_DIR = ".git/worktrees/agent-1"
BRANCH = "hub/s1/agent-1/attempt-1"
STATE = ".agenthub/sessions/s1/state.json"
DONE = "status s1"
LATER = 4_000_000_000
"""A time long after the files of the test were written."""


def spawned(*commands: str) -> Callable[[Hub], None]:
    """Return the situation after some commands in a repository with a running session."""

    def build(hub: Hub) -> None:
        hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
        hub.run("spawn", "-q", "s1")
        for agent in ("agent-1", "agent-2"):
            hub.commit(hub.top.parent / "project.hub" / "s1" / agent, "new", f"{agent}\n")
        for command in commands:
            hub.call("sh", "-c", command)

    return build


MERGE = "git merge -q --no-ff --no-commit other"
OTHER = "git switch -q -c other main && git commit -q --allow-empty -m other"
TWO = "git hub-session init --id s2 --task t --agents 1 && git hub-session spawn s2"
REMOVE = f"git worktree remove -f {W}"


@cases(
    Case("inspect {}", "doctor s1", f"echo 'ref: refs/heads/{BRANCH}' >{{1}}",
         spawned(f": >{GIT_DIR}/HEAD; rm {GIT_DIR}/logs/HEAD")),
    Case("printf '{}%s\\n' {} >{}", "doctor s1", "{0}", spawned(f": >{GIT_DIR}/HEAD")),
    Case("printf '{}%s\\n' {} >{}", "doctor s1", "{0} && git hub-session adopt s1 1",
         spawned(f"git -C {W} checkout -q --detach HEAD~1; : >{GIT_DIR}/HEAD")),
    Case("{}; if it was deleted: {}", "doctor s1", "{2}",
         spawned("git worktree remove -f ../project.hub/s1/agent-2; rm -r ../project.hub/s1")),
    Case("move its directory back, or record its new path: {}", "doctor s1",
         "sed \"s#<its directory>#$(realpath ../moved)#\" <<'E' | sh\n{1}\nE",
         spawned(f"mv {W} ../moved; rm {GIT_DIR}/gitdir")),
    Case("mkdir -p {} && {}", "doctor s1", "{0} && git hub-session doctor --fix s1",
         spawned(f"{TWO} && mv {W} ../moved && mv ../project.hub/s2/agent-1 {W} && rmdir ../project.hub/s2")),
    Case("printf '{}%s\\n' {} >{}", "doctor s1", "{0}", spawned(f"rm {W}/.git")),
    Case("rm {} && {}", "doctor s1", "{0}", spawned(f"rm {W}/.git; mkfifo {W}/.git")),
    Case("mkdir -p {} && {} && git -C {} checkout-index -a", "doctor s1",
         f"{{0}} && git -C {W} merge --abort",
         spawned(f"cd {W} && {OTHER} && git switch -q {BRANCH} && {MERGE}; rm -r $PWD")),
    Case("mv {} {}", "doctor s1", "{0} && git hub-session doctor --fix s1",
         spawned(f"{TWO} && mv {W} ../moved && mv ../project.hub/s2/agent-1 {W}")),
    Case("mv {} {} && {}", "doctor s1", "{0}", spawned(f"echo x >{GIT_DIR}/index")),
    Case("printf '{}%s\\n' {} >{}", "doctor s1", "{0}", spawned(f"echo x >{GIT_DIR}/commondir")),
    Case("git hub-session cleanup {}", "doctor s1", "{0}",
         spawned("git hub-session eval s1 --ranking 1,2",
                 "git hub-session merge s1 --yes --no-cleanup"), DONE),
    Case("{} symbolic-ref HEAD {}", "doctor s1", "{0}", spawned(f"git -C {W} checkout -q --detach")),
    Case("{} checkout {}", "doctor s1", "{0}", spawned(f"git -C {W} checkout -q --detach HEAD~1")),
    Case("{} branch {} && {} symbolic-ref HEAD {}", "doctor s1", "{0}",
         spawned(f"cd {W} && git checkout -q --detach && git commit -q --allow-empty -m x")),
    Case("{} switch {}{}", "doctor s1", "{0}",
         spawned("git worktree remove ../project.hub/s1/agent-2",
                 f"git -C {W} switch -q hub/s1/agent-2/attempt-1")),
    Case("{} status", "doctor s1", f"{{0}} && git -C {W} merge --abort && git hub-session adopt s1 1",
         spawned(f"cd {W} && {OTHER} && git switch -q -c mine main && git commit -q --allow-empty -m m"
                 f" && {MERGE}")),
    Case("inspect its target, then: rm {}", "doctor", "rm {1} && mv ../hub .agenthub",
         spawned("mv .agenthub ../hub && ln -s ../hub .agenthub")),
    Case("inspect it, then: mv {} {}.away", "doctor", "mv {1} {2}.away",
         spawned("git hub-session board post results -m t; rm -r .agenthub/board/results;"
                 " echo >.agenthub/board/results")),
    Case("mv {} somewhere else", "doctor", "mv {1} ../elsewhere",
         spawned("mkdir '.agenthub/sessions/no id'")),
    Case("archive one of them before you clone to a case-insensitive disk", "doctor",
         "git hub-session archive S1", spawned("git hub-session init --id S1 --task t"), DONE),
    Case("inspect its target, then: mv {} somewhere else", "doctor", "mv {1} ../elsewhere",
         spawned("ln -s s1 .agenthub/sessions/s2")),
    Case("rmdir {}", "doctor", "{0}", spawned("mkdir .agenthub/sessions/s2")),
    Case("restore {}; it needs at least the lines task: and base_branch:", "doctor s1",
         "printf 'task: t\\nbase_branch: main\\nagent_count: 2\\n' >{1}",
         spawned("echo '[' >.agenthub/sessions/s1/config.yaml")),
    Case("find its commit: git fsck --lost-found; then: {}", "doctor s1",
         "echo '{1}' | sed \"s/<commit>/$(git rev-parse main)/\" | sh",
         spawned(f"{REMOVE}; echo >.git/refs/heads/{BRANCH}; rm .git/logs/refs/heads/{BRANCH}")),
    Case("git hub-session spawn {}", "doctor s1",
         "git fsck --lost-found && {0}",
         spawned(f"{REMOVE}; git branch -D {BRANCH}")),
    Case("compare them: git log --graph {} {}", "doctor s1",
         "git log --graph {1} {2} && git tag -d {1}",
         spawned("git tag hub/archive/s1/agent-1 $(git commit-tree -m x HEAD^{tree})")),
    Case("inspect it: git log -2 {}; delete the saved work: git update-ref -d {}", "doctor",
         "git log -2 {1} && git update-ref -d {2}", spawned("git update-ref refs/hub/rescue/x main")),
    Case("record it: {}; {}", "doctor", "{1}", spawned("git update-ref refs/hub/rescue/s9/x main"),
         "status s9"),
    Case("inspect its files; then: rm -r {}", "doctor", "ls && rm -r {1}",
         spawned("mkdir ../project.hub/s1/.agent-7.hub-trash")),
    Case("inspect and correct each setting: {}", "doctor s1",
         "{1} && git config --unset core.autocrlf", spawned("git config core.autocrlf true")),
    Case("inspect and correct each setting: {}", "doctor s1", "{1} && rm .git/info/attributes",
         spawned("echo '* text' >.git/info/attributes")),
    Case("git replace -d {}", "doctor s1", "{0}", spawned("git replace HEAD: $(git hash-object -w -t tree /dev/null)")),
    Case("git hub-session spawn {} --only {}", "doctor s1", "{0}",
         spawned(f"{REMOVE}; git branch -D {BRANCH};"
                 f" sed -i '0,/\"ready\"/s//\"spawning\"/' {STATE}")),
    Case("git hub-session restore {}", "doctor s1", "{0}",
         spawned(f"{REMOVE}; sed -i '0,/\"ready\"/s//\"restoring\"/' {STATE}")),
    Case("git hub-session merge {} --into <branch>, once there is a winner", "doctor s1",
         "git hub-session eval s1 --ranking 1,2 && git hub-session merge {1} --into other --yes",
         spawned("git branch -m other"), DONE),
    Case("git hub-session spawn {} --base <commit>, to add agents", "doctor s1",
         "git hub-session spawn {1} --base main --retry 1",
         spawned(f"sed -i 's/\"base_commit\": \".*\"/\"base_commit\": \"{'1' * 40}\"/' {STATE}"), DONE),
    Case("git hub-session init --adopt {}", "doctor", "{0}",
         spawned("rm -r .agenthub/sessions/s1"), DONE),
)  # fmt: skip
def test_doctor_finds_no_problem(hub: Hub, case: Case) -> None:
    check_case(hub, case)


@types("git hub-session archive {}")
def test_forgotten_session(hub: Hub) -> None:
    spawned()(hub)
    result = hub.run("doctor", "s1", now=LATER)
    assert find_hint(result, "git hub-session eval {}") == "git hub-session eval s1"
    command = "git hub-session archive s1"
    assert f"; archive it: {command}\n" in result.out
    type_hint(hub, command)
    assert hub.run("doctor", "s1", now=LATER).code == 0
