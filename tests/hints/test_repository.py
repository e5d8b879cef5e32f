"""Hints about the repository, its settings and the hub: the command then succeeds."""

from __future__ import annotations

from tests.support.hints import Case, cases, check_case
from tests.support.hub import Hub

DONE = "status s1"
INIT = "git hub-session init -q --id s1 --task t --agents 2"
S1 = f"{INIT}\ngit hub-session spawn -q s1"
BYTES = "printf '[hubsession]\\n\\tworktreePath = \\377\\n' >>.git/config"


@cases(
    Case("{} --replace-all core.bare false", "list", "{0}", f"{S1}\ngit config core.bare true"),
    Case("{} --unset-all core.worktree", "list", "{0}", f"{S1}\ngit config core.worktree /x"),
    Case("git -C / config --file {} --replace-all core.bare false", "list", "{0}",
         f"{S1}\ngit config core.bare true"),
    Case("git config --show-origin --get-all {}", "spawn s1",
         "{0} && git config --unset hubsession.worktreePath", f"{INIT}\n{BYTES}"),
    Case("use it: mv {} {}", "list", "mv {1} {2}",
         f"{INIT}\nmkdir deep\nmv .agenthub deep/.agenthub", DONE),
    Case("use it: mv {} {}", "init --task t", "mv {1} {2}",
         f"{INIT}\nmkdir deep\nmv .agenthub deep/.agenthub", DONE),
    Case("or create another hub: mkdir -p {}/sessions", "init --task t", "mkdir -p {1}/sessions",
         f"{INIT}\nmkdir deep\nmv .agenthub deep/.agenthub"),
    Case("cp -r {} {}.copy; {}", "doctor", "cp -r {1} {2}.copy; {3} && git commit -qm untrack",
         f"{INIT}\ngit add -f .agenthub\ngit commit -qm hub", DONE),
    Case("git -C {} rm -r -q --cached {}", "doctor", "{0}",
         f"{S1}\ncd ../project.hub/s1/agent-1 && mkdir .agenthub && touch .agenthub/x &&"
         " git add -f .agenthub", DONE),
    Case("remove it: git would wait for it forever", "status s1", "rm .git/info/exclude",
         f"{S1}\nmkdir -p .git/info; rm -f .git/info/exclude; mkfifo .git/info/exclude"),
)  # fmt: skip
def test_command_succeeds(hub: Hub, case: Case) -> None:
    check_case(hub, case)
