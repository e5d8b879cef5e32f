"""Hints for a wrong command line: the corrected command succeeds."""

from __future__ import annotations

from tests.support.hints import Case, cases, check_case, corrected
from tests.support.hub import Hub

INIT = "git hub-session init -q --id s1 --task t --agents 2"
S1 = f"{INIT}\ngit hub-session spawn -q s1"
WORK = f"{S1}\ngit hub-session exec -q s1 --commit --agent-cmd 'echo $HUB_AGENT_ID >new'"
RUN = "run --id s1 --task t --agents 2 --agent-cmd"
MEASURE = "eval s1 --eval 'echo n: 1' --metric n --direction lower"
POSTS = (
    f"{INIT}\n"
    "git hub-session board post -q results -m a --author x\n"
    "git hub-session board post -q results -m a --author y"
)
AUTHOR = (
    "an author is up to 64 letters, digits, '.', '_' and '-', without '---', and starts and ends"
    " with a letter or digit"
)
ID = "use at most 64 letters, digits, '.', '_' and '-', and start with a letter or digit"


@cases(
    corrected("--agent-cmd <command>", "run --id s1 --task t", f"{RUN} 'echo >new' -n"),
    corrected("--agents takes 1 to {}", "init --task t --agents 0", "init --task t --agents {1}"),
    corrected(
        "--direction lower",
        "eval s1 --eval 'echo n: 1' --metric n",
        "eval s1 --eval 'echo n: 1' --metric n {0}",
        WORK,
    ),
    Case(
        "correct {} in {}",
        "init --task t -n",
        "git config hubsession.agents 2",
        "git config hubsession.agents two",
    ),
    corrected("--older-than 90d", "prune", "prune --older-than 90d"),
    Case(
        "move them to another directory",
        "delete s1",
        "mv .agenthub/sessions/s1/notes ..",
        f"{INIT}\ntouch .agenthub/sessions/s1/notes",
    ),
    corrected(
        "name a regular file with -o <file>",
        "report s1 --output .",
        "report s1 --output page.html",
        INIT,
    ),
    corrected("git hub-session config", "config agnets", "config"),
    corrected("--state takes one of {}", "update s1", "update s1 --state running", INIT),
    corrected(AUTHOR, "board post results -m t --author -a", "board post results -m t --author a", INIT),
    corrected("choose another --id", "init --id s1 --task t", "init --id s2 --task t", INIT),
    corrected("choose one of the session: {}{}", "path s1 3", "path s1 agent-1", S1),
    corrected("the names of agents are {}{}", "path s1 0", "path s1 agent-1", S1),
    corrected("git branch", "init --base-branch x --task t", "init --base-branch main --task t"),
    corrected("git hub-session -h", "--x", "-h || test $? = 129"),
    corrected("git hub-session {} -h", "list 7", "list -h || test $? = 129"),
    corrected("git hub-session adopt <id> <agent>", "adopt", "adopt s1 1 main -n", INIT),
    corrected("git hub-session board {} <{}>", "board read", "board {1} results", POSTS),
    corrected("git hub-session exec [<id>] -- <command>", "exec s1", "exec s1 -- true", S1),
    corrected("git hub-session {} [<id>] agent-2", "path", "{1} agent-2", S1),
    corrected("git hub-session list", "status s2", "status s1", INIT),
    corrected(
        "give an id from 'git hub-session list': git hub-session {} <id>",
        "exec -- true",
        "{1} s1 -- true",
        S1,
    ),
    corrected("give --task <text> or -F <file>", "init", "init --task t"),
    corrected("give -m <text> or -F <file>", "board post results", "board post results -m t", INIT),
    corrected(
        "give a metric, a comparison and a number, such as 'errors==0'",
        f"{MEASURE} --require n",
        f"{MEASURE} --require n==1",
        WORK,
    ),
    corrected(
        "put the number in parentheses, such as 'p50 ([0-9.]+ms)'",
        f"{MEASURE} --metric-regex 'n: .'",
        f"{MEASURE} --metric-regex 'n: (.)'",
        WORK,
    ),
    corrected(
        "give a number or 'measure'", f"{MEASURE} --baseline x", f"{MEASURE} --baseline measure", WORK
    ),
    corrected(
        "give a path relative to the top of the repository",
        f"{MEASURE} --guard /file",
        f"{MEASURE} --guard file",
        WORK,
    ),
    corrected(
        "name a tracked file or directory with --guard <path>",
        f"{MEASURE} --guard none",
        f"{MEASURE} --guard file",
        WORK,
    ),
    corrected(
        "give a percentage such as 10%",
        f"{MEASURE} --judge true --tolerance x -n",
        f"{MEASURE} --judge true --tolerance 10% -n",
        WORK,
    ),
    corrected(
        "give an --agent-cmd without 'agent-<N>='", f"{RUN} agent-1=true -n", f"{RUN} true -n"
    ),
    corrected(ID, "init --id .s1 --task t", "init --id s1 --task t"),
    corrected("say whether lower or higher is better", "init --task t --metric n --eval true",
              "init --task t --metric n --eval true --direction lower"),
    corrected("the states are {}", "update s1 --state x", "update s1 --state running", INIT),
    corrected("from '{}' a session can go to {}", "update s1 --state merged",
              "update s1 --state running", INIT),
    corrected("the channels are {}", "board read x", "board read results", POSTS),
    Case("to create it: git hub-session board create {}", "board post ideas -m text",
         "git hub-session board create {1}", POSTS),
    Case("git hub-session board read {}", "board create results", "{0}", POSTS, then=None),
    corrected("a name is up to 64 letters, digits, '.', '_' and '-', without '---' or '..', starts and"
              " ends with a letter or digit, and does not end with '.lock'",
              "board create a/b", "board create a-b", POSTS),
    corrected("try '{}'", "lst", "list"),
    corrected("use --base-branch <branch>", "init --task t", "init --task t --base-branch main",
              "git switch -q --detach"),
    corrected("use --squash with {}", "merge s1 --ff -m t -n", "merge s1 --squash -m t -n",
              f"{WORK}\ngit hub-session eval s1 --ranking 1,2"),
    corrected("use 0 to {}", f"{MEASURE} --warmup x", f"{MEASURE} --warmup 1", WORK),
    corrected("use 1 to {}", f"{RUN} true --rounds 0 -n", f"{RUN} true --rounds 1 -n"),
    corrected("use 1 to {}, or {}", f"{MEASURE} --repeat 0", f"{MEASURE} --repeat {{2}}", WORK),
    corrected("use a line 'agent-2: <text>'", "init --task t --strategies file",
              "init --task t --strategies lines", "echo 'agent-2: fast' >lines"),
    corrected("use a list such as 1-3,5", "exec s1 --only x -- true", "exec s1 --only 1-2 -- true", S1),
    corrected("use a name such as agent-2", "path s1 x", "path s1 agent-2", S1),
    corrected("use a name such as agent-2/attempt-1", "path s1 1/x", "path s1 agent-2/attempt-1", S1),
    corrected("use a number with s, m, h, d or w, such as 7d", "cleanup --finished --older-than x",
              "cleanup --finished --older-than 7d"),
    corrected("use a number with s, m, h, d or w, such as 90s", "exec s1 --timeout x -- true",
              "exec s1 --timeout 90s -- true", S1),
    corrected("use one of {}", "completion x", "completion bash"),
    corrected("use one of install, uninstall, status", "hooks", "hooks status"),
    corrected("use {}", "board x", "board list", POSTS),
)  # fmt: skip
def test_corrected_command(hub: Hub, case: Case) -> None:
    check_case(hub, case)
