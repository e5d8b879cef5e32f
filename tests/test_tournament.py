"""The page about a tournament: its commands are typed in a project with the same files.

A small program takes the place of `python3` in the eval command, and prints a time that depends on
the files. All other text must be as on the page, except times, figures and object ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.hub import CHECKOUT, Hub, new_hub
from tests.support.transcripts import code_blocks, output_pattern, transcript_steps

pytestmark = pytest.mark.slow

PAGE = (CHECKOUT / "docs" / "tournament.md").read_text()
FIRST, SECOND = PAGE.split("## More accidents")

# The changes have the sizes of those on the page.
AGENTS = """\
parser=src/tomli/_parser.py
commit() { git commit -qam "$1"; }
case $HUB_AGENT in
agent-1) seq 8 | sed 's/^/fast /' >>$parser ;;
agent-2) head -n 5 benchmark/data.toml >short && mv short benchmark/data.toml && commit "Optimize" ;;
agent-3) sed -i 's/^check . comments$/skip/; /^checks/d' $parser && commit "Skip comments" ;;
agent-4) git switch -qc perf/inline && seq 2 | sed 's/^/slow /' >>$parser && commit "Inline" ;;
agent-5) echo half >>$parser && commit "Half"; echo "connection lost" >&2; exit 1 ;;
esac
"""
OTHERS = """\
parser=src/tomli/_parser.py
case $HUB_AGENT in
agent-1) seq 7 | sed 's/^/fast /' >>$parser; python3 -m http.server $HUB_PORT >/dev/null 2>&1 & ;;
agent-2)
    printf '\\033[2J\\033]0;done\\007best of 100: 1 nsec per loop\\377\\n'
    sed -i 's/^rest$/rest  # nested/' $parser
    echo comment >>$parser && git commit -qam "Add a comment" ;;
agent-3) git branch -m turbo; echo turbo >>$parser && git commit -qam "Turbo" ;;
agent-4)
    { sh -c "$HUB_EVAL"; seq 4; } >result.txt
    echo measured >>$parser && git add -A && git commit -qm "Measure the parser" ;;
esac
"""
PARSER = "check 1 comments\ncheck 2 comments\nchecks\nrest\n"
PYTHON3 = """\
#!/bin/sh
case $2 in
http.server) mkfifo ../fifo && read -r line <../fifo ;;
unittest) grep -q checks src/tomli/_parser.py ;;
timeit)
    changed=$(grep -c fast src/tomli/_parser.py) slow=$(grep -c slow src/tomli/_parser.py)
    lines=$(wc -l <benchmark/data.toml)
    echo "5 loops, best of 100: $((lines * 4 - changed * 5 + slow * 10)) usec per loop" ;;
esac
"""


def create_project(tmp_path: Path, environ: Mapping[str, str]) -> Hub:
    """Create a project with the files that the page names."""
    hub = new_hub(tmp_path / "tomli", environ)
    (hub.top / "eval.sh").write_text(eval_script())
    (hub.top / ".git" / "info" / "exclude").write_text("eval.sh\n")
    hub.commit(hub.top, "src/tomli/_parser.py", PARSER)
    hub.commit(hub.top, "benchmark/data.toml", "".join(f"a{n} = {n}\n" for n in range(128)))
    (tmp_path / "home" / "agents.sh").write_text(AGENTS)
    (tmp_path / "home" / "others.sh").write_text(OTHERS)
    program = tmp_path / "bin" / "python3"
    program.write_text(PYTHON3)
    program.chmod(0o755)
    return hub


def eval_script() -> str:
    """Return the output of `cat eval.sh` on the page."""
    [script] = [out for command, out in page_steps(FIRST) if command == "cat eval.sh\n"]
    return script


def page_steps(part: str) -> list[tuple[str, str]]:
    """Return the commands of a part of the page, each with the text below it in a code block."""
    return transcript_steps("".join(code_blocks(part, "console")))


def without_figures(text: str) -> str:
    """Replace times, metrics, ties and object ids, and the spaces that align them."""
    text = re.sub(r" +tie$", "", text, flags=re.MULTILINE)
    text = re.sub(r"[+-]?\d[\d.]* us(?: ±\S+)?", "T", text)
    text = re.sub(
        r"^( *[\d-] +agent-\d +T) +\(10\) +\S+ +\S+", r"\1 (10)", text, flags=re.MULTILINE
    )
    text = re.sub(r"[−+]\d[\d.]* %", "P", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "ID", text)
    return re.sub(" +", " ", re.sub(r"\b\d\.\ds\b", "S", text))


@pytest.mark.parametrize(
    ("part", "expected_codes"), [(FIRST, [0, 1, 0, 0, 0, 0]), (SECOND, [1, 0, 0, 0])]
)
def test_the_page_is_true(
    part: str, expected_codes: list[int], tmp_path: Path, environ: Mapping[str, str]
) -> None:
    hub = create_project(tmp_path, environ)
    codes = []
    for command, expected in page_steps(part):
        result = hub.call("sh", "-c", f"exec 2>&1; {command}")
        shown = without_figures(result.out.replace(str(tmp_path), "/home/ada"))
        assert re.fullmatch(output_pattern(without_figures(expected)), shown), (
            f"{command}\n{shown}\n{expected}"
        )
        codes.append(result.code)
    assert codes == expected_codes
