"""A loader of the files that AdTally.Sink.Files writes, as its documentation describes one, judging them.

    files.py DIR   reads DIR/files/*.ndjson.gz with the standard library's gzip and json, keeps one copy of each
                   (meter, node, epoch, sequence), sums counters and unites sketches with Apache DataSketches, and
                   compares with DIR/report.tsv: policy, campaign, impressions, clicks, reach
"""

import base64
import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path

# Python looks for imports beside the script first, and another one there has the name of
# the package.
HERE = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != HERE]

from datasketches import hll_sketch, hll_union  # noqa: E402

COMMON = {"kind", "meter", "window_start", "window_end", "sequence", "partial", "node", "epoch"}
COUNTERS = COMMON | {"policy", "campaign", "item", "position", "impressions", "withheld", "clicks"}
REACH = COMMON | {"policy", "campaign", "reach_sketch"}
HOUR = 3_600_000


def load(paths):
    """The lines of every window, one copy of each."""
    windows = {}
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        places = {(line["meter"], line["node"], line["epoch"], line["sequence"]) for line in lines}
        assert len(places) == 1, f"{path} has lines of several windows: {places}"
        windows[places.pop()] = lines
    return windows


def main(directory):
    paths = sorted((directory / "files").glob("*.ndjson.gz"))
    # Delivered again, a window is the same window.
    windows = load([*paths, *paths[:10]])
    assert len(windows) == len(paths) > 100, f"{len(windows)} windows in {len(paths)} files"
    sums = defaultdict(lambda: [0, 0])
    unions = defaultdict(lambda: hll_union(12))
    for lines in windows.values():
        for line in lines:
            assert line["window_end"] - line["window_start"] == HOUR and line["window_start"] % HOUR == 0, line
            key = (line["policy"], line["campaign"])
            if line["kind"] == "counters":
                assert set(line) == COUNTERS, line
                sums[key][0] += line["impressions"]
                sums[key][1] += line["clicks"]
            else:
                assert line["kind"] == "reach" and set(line) == REACH, line
                unions[key].update(hll_sketch.deserialize(base64.b64decode(line["reach_sketch"], validate=True)))

    report = [line.split("\t") for line in (directory / "report.tsv").read_text().splitlines()]
    assert len(report) == len(sums) == len(unions) == 6, (report, sums)
    for policy, campaign, impressions, clicks, reach in report:
        assert sums[policy, campaign] == [int(impressions), int(clicks)], (policy, campaign, sums[policy, campaign])
        united = unions[policy, campaign].get_estimate()
        assert abs(united - float(reach)) <= 0.01 * united, (policy, campaign, united, reach)
    print(f"{len(windows)} files of a meter read: counts equal, sketches of {len(report)} campaigns unite to our estimates")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
