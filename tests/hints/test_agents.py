"""Hints of `spawn`, `exec`, `adopt`, `restore`, `init` and `board`: the command then succeeds."""

from __future__ import annotations

from tests.support.hints import Case, cases, check_case, corrected
from tests.support.hub import Hub

W = "../project.hub/s1/agent-1"
BRANCH = "hub/s1/agent-1/attempt-1"
DONE = "status s1"
INIT = "git hub-session init -q --id s1 --task t --agents 2"
S1 = f"{INIT}\ngit hub-session spawn -q s1"
ONE = f"{INIT}\ngit hub-session spawn -q s1 --only 1"
WORK = f"{S1}\ngit hub-session exec -q s1 --commit --agent-cmd 'echo $HUB_AGENT >new'"
RANKED = f"{WORK}\ngit hub-session eval -q s1 --ranking 1,2"
SPAWN_2 = "spawn s1 --only 2"
STATE = ".agenthub/sessions/s1/state.json"
NO_BASE = f'sed -i \'s/"base_commit": ".*"/"base_commit": "{"1" * 40}"/\' {STATE}'
POSTS = (
    f"{INIT}\ngit hub-session board post -q results -m a --author x\n"
    "git hub-session board post -q results -m a --author y"
)
LOST = f"{WORK}\nrm -r .agenthub/sessions/s1"


@cases(
    corrected("choose another --path", SPAWN_2, f"{SPAWN_2} --path '../other/{{{{n}}}}'",
              f"{ONE}\nmkdir ../project.hub/s1/agent-2\ntouch ../project.hub/s1/agent-2/file"),
    corrected("put {n} where the number of the agent belongs", SPAWN_2 + " --path ../x",
              f"{SPAWN_2} --path '../x{{{{n}}}}'", ONE),
    corrected("git hub-session spawn {} {}", "spawn s1 --only 1 --base other",
              "spawn {1} {2}", f"{S1}\ngit commit -q --allow-empty -m other\ngit branch other"),
    corrected("leave out --base to start from the session's base commit", "spawn s1 --base nope",
              "spawn s1", INIT),
    Case("git hub-session spawn {} --base {}", SPAWN_2, "{0}", f"{ONE}\n{NO_BASE}"),
    Case("git hub-session spawn {} --base HEAD", "spawn s1", "{0}", f"{INIT}\ngit branch -m other"),
    Case("git hub-session spawn --only {}{} {}", "spawn s1 --retry 2", "{0}", ONE,
         "spawn s1 --retry 2"),
    Case("git hub-session spawn --only {}{} {}", "spawn s1 --retry 2 --base main", "{0}", ONE,
         "spawn s1 --retry 2"),
    Case("git hub-session spawn --only {} {}", "spawn s1 --base agent-1", "{0}", INIT,
         "spawn s1 --base agent-1"),
    Case("git hub-session adopt {} {} {}", "spawn s1 --retry 1", "{0}", RANKED, DONE),
    Case("git hub-session adopt {} {} {}", "spawn s1 --retry 1 --base main", "{0}", RANKED, DONE),
    Case("git hub-session restore {}", "spawn s1 --only 1", "{0}",
         f"{WORK}\ngit hub-session cleanup -q --archive s1", "exec s1 -- true"),
    Case("git hub-session {}", "path s1 1", "{0} && git hub-session restore s1",
         f"{S1}\ngit hub-session cleanup -q s1"),
    corrected("select the other agents with --only, or give an --agent-cmd without 'agent-<N>='",
              "exec s1 --agent-cmd agent-1=true", "exec s1 --only 1 --agent-cmd agent-1=true", S1),
    Case("wait for it, or {}", "exec s1 -- true", "git hub-session exec s1 --force -- true",
         f"{S1}\nsed -i 's/\"ready\"/\"running\"/' {STATE}", DONE),
    Case("git worktree list", "adopt s1 1 ../", "{0} && git hub-session adopt s1 1 " + W, S1, DONE),
    Case("{} commit", "adopt s1 1 ../new", "{0} --allow-empty -qm first",
         f"{S1}\ngit worktree add -q --detach ../new\ngit -C ../new switch -q --orphan empty"),
    Case("{} status", "adopt s1 1 ../new", "{0} && git -C ../new bisect reset",
         f"{S1}\ngit worktree add -q -b new ../new\ngit -C ../new bisect start -q"),
    Case("git worktree unlock {}", "adopt s1 1 ../new", "{0}",
         f"{S1}\ngit worktree add -q --lock -b new ../new"),
    corrected("git hub-session adopt {} {} {}", "adopt s1 1 .", "adopt s1 agent-1 main", S1),
    corrected("use --only <list>", "spawn s1", "spawn s1 --only 1",
              f"{INIT}\nsed -i 's/agent_count: .*/agent_count: x/' .agenthub/sessions/s1/config.yaml"),
    Case("create a first commit: the agents start from it", "init --task t",
         "git commit -q --allow-empty -m first", "git switch -q --orphan empty"),
    Case("record them in a new session: {}", "init --id s1 --task t", "{1}", LOST, DONE),
    corrected("or choose another --id", "init --id s1 --task t", "init --id s2 --task t", LOST),
    corrected("git hub-session board", "board reply x -m t", "board", POSTS),
    corrected("the candidates are", "board reply 00 -m t", "board reply 001 -m t", POSTS),
    corrected("the candidates are", "status s", "status s1",
              f"{INIT}\ngit hub-session init -q --id s2 --task t"),
    Case("fix the file in '{}'", "spawn s1", "printf 'task: t\\nbase_branch: main\\nagent_count: 2\\n'"
         " >'{1}/config.yaml'", f"{INIT}\necho [ >.agenthub/sessions/s1/config.yaml"),
    Case("git hub-session cleanup {}", "spawn s1", "{0}",
         f"{S1}\necho [ >.agenthub/sessions/s1/config.yaml", "cleanup s1"),
    Case("git branch --list 'hub/*'", "init --adopt s2", "{0}", LOST, "init --adopt s1"),
    Case("git hub-session restore {} --agent {}", "path s1 1/attempt-1", "{0}",
         f"{S1}\ngit hub-session cleanup -q s1"),
    Case("git hub-session doctor --fix {}", "exec s1 --only 1 -- true", "{0}",
         f"{S1}\nrm .git/worktrees/agent-1/gitdir"),
)  # fmt: skip
def test_command_succeeds(hub: Hub, case: Case) -> None:
    check_case(hub, case)
