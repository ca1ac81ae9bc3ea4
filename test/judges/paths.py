"""Packages for attribution over 10,000 paths of twelve channels, which the package `mta` carries.

    paths.py write DIR   writes DIR/paths.csv for test/judges/paths.exs: channels, conversions, value in micros, users
                         who did not convert
    paths.py check DIR   compares what that wrote, DIR/reports.csv and DIR/exported.csv

ChannelAttribution judges first, last and linear credits of conversions and of value, shapley-attribution first, last,
linear, position and decay credits of conversions. ChannelAttribution reads the exported paths, too, which are the paths
that were written.
"""

import csv
import io
import sys
from collections import Counter, defaultdict
from contextlib import redirect_stdout
from importlib import resources
from pathlib import Path

import pandas

CONVERSIONS, VALUE, NULL = "total_conversions", "total_conversion_value", "total_null"


def main(command, directory):
    {"write": write, "check": check}[command](Path(directory))


def write(directory):
    directory.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files("mta") / "data" / "data.csv.gz") as path:
        data = pandas.read_csv(path)
    with open(directory / "paths.csv", "w", newline="") as file:
        for row in data.itertuples():
            channels = " ".join(channel.strip() for channel in row.path.split(">"))
            micros = round(row.total_conversion_value * 1_000_000)
            file.write(f"{channels},{row.total_conversions},{micros},{row.total_null}\n")


def check(directory):
    with open(directory / "paths.csv", newline="") as file:
        paths = [(channels.split(" "), *map(int, numbers)) for channels, *numbers in csv.reader(file)]
    require(len(paths) == 10_000 and sum(conversions for _, conversions, _, _ in paths) == 19_785, "other paths")
    reports = defaultdict(dict)
    with open(directory / "reports.csv", newline="") as file:
        for model, channel, *numbers in csv.reader(file):
            reports[model][channel] = [int(number) for number in numbers]
    check_models(paths, reports)
    check_exported(paths, directory / "exported.csv")
    worst = "; ".join(f"{judge} " + ", ".join(f"{model} {off:.1e}" for (of, model), off in off_by.items() if of == judge)
                      for judge in dict.fromkeys(judge for judge, _ in off_by))
    print(f"of 19,785 conversions a channel's are off by at most: {worst}; 10,000 exported paths equal")


def check_models(paths, reports):
    from shapley_attribution import (FirstTouchAttribution, LastTouchAttribution, LinearAttribution,
                                     PositionBasedAttribution, TimeDecayAttribution)

    by_channel = channel_attribution(pandas.DataFrame(
        [(" > ".join(channels), conversions, micros / 1_000_000) for channels, conversions, micros, _ in paths],
        columns=["path", CONVERSIONS, VALUE]))
    for model, theirs in [("first_touch", "first_touch"), ("last_touch", "last_touch"), ("linear", "linear_touch")]:
        for what, place in [("conversions", 0), ("value", 1)]:
            found = dict(zip(by_channel["channel_name"], by_channel[f"{theirs}_{what}"]))
            compare("ChannelAttribution", model, what, reports[model], place, found, paths)

    journeys = [channels for channels, conversions, _, _ in paths for _ in range(conversions)]
    for model, theirs in [
        ("first_touch", FirstTouchAttribution()), ("last_touch", LastTouchAttribution()), ("linear", LinearAttribution()),
        ("position_based", PositionBasedAttribution()),
        # Touches are a half-life apart.
        ("time_decay", TimeDecayAttribution(decay_rate=0.5)),
    ]:
        found = {str(channel): credit for channel, credit in theirs.fit(journeys).attribution_.items()}
        compare("shapley-attribution", model, "conversions", reports[model], 0, found, paths)


def channel_attribution(frame):
    with redirect_stdout(io.StringIO()):
        import ChannelAttribution

        return ChannelAttribution.heuristic_models(frame, "path", CONVERSIONS, var_value=VALUE, flg_pro=False)


def compare(judge, model, what, report, place, found, paths):
    """Each credit is less than a millionth from its exact part, so a sum of n of them is less than n millionths off."""
    credits = Counter()
    for channels, conversions, _, _ in paths:
        ends = {"first_touch": channels[:1], "last_touch": channels[-1:]}.get(model, channels)
        for channel in ends:
            credits[channel] += conversions
    require(report.keys() == found.keys() == credits.keys(), judge, model, "channels:", report.keys(), found.keys())
    for channel, numbers in report.items():
        off = abs(numbers[place] / 1_000_000 - found[channel])
        # One touch that has all of it is exact, as far as floats are. So is half, as position has it.
        allowed = (0 if model in ("first_touch", "last_touch") else credits[channel]) / 1_000_000 + 1e-9 * found[channel]
        require(off <= allowed, judge, model, what, channel, numbers[place], found[channel])
        if what == "conversions":
            off_by[judge, model] = max(off_by.get((judge, model), 0), off)


def check_exported(paths, exported):
    """As a multiset the paths that were written, and read by the package as those are."""
    written = defaultdict(lambda: [0, 0, 0])
    for channels, *numbers in paths:
        written[" > ".join(channels)] = [sum(pair) for pair in zip(written[" > ".join(channels)], numbers)]
    with open(exported, newline="") as file:
        header, *lines = csv.reader(file)
    require(header == ["path", CONVERSIONS, VALUE, NULL], "header:", header)
    found = {path: [int(conversions), micros(value), int(null)] for path, conversions, value, null in lines}
    require(len(found) == len(lines), "a path has two lines")
    different = [path for path in found.keys() | written.keys() if found.get(path) != written.get(path)]
    require(not different, "exported paths differ:", *((path, found.get(path), written.get(path)) for path in different[:5]))

    frame = pandas.DataFrame([(path, a, b / 1_000_000, c) for path, (a, b, c) in written.items()], columns=header)
    ours, theirs = (channel_attribution(data).set_index("channel_name").sort_index()
                    for data in (pandas.read_csv(exported), frame))
    require((ours - theirs).abs().max().max() <= 1e-6, "read differently:", ours, theirs)


def micros(value):
    units, millionths = value.split(".")
    require(len(millionths) == 6, "a value without six digits:", value)
    return int(units + millionths)


def require(condition, *message):
    if not condition:
        raise SystemExit(" ".join(map(str, message)))


off_by = {}

if __name__ == "__main__":
    main(*sys.argv[1:])
