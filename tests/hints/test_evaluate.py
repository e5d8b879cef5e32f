"""Hints of `eval` and `run`: the agents are then ranked."""

from __future__ import annotations

from tests.support.hints import Case, cases, check_case, corrected, find_hint, follow_hint, types
from tests.support.hub import IMPATIENT, Hub
from tests.support.locks import lock_directory
from tests.support.measured_sessions import create_measurable_session, running_evaluation

DONE = "status s1"
W = "../project.hub/s1/agent-1"
INIT = "git hub-session init -q --id s1 --task t --agents 2"
WORK = (
    "git hub-session spawn -q s1\n"
    "git hub-session exec -q s1 --commit --agent-cmd 'echo $HUB_AGENT >new'"
)
S1 = f"{INIT}\n{WORK}"
NO_BASE = f'sed -i \'s/"base_commit": ".*"/"base_commit": "{"1" * 40}"/\' .agenthub/sessions/s1/state.json'
METRIC = "eval s1 --eval 'echo ms: 1' --metric ms --direction lower"
BENCH = (
    "--task t --agents 1 --agent-cmd 'echo 1 >new' --eval 'sh bench' --metric ms"
    " --direction lower --yes"
)
HOLDOUT = "eval s1 --eval true --holdout"
CONFIG = ".agenthub/sessions/s1/config.yaml"


@cases(
    corrected("use at most 64 letters, digits, '.', '_' and '-', and start with a letter or digit",
              "init --id /x --task t", "init --id x --task t"),
    Case("git hub-session eval {} --eval {}", "eval s1", "{0}",
         f"{INIT} --eval true\n{WORK}\nsed -i s/true/:/ {CONFIG}"),
    Case("git hub-session eval {} --holdout {}", "eval s1", "{0}",
         f"mkdir ../secret\ntouch ../secret/test\n{INIT} --eval true\n{WORK}\n"
         f"echo holdout: $(realpath ../secret) >>{CONFIG}", DONE),
    corrected("give a number with --baseline <number>", f"{METRIC} --baseline measure",
              f"{METRIC} --baseline 1", f"{S1}\ngit branch -m other\n{NO_BASE}"),
    Case("write lower or higher, or use --direction <direction>", "eval s1",
         "git hub-session eval s1 --direction lower",
         f"{INIT} --eval 'echo ms: 1' --metric ms --direction lower\n{WORK}\n"
         f"sed -i 's/: lower/: Lower/' {CONFIG}", DONE),
    Case("run the command in the worktree of an agent", "eval --here --eval true",
         f"cd {W} && git hub-session eval --here --eval true", S1, then=None),
    Case("correct config.yaml, or use --no-require", "eval s1 --eval true",
         "git hub-session eval s1 --eval true --no-require", f"{S1}\necho 'require: x' >>{CONFIG}", DONE),
    corrected("leave out --in-place", f"{HOLDOUT} ../secret --in-place", f"{HOLDOUT} ../secret",
              f"{S1}\nmkdir ../secret\ntouch ../secret/test"),
    corrected("name another directory", f"{HOLDOUT} ..", f"{HOLDOUT} ../secret",
              f"{S1}\nmkdir ../secret\ntouch ../secret/test"),
    corrected("name another one with --holdout", f"{HOLDOUT} ../x", f"{HOLDOUT} ../secret",
              f"{S1}\nmkdir ../secret\ntouch ../secret/test"),
    Case("replace it with a file", f"{HOLDOUT} ../secret", "rm ../secret/link; touch ../secret/link",
         f"{S1}\nmkdir ../secret\nln -s /etc/passwd ../secret/link"),
    Case("move the directory out of the repository, and commit its removal", f"{HOLDOUT} secret",
         "cp -r secret ../secret && git rm -rq secret && git commit -qm x",
         f"mkdir secret\ntouch secret/test\ngit add secret\ngit commit -qm secret\n{S1}",
         f"{HOLDOUT} ../secret"),
    Case("leave it out of .worktreeinclude", f"{HOLDOUT} secret", "rm .worktreeinclude",
         f"mkdir secret\ntouch secret/test\necho secret/ >.worktreeinclude\necho secret >.git/info/exclude"
         f"\n{S1}"),
    Case("record a ranking, best agent first: {}", "eval s1", "{1}", S1, DONE),
    Case("set hubsession.setup to the command that prepares a new worktree",
         "eval s1 --eval 'cat build/tool.py'",
         "git config hubsession.setup 'mkdir build; touch build/tool.py'", f"{S1}\necho build >.git/info/exclude"),
    Case("list the ignored files that a new worktree needs in .worktreeinclude",
         "eval s1 --eval 'cat build/tool.py'", "echo build/ >.worktreeinclude",
         f"{S1}\nmkdir build\ntouch build/tool.py\necho build >.git/info/exclude"),
    Case("measure in the agents' own worktrees with --in-place", "eval s1 --eval 'cat node_modules/x'",
         "git hub-session eval s1 --in-place --eval 'cat node_modules/x'",
         f"{S1}\necho node_modules >>.git/info/exclude\n"
         "git hub-session exec s1 -- sh -c 'mkdir node_modules; touch node_modules/x'", DONE),
    Case("read its output in {}/{}.log", "eval s1 --eval 'cat build/x'",
         "cat {1}/{2}.log; git hub-session eval s1 --eval true", S1, DONE),
    Case("git add --force -- {} && git commit -m 'Add the benchmark'", f"run --id s1 {BENCH}", "{0}",
         "echo 'echo ms: $(cat new || echo 5)' >bench\necho bench >.git/info/exclude",
         f"run --id s2 {BENCH}"),
    Case("mv {} {}.old", "log s1 --evaluations", "{0}",
         f"{S1}\ngit hub-session eval s1 --eval true\nf=.agenthub/sessions/s1/evaluations.jsonl;"
         " rm -f $f; ln -s x $f"),
)  # fmt: skip
def test_agents_are_ranked(hub: Hub, case: Case) -> None:
    check_case(hub, case)


@types("give --eval, --metric and --direction")
def test_measurement_in_the_own_worktree(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    worktree = hub.top / W
    hint = find_hint(
        hub.run("eval", "--here", cwd=worktree), "give --eval, --metric and --direction"
    )
    options = ("--eval", "cat ms", "--metric", "ms", "--direction", "lower")
    assert hub.run("eval", "--here", *options, cwd=worktree).code == 0
    follow_hint(hint)


@types("wait for the evaluation to end, or stop it")
def test_running_evaluation(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    with running_evaluation(hub):
        result = hub.run("exec", "s1", "--", "true")
        hint = find_hint(result, "wait for the evaluation to end, or stop it")
    assert hub.run("exec", "s1", "--", "true").code == 0
    follow_hint(hint)


@types("try again when it has finished")
def test_locked_session(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    command = ("update", "s1", "--state", "evaluating")
    with lock_directory(hub.directory()):
        result = hub.run(*command, environ=IMPATIENT)
        hint = find_hint(result, "try again when it has finished")
    assert hub.run(*command).code == 0
    follow_hint(hint)


@types("set HOME")
def test_approval_without_a_home_directory(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    homeless = {"HOME": "", "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "XDG_DATA_HOME": ""}
    command = ("eval", "s1", "--eval", "true")
    hint = find_hint(hub.run(*command, environ=homeless), "set HOME")
    assert "set HOME" not in hub.run(*command).err
    follow_hint(hint)
