"""Draws the errors of estimators against the number of users: picture.py CSV SVG

`bin/accuracy --picture` calls it with what `examples/accuracy.rs` of the core wrote.
An ending other than .svg gives that format, for a look at it.
"""

import csv
import sys
from collections import defaultdict

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, NullLocator  # noqa: E402

# Three of Okabe and Ito's colours, told apart whatever the reader's colour vision,
# and by their strokes where there is no colour at all.
OURS, PLUS, DATASKETCHES, GREY = "#0072B2", "#D55E00", "#007F5C", "#555555"

# The estimator in the CSV, its colour and its stroke, from the back to the front.
# "datasketches any order" is not drawn: it would be hidden by "ad_tally".
LINES = (
    ("ad_tally registers", OURS, {"linestyle": (0, (1.5, 1.5)), "linewidth": 1.4}),
    ("datasketches", DATASKETCHES, {"linestyle": (0, (6, 2)), "linewidth": 1.6}),
    ("hyperloglogplus", PLUS, {"linestyle": (0, (6, 1.5, 1.5, 1.5)), "linewidth": 1.6}),
    ("ad_tally", OURS, {"linewidth": 2.2}),
)

# What a label says, its colour, where it begins (users, per cent), and how it is set.
LABELS = (
    ("AdTally, registers only", OURS, 7.5, 1.27, {}),
    ("AdTally\n384 marks, then registers", OURS, 330, 0.62, {"ha": "right", "weight": "bold"}),
    ("hyperloglogplus\nsparse list up to 1,100 users", PLUS, 1_500, 0.30, {}),
    ("datasketches, one ordered stream\n(once united: as AdTally)", DATASKETCHES, 60_000, 0.86, {}),
    ("AdTally and hyperloglogplus", GREY, 60_000, 1.74, {}),
)

# Text stays text, so that it can be found and read aloud, and the file is the same
# after every run.
plt.rcParams.update({
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "accuracy",
})


def read(path):
    """Users and RMSE in per cent, by estimator."""
    errors = defaultdict(lambda: ([], []))
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            users, rmse = errors[row["estimator"]]
            users.append(int(row["users"]))
            rmse.append(100 * float(row["rmse"]))
    return errors


def draw(errors):
    figure, axes = plt.subplots(figsize=(8.4, 4.6), layout="constrained", facecolor="white")
    for name, colour, stroke in LINES:
        axes.plot(*errors[name], color=colour, **stroke)
    for text, colour, users, error, setting in LABELS:
        axes.text(users, error, text, color=colour, va="center", linespacing=1.3, **setting)

    axes.set_xscale("log")
    axes.set_xlim(1, 1.15e7)
    axes.set_ylim(-0.03, 2)
    axes.set_xticks([10**power for power in range(8)])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda users, _: f"{users:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks([0, 0.5, 1, 1.5, 2])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{error:g} %"))
    axes.set_xlabel("different users")
    axes.set_title("Root mean square error of the estimate, 4,096 registers", loc="left", fontsize=11)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=GREY)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#AAAAAA")
    return figure


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[0])
    source, target = sys.argv[1:]
    metadata = {"Date": None, "Creator": None} if target.endswith(".svg") else None
    draw(read(source)).savefig(target, metadata=metadata, dpi=150)


if __name__ == "__main__":
    main()
