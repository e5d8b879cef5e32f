"""The words of an eval command that can name a benchmark."""

from __future__ import annotations

import pytest

from git_hub_session.evaluation.guard import benchmark_words


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python3 bench.py", {"python3", "bench.py"}),
        ("cd sub && ./bench.py>out", {"cd", "sub", "./bench.py", "out"}),
        ("bench --config=conf.toml", {"bench", "conf.toml", "--config"}),
        ("sh -c 'time python3 bench.py; true'", {"sh", "-c", "bench.py"}),
        ("cat data | ./bench 'two words' \"b\"", {"data", "./bench", "two words", "b"}),
        ("python3 'not closed", {"python3", "'not"}),
        ("# bench.py", {"bench.py"}),
        ("cat ms\npython3 bench.py", {"ms", "bench.py"}),
        ("echo ms: $(sh bench.sh)", {"bench.sh"}),
        ('echo "ms: $(sh bench.sh)"', {"bench.sh"}),
        ("echo ms: `sh bench.sh`", {"bench.sh"}),
        ("sh <bench.sh", {"bench.sh"}),
        ("awk -f bench.awk list", {"bench.awk"}),
        ("A=1 ./bench", {"./bench"}),
        ("if test -e x; then ./bench; fi", {"./bench"}),
        ("find . -exec ./bench {} +", {"./bench"}),
        ("$BENCH run", {"run"}),
        ("echo $(cat ms) $(sh bench.sh)", {"bench.sh"}),
        ("(cat ms); (sh bench.sh)", {"bench.sh"}),
        ("cat ms 2>&1 && sh bench.sh", {"bench.sh"}),
        ("cat ms & sh bench.sh", {"bench.sh"}),
        ("cat() { sh bench.sh; }; cat", {"bench.sh"}),
        ("cat ms $(( 1 + 2 )); sh bench.sh", {"bench.sh"}),
        ("case x in x) sh bench.sh;; esac", {"bench.sh"}),
        ("cat ms $(echo x) | sh bench.sh", {"bench.sh"}),
        ("python3 -m bench", {"bench.py", "bench/__main__.py"}),
        ("python3 -X dev -m tools.bench --fast", {"tools/bench.py", "tools/bench/__main__.py"}),
        ("cd tools && python3 bench.py", {"bench.py", "tools/bench.py"}),
        ("cd ./a; cd b; sh -c 'python3 -m c'", {"./a/b/c.py"}),
        ("python3 $PWD/bench.py", {"bench.py"}),
        ('python3 "${PWD}/bench.py"', {"bench.py"}),
        ('python3 "$(pwd)"/bench.py', {"bench.py"}),
        ("python3 $(pwd)/bench.py", {"bench.py"}),
    ],
)
def test_words_of_a_benchmark(command: str, words: set[str]) -> None:
    assert words <= set(benchmark_words(command))


@pytest.mark.parametrize(
    "command",
    [
        "",
        "cat ms",
        "echo lines: $(wc -l <list)",
        'echo "lines: $(wc -l <list)"',
        "echo took $(cat file) s",
        "cat file 2>&1 &>out >>log",
        "(cat file; echo $(wc -l <list) lines) | tail -n 1",
        "cat file | wc -c | sed 's/^/n: /'",
        "test -s list && LC_ALL=C sort list | uniq >out; cat out",
        "cd sub\ncut -f 1 list",
    ],
)
def test_command_that_only_reads_names_no_benchmark(command: str) -> None:
    assert benchmark_words(command) == []
