"""What all judges share: the queries of guides/warehouse.md, what expected.json says, and the comparison.

A judge runs the guide's code in a directory that has the files under the name `rollups`, as the guide
does, and calls `compare` with what came out.
"""

import base64
import contextlib
import json
import os
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from datasketches import hll_sketch, hll_union, tgt_hll_type

GUIDE = Path(__file__).resolve().parents[3] / "guides" / "warehouse.md"


def guide(heading, language):
    """The blocks of code of a language under a heading of the guide, in their order."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", GUIDE.read_text("utf-8"), re.M | re.S)
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.M | re.S)
    assert blocks, f"no {language} under {heading} in {GUIDE}"
    return blocks


class Input:
    """The files of one meter, and what expected.json says of them."""

    def __init__(self, directory, name):
        self.name = name
        self.path = (Path(directory) / name).resolve()
        self.expected = json.loads((Path(directory) / "expected.json").read_text())[name]

    @contextlib.contextmanager
    def as_rollups(self):
        """A working directory in which `rollups` are these files."""
        before = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(self.path, Path(folder) / "rollups")
            os.chdir(folder)
            try:
                yield Path(folder)
            finally:
                os.chdir(before)


def inputs(directory):
    names = json.loads((Path(directory) / "expected.json").read_text())
    return {name: Input(directory, name) for name in names}


def require(condition, *message):
    if not condition:
        raise SystemExit(" ".join(map(str, message)))


def compare_counters(source, rows):
    """Rows of campaign and the sums of all metrics, equal to the report's."""
    metrics = source.expected["metrics"]
    found = {}
    for campaign, *amounts in rows:
        require(campaign not in found, source.name, "has two rows of", repr(campaign))
        require(all(type(amount) is int for amount in amounts), source.name, repr(campaign), "is no integer:", amounts)
        found[campaign] = amounts
    report = {row["campaign"]: [row[metric] for metric in metrics] for row in source.expected["campaigns"]}
    different = {key: (found.get(key), report.get(key)) for key in found.keys() | report.keys() if found.get(key) != report.get(key)}
    require(not different, source.name, "campaigns differ, found and reported:", different)


def compare_overflow(source, amounts):
    """The sums of all metrics in the overflow, equal to the report's. Where it is empty, of nothing."""
    overflow = source.expected["overflow"]
    report = [overflow[metric] for metric in source.expected["metrics"]] if overflow else None
    found = [int(amount) for amount in amounts] if any(amount is not None for amount in amounts) else None
    require(found == report, source.name, "overflow:", found, "reported:", report)


def compare_dates(source, dates):
    require(sorted(map(str, dates)) == source.expected["dates"], source.name, "dates:", dates)


def compare_reach(source, estimates, beside=0.02):
    """Estimates by campaign within so much of the report's and of its bounds. None where there is no sketch."""
    report = {row["campaign"]: row for row in source.expected["campaigns"]}
    worst = 0.0
    for campaign, estimate in estimates.items():
        row = report[campaign]
        reach = row["reach"]
        if reach is None:
            continue
        off = abs(estimate - reach)
        worst = max(worst, off / max(reach, 1.0))
        require(off <= beside * reach + 1e-3, source.name, repr(campaign), "reach", estimate, "reported:", row)
    missing = [c for c, row in report.items() if row["reach"] and c not in estimates]
    require(not missing, source.name, "has no sketch of", missing)
    return worst


def unite(sketches):
    """The union of sketches given as bytes, and its estimate, by Apache DataSketches."""
    union = hll_union(12)
    for sketch in sketches:
        union.update(hll_sketch.deserialize(bytes(sketch)))
    return union.get_result(tgt_hll_type.HLL_8)


def estimates_of(rows):
    """The estimate of each campaign, from rows of campaign and a sketch, as bytes or in Base64."""
    sketches = defaultdict(list)
    for campaign, sketch in rows:
        sketches[campaign].append(base64.b64decode(sketch, validate=True) if isinstance(sketch, str) else sketch)
    return {campaign: unite(of_one).get_estimate() for campaign, of_one in sketches.items()}
