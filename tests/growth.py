"""Measure how the time of commands grows with the number of sessions, and draw it (`make growth`).

The table is in docs/performance.md, and the picture is drawn from it. So the picture shows the same
figures, and it can be drawn again without a measurement: `python -m tests.growth --draw`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from git_hub_session.report.markup import Markup, element
from git_hub_session.report.svg import CHAR, WIDTH, Scale, dot, label, line
from tests.bench import FULL, OURS, Bench
from tests.support.hub import CHECKOUT

DOCUMENT = CHECKOUT / "docs" / "performance.md"
PICTURE = CHECKOUT / "docs" / "pictures" / "growth.svg"
SESSIONS = (10, 100, 1_000, 10_000)
HEADER = """\
| sessions | refs | `push` | `git push` | `fetch` | `git fetch` | `list` |
|---|---|---|---|---|---|---|"""
_RUNS = 36
_ROW = re.compile(r"^\| ([\d,]+) \| ([\d,]+) \|((?: [\d.]+ ms \|){5})$", re.MULTILINE)
_NAMES = ("push", "git push", "fetch", "git fetch", "list")
_TOP, _BOTTOM, _LEFT, _RIGHT = 20.0, 340.0, 90.0, WIDTH - 90.0
_LINE = 16  # the height of a label
_STYLE = """
text{font:13px system-ui,sans-serif;fill:#333}
.grid{stroke:#ccc}
.mark{fill:none;stroke-width:2}
.git{stroke-dasharray:6 4}
.c0{stroke:#1f6feb;color:#1f6feb}.c1{stroke:#bc4c00;color:#bc4c00}.c2{stroke:#1a7f37;color:#1a7f37}
circle{fill:currentColor}
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#ccc}.grid{stroke:#444}}"""


def measure(count: int, directory: Path, runs: int = _RUNS) -> str:
    """Return the row of the table for `count` sessions with ten refs each.

    Args:
        runs: four times the number of measurements of each command.
    """
    directory.mkdir()
    bench = Bench(directory, FULL._replace(sessions=(count,), runs=runs), None)
    cells = []
    for row in (bench.push(), bench.fetch()):
        cells += [row.ours, row.theirs]
    times = [bench.run([OURS, "list"], directory / "push").seconds for _ in range(runs // 4 + 1)]
    cells.append(median(times) * 1000)
    return f"| {count:,} | {10 * count:,} | {' | '.join(f'{cell:.1f} ms' for cell in cells)} |"


def read_table(text: str) -> dict[int, list[float]]:
    """Return the times of each row of the table in milliseconds, by the number of sessions."""
    return {
        int(row[1].replace(",", "")): [float(cell) for cell in re.findall(r"[\d.]+", row[3])]
        for row in _ROW.finditer(text)
    }


def draw(times: dict[int, list[float]]) -> str:
    """Return the picture of the table as SVG, with logarithmic scales."""
    values = [value for row in times.values() for value in row]
    across = Scale(log10(min(times)), log10(max(times)), _LEFT, _RIGHT)
    up = Scale(floor(log10(min(values))), ceil(log10(max(values))), _BOTTOM, _TOP)
    series = [[times[count][index] for count in times] for index in range(len(_NAMES))]
    marks = [*_axes(across, up, times)]
    for index, name in enumerate(_NAMES):
        marks += _series(index, name, [*times], series[index], (across, up))
    marks += _name_labels([values[-1] for values in series], up)
    description = "One changed session among many. Git's own commands are dashed."
    title = "Time of push, fetch and list by the number of sessions"
    drawing = element(
        "svg",
        element("title", title),
        element("desc", description),
        element("style", Markup(_STYLE)),
        *marks,
        viewBox=f"0 0 {WIDTH} {_BOTTOM + 50:.0f}",
        role="img",
        aria_label=title,
        xmlns="http://www.w3.org/2000/svg",
    )
    return f"{drawing}\n"


def _axes(across: Scale, up: Scale, counts: dict[int, list[float]]) -> Iterator[Markup]:
    for count in counts:
        x = across.place(log10(count))
        yield line(x, _TOP, x, _BOTTOM, "grid")
        yield label(x, _BOTTOM + 18, f"{count:,}", anchor="middle")
    yield label((_LEFT + _RIGHT) / 2, _BOTTOM + 40, "sessions, ten refs each", anchor="middle")
    for power in range(int(up.low), int(up.high) + 1):
        y = up.place(power)
        yield line(_LEFT, y, _RIGHT, y, "grid")
        yield label(_LEFT - 10, y + 4, f"{10**power:,} ms", anchor="end")


def _series(
    index: int, name: str, counts: Sequence[int], values: Sequence[float], scales: tuple[Scale, ...]
) -> Iterator[Markup]:
    across, up = scales
    points = [
        (across.place(log10(count)), up.place(log10(value)))
        for count, value in zip(counts, values, strict=True)
    ]
    color = f"c{index // 2}"
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    yield element("path", d=path, class_=f"mark {color}{' git' * name.startswith('git')}")
    for (x, y), value in zip(points, values, strict=True):
        yield dot(x, y, 3.5, color, f"{name}: {value:.1f} ms")


def _name_labels(last: Sequence[float], up: Scale) -> Iterator[Markup]:
    """Yield the names at the ends of the lines, without overlap."""
    lowest = _BOTTOM + _LINE
    ends = sorted(zip(last, _NAMES, strict=True))
    for value, name in ends:
        lowest = min(up.place(log10(value)) + 4, lowest - _LINE)
        yield label(_RIGHT + CHAR, lowest, name)


def main(words: Sequence[str]) -> int:
    """Measure and print the table, or draw the picture of the table in the document."""
    if words == ["--draw"]:
        PICTURE.write_text(draw(read_table(DOCUMENT.read_text())))
        return 0
    print(HEADER, flush=True)
    for count in SESSIONS:
        with TemporaryDirectory(prefix="git-hub-session-growth-") as directory:
            print(measure(count, Path(directory).resolve() / "growth"), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
