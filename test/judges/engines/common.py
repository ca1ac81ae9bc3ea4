"""What all judges share: the queries of guides/warehouse.md, what expected.json says, and the comparison.

A judge runs the guide's code in a directory that has the files under the name `rollups`, as the guide
does, and compares what came out. `figures` says how much that was.
"""

import contextlib
import gzip
import json
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[3] / "guides" / "warehouse.md"


def guide(heading, language):
    """The blocks of code of a language under a heading of the guide, in their order."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", GUIDE.read_text("utf-8"), re.M | re.S)
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.M | re.S)
    assert blocks, f"no {language} under {heading} in {GUIDE}"
    return blocks


def run(code, **names):
    """Runs Python of the guide, after that of its part on files, and returns its names."""
    names = dict(names)
    for block in [*guide("Files", "python"), code]:
        exec(compile(block, str(GUIDE), "exec"), names)
    return names


class Input:
    """The files of one meter, and what expected.json says of them."""

    def __init__(self, directory, name):
        self.name = name
        self.path = (Path(directory) / name).resolve()
        self.expected = json.loads((Path(directory) / "expected.json").read_text())[name]
        self.typed = self.expected["types"] is not None

        require(self.has("overflow") == (self.expected.get("overflow") is not None), name, "and its overflow")

    def has(self, kind):
        return (self.path / kind).exists()

    def lines(self, kind):
        """Its lines by the standard library, each window once, with the date of their folder."""
        windows = {}
        for path in (self.path / kind).glob("*/*.ndjson.gz"):
            date = {"date": path.parent.name.removeprefix("date=")}
            with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
                lines = [{**json.loads(line), **date} for line in file]
            windows[tuple(lines[0][name] for name in ("meter", "node", "epoch", "sequence"))] = lines
        # Of other kinds a window may have none.
        assert kind not in ("counters", "reach") or len(windows) == self.expected["windows"]
        return [line for lines in windows.values() for line in lines]

    @contextlib.contextmanager
    def as_rollups(self, name="rollups"):
        """A working directory in which `rollups`, or another name, are these files."""
        before = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(self.path, Path(folder) / name)
            os.chdir(folder)
            try:
                yield Path(folder)
            finally:
                os.chdir(before)


def inputs(directory):
    """By name all meters whose columns are those of the guide."""
    expected = json.loads((Path(directory) / "expected.json").read_text())
    return {name: Input(directory, name) for name, of in expected.items()
            if "metrics" in of and "campaign" in of["dimensions"]}


def require(condition, *message):
    if not condition:
        raise SystemExit(" ".join(map(str, message)))


def reported(source, as_text):
    """The report's rows by campaign. As text 7 and "7" are one, where a dimension has no declared type."""
    rows = source.expected["campaigns_as_text" if as_text else "campaigns"]
    return {json.dumps(row["campaign"]): row for row in rows}


def compare_counters(source, rows, as_text=False):
    """Rows of campaign and the sums of all metrics, equal to the report's."""
    found = {}
    for campaign, *amounts in rows:
        require(json.dumps(campaign) not in found, source.name, "has two rows of", repr(campaign))
        require(all(type(amount) is int for amount in amounts), source.name, repr(campaign), "is no integer:", amounts)
        found[json.dumps(campaign)] = amounts
    metrics = source.expected["metrics"]
    report = {campaign: [row[metric] for metric in metrics] for campaign, row in reported(source, as_text).items()}
    names = found.keys() | report.keys()
    different = {name: (found.get(name), report.get(name)) for name in names if found.get(name) != report.get(name)}
    require(not different, source.name, "campaigns differ, found and reported:", different)


def compare_overflow(source, amounts):
    """The sums of all metrics in the overflow, equal to the report's. Where it is empty, of nothing."""
    overflow = source.expected["overflow"]
    report = [overflow[metric] for metric in source.expected["metrics"]] if overflow else None
    found = [int(amount) for amount in amounts] if any(amount is not None for amount in amounts) else None
    require(found == report, source.name, "overflow:", found, "reported:", report)


def compare_overflow_reach(source, sketches):
    """The users of the overflow, from its sketches in Base64."""
    found = run("")["estimate"]([sketch for sketch in sketches if sketch is not None])
    report = source.expected["overflow"]
    require(abs(found - report["reach"]) <= 1e-3 + 0.02 * found, source.name, "overflow's reach:", found, report)


def compare_dates(source, dates):
    require(sorted(map(str, dates)) == source.expected["dates"], source.name, "dates:", dates)


def compare_reach(source, estimates, beside=0.02, as_text=False):
    """Estimates by campaign, in a dictionary or as pairs, within so much of the report's and its bounds. The worst difference."""
    report = reported(source, as_text)
    found = {json.dumps(campaign): estimate for campaign, estimate in getattr(estimates, "items", lambda: estimates)()}
    worst = 0.0
    for campaign, estimate in found.items():
        row = report[campaign]
        reach = row["reach"]
        if reach is None:
            continue
        off = abs(estimate - reach)
        worst = max(worst, off / max(reach, 1.0))
        near = off <= beside * reach + 1e-3 and row["reach_low"] - 1e-3 <= estimate <= row["reach_high"] + 1e-3
        require(near, source.name, campaign, "reach", estimate, "reported:", row)
    missing = [campaign for campaign, row in report.items() if row["reach"] and campaign not in found]
    require(not missing, source.name, "has no sketch of", missing)
    off_by.append(worst)
    return worst


def compare_rows(source, kind, rows, as_text=False):
    """Rows as dictionaries of all columns, equal to the lines in the files, each window once.

    As text, numbers and booleans in a column without a declared type are their JSON.
    """
    written = source.lines(kind)
    if as_text:
        types = source.expected["types"] or {}
        for line in written:
            for name in set(source.expected["dimensions"]) & line.keys() - types.keys():
                if not isinstance(line[name], str | None):
                    line[name] = json.dumps(line[name])
    found, lines = (Counter(map(frozen, of)) for of in (rows, written))
    more, less = list((found - lines).elements()), list((lines - found).elements())
    require(not more and not less, source.name, kind, len(more), "rows are not in the files:", more[:3],
            "and of their lines", len(less), "are missing:", less[:3])
    rows_of[source.name, kind] = found.total()


def frozen(row):
    """All types told apart: 1, True and "1" are three values."""
    return frozenset((name, type(value).__name__, value) for name, value in row.items())


# How many rows a meter's files had of each kind, and by how much estimates were off.
rows_of = {}
off_by = []


def figures():
    """What was compared, in a line."""
    kinds = Counter()
    for (_name, kind), rows in rows_of.items():
        kinds[kind] += rows
    rows = ", ".join(f"{rows:,} {kind}" for kind, rows in kinds.items())
    return f"equal rows: {rows}; sums equal; reach at most {max(off_by):.3%} off"
