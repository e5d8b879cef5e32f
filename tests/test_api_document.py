"""The examples of docs/api.md."""

from __future__ import annotations

import json
import re

from tests.support.hub import CHECKOUT, PYTHON, Hub

DOCUMENT = (CHECKOUT / "docs" / "api.md").read_text()
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```\n(?:\n```output\n(.*?)^```\n)?", DOCUMENT, re.MULTILINE | re.DOTALL
)

RUN_EXAMPLES = """\
import contextlib, io, json, sys
names, printed = {}, []
for example in json.loads(sys.stdin.read()):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(example, names)
    printed.append(output.getvalue())
print(json.dumps(printed))
"""


def test_each_example_prints_its_output(hub: Hub) -> None:
    measure = ("--eval", "cat file", "--metric", "ms", "--direction", "lower")
    words = ("init", "-q", "--id", "demo", "--task", "Make it fast", "--agents", "2", *measure)
    assert hub.run(*words).code == 0
    assert hub.run("spawn", "-q", "demo").code == 0
    work = (
        'test "$HUB_AGENT" = agent-1 && echo ms: 9 >file || echo ms: 7 >file; git commit -qam work'
    )
    assert hub.run("exec", "-q", "demo", "--", "sh", "-c", work).code == 0
    assert hub.run("eval", "-q", "demo").code == 0

    examples = json.dumps([source for source, _ in EXAMPLES])
    result = hub.call(PYTHON, "-c", RUN_EXAMPLES, stdin=examples)

    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == [output for _, output in EXAMPLES]
    assert len(EXAMPLES) == DOCUMENT.count("```python") == 6
