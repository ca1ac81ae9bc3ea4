"""A loader of the files that AdTally.Sink.Files writes, as its documentation describes one, judging them.

    files.py DIR   reads DIR/files/KIND/date=*/*.ndjson.gz with the standard library's gzip and json, keeps one
                   copy of each (meter, node, epoch, sequence), sums counters and unites sketches with Apache
                   DataSketches, and compares with DIR/report.tsv: policy, campaign, impressions, clicks, reach
"""

import base64
import gzip
import json
import sys
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path

# Python looks for imports beside the script first, and another one there has the name of
# the package.
HERE = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != HERE]

from datasketches import hll_sketch, hll_union  # noqa: E402

COMMON = ["meter", "node", "epoch", "sequence", "partial", "starts_at", "ends_at"]
COUNTERS = [*COMMON, "policy", "campaign", "item", "position", "misfits", "impressions", "withheld", "clicks"]
REACH = [*COMMON, "policy", "campaign", "misfits", "reach_sketch"]
HOUR = 3_600_000


def load(paths, columns):
    """The lines of every window, one copy of each."""
    windows = {}
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        window = {tuple(line[name] for name in COMMON) for line in lines}
        assert len(window) == 1, f"{path} has lines of several windows: {window}"
        *place, _partial, starts_at, ends_at = window.pop()
        assert ends_at - starts_at == HOUR and starts_at % HOUR == 0, path
        date = datetime.fromtimestamp(starts_at / 1000, timezone.utc).date()
        assert path.parent.name == f"date={date}" and path.name.startswith(f"{starts_at}_"), path
        for line in lines:
            assert list(line) == columns and line["misfits"] is None, line
        windows[tuple(place)] = lines
    return windows


def main(directory):
    counters, reach = (
        # Delivered again, a window is the same window.
        (paths, load([*paths, *paths[:10]], columns))
        for kind, columns in [("counters", COUNTERS), ("reach", REACH)]
        for paths in [sorted((directory / "files" / kind).glob("date=*/*.ndjson.gz"))]
    )
    for paths, windows in counters, reach:
        assert len(windows) == len(paths) > 100, f"{len(windows)} windows in {len(paths)} files"
    assert counters[1].keys() == reach[1].keys()
    assert [path.parent.name for path in (directory / "files").glob("*/*/*")].count("date=2019-11-24") > 20

    sums = defaultdict(lambda: [0, 0])
    unions = defaultdict(lambda: hll_union(12))
    partial = 0
    for lines in counters[1].values():
        partial += lines[0]["partial"]
        for line in lines:
            assert type(line["item"]) is int and type(line["position"]) is int, line
            key = (line["policy"], line["campaign"])
            sums[key][0] += line["impressions"]
            sums[key][1] += line["clicks"]
    for lines in reach[1].values():
        for line in lines:
            sketch = hll_sketch.deserialize(base64.b64decode(line["reach_sketch"], validate=True))
            unions[line["policy"], line["campaign"]].update(sketch)
    # The meter was stopped at the end.
    assert partial in (1, 2), f"{partial} windows are partial"

    report = [line.split("\t") for line in (directory / "report.tsv").read_text().splitlines()]
    assert len(report) == len(sums) == len(unions) == 6, (report, sums)
    for policy, campaign, impressions, clicks, estimate in report:
        assert sums[policy, campaign] == [int(impressions), int(clicks)], (policy, campaign, sums[policy, campaign])
        united = unions[policy, campaign].get_estimate()
        assert abs(united - float(estimate)) <= 0.01 * united, (policy, campaign, united, estimate)
    print(f"files of {len(counters[1])} windows read: counts equal, sketches of {len(report)} campaigns unite to our estimates")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
