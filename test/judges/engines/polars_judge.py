"""polars runs the queries of guides/warehouse.md over the files: polars_judge.py INPUT"""

import sys

import polars as pl

from common import (
    compare_counters,
    compare_overflow,
    compare_overflow_reach,
    compare_reach,
    compare_rows,
    figures,
    guide,
    inputs,
    run,
)

TABLES, OVERFLOW, SUMS = guide("polars", "python")


def main(directory):
    for source in inputs(directory).values():
        with source.as_rollups():
            # A column of several types cannot be loaded: its types have to be declared to the sink.
            if source.typed:
                judge(source, run(TABLES))
                judge(source, run(inferred(TABLES)))
    print(figures())


def inferred(code):
    inferring = code.replace("schema=schema", "infer_schema_length=None")
    assert inferring != code
    return inferring


def judge(source, names):
    if source.has("overflow"):
        exec(OVERFLOW, names)
        compare_overflow(source, names["overflow"].select(pl.col(*source.expected["metrics"]).cast(pl.Int128).sum()).row(0))
        compare_overflow_reach(source, names["overflow"]["reach_sketch"])
    for kind in ("counters", "reach", "overflow"):
        if source.has(kind):
            dates = names[kind].with_columns(pl.col("date").cast(pl.String))
            compare_rows(source, kind, dates.iter_rows(named=True))
    exec(SUMS, names)
    compare_counters(source, names["sums"].iter_rows())
    compare_reach(source, names["estimates"])


if __name__ == "__main__":
    main(sys.argv[1])
