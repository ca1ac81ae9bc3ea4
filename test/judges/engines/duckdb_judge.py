"""DuckDB runs the queries of guides/warehouse.md over the files: duckdb_judge.py INPUT"""

import json
import re
import sys
from collections import defaultdict

import duckdb

from common import (
    Input,
    compare_counters,
    compare_overflow,
    compare_overflow_reach,
    compare_reach,
    compare_rows,
    figures,
    guide,
    inputs,
    require,
    run,
)

TABLES, OVERFLOW, SUMS = guide("DuckDB", "sql")
ATTRIBUTION, NET, EARNED = guide("Attribution", "sql")
[REACH] = guide("DuckDB", "python")
COLUMNS = re.compile(r"columns = (\{.*?\})", re.S)


def main(directory):
    for source in inputs(directory).values():
        with source.as_rollups():
            declared = source.expected["declarations"]["duckdb"]
            # Those that the guide shows, where it is for this meter: test/guides/warehouse_tables_test.exs.
            load(source, lambda kind: f"columns = {declared[kind]}")
            judge(source)
            # By inference: other types, and the same values.
            load(source, lambda kind: "sample_size = -1")
            judge(source)
    judge_names(Input(directory, "names"))
    judge_attribution(Input(directory, "attribution"))
    print(figures())


def judge_names(source):
    """Words of SQL and characters that need quotes, as names."""
    with source.as_rollups():
        declared = source.expected["declarations"]["duckdb"]
        load(source, lambda kind: f"columns = {declared[kind]}")
        for kind in ("counters", "reach"):
            compare_rows(source, kind, rows(source, kind))


def judge_attribution(source):
    """Credits and touches: their lines, and the guide's sums beside the reports."""
    with source.as_rollups("credits"):
        declared = source.expected["declarations"]["duckdb"]
        # Those that the guide shows, and by inference.
        for columns in (lambda kind: f"columns = {declared[kind]}", lambda kind: "sample_size = -1"):
            load_tables(ATTRIBUTION, ["credits", "touches"], columns)
            for kind in ("credits", "touches"):
                compare_rows(source, kind, rows(source, kind))
            expected = source.expected
            net = defaultdict(lambda: [0, 0])
            for _day, campaign, conversions, value in duckdb.sql(NET).fetchall():
                net[campaign] = [net[campaign][0] + conversions, net[campaign][1] + value]
            compare_sums("net", net, {campaign: sums for campaign, *sums in expected["net"]})
            earned = {(str(day), campaign): [value, cost] for day, campaign, value, cost, _roas in duckdb.sql(EARNED).fetchall()}
            compare_sums("earned", earned, {(day, campaign): sums for day, campaign, *sums in expected["earned"]})
            by_model = duckdb.sql("select model, sum(value_micros) from credits group by model").fetchall()
            # Each model splits the same.
            assert len(by_model) == 2 and len({value for _model, value in by_model}) == 1, by_model
            reported = {model: [value] for model, value in expected["value_micros"].items()}
            compare_sums("models", {model: [value] for model, value in by_model}, reported)


def compare_sums(name, found, reported):
    # A group in which all is zero may be missing from either.
    found, reported = ({key: sums for key, sums in of.items() if any(sums)} for of in (found, reported))
    groups = found.keys() | reported.keys()
    different = {key: (found.get(key), reported.get(key)) for key in groups if found.get(key) != reported.get(key)}
    require(not different, "attribution", name, "differs, found and reported:", different)


def load(source, columns):
    load_tables(TABLES, ["counters", "reach"], columns)
    if source.has("overflow"):
        duckdb.sql(COLUMNS.sub(lambda _: columns("overflow"), OVERFLOW))


def load_tables(sql, kinds, columns):
    kinds = iter(kinds)
    duckdb.sql(COLUMNS.sub(lambda _: columns(next(kinds)), sql))


def judge(source):
    for kind in ("counters", "reach", "overflow"):
        if source.has(kind):
            compare_rows(source, kind, rows(source, kind))
    value = value_of(duckdb.table("counters"), "campaign")
    compare_counters(source, [[value(campaign), *sums] for campaign, *sums in duckdb.sql(SUMS).fetchall()])
    reach = run(REACH, duckdb=duckdb)["reach"]
    compare_reach(source, [(value(campaign), estimate) for campaign, estimate in reach.items()])
    if source.has("overflow"):
        sums = ", ".join(f"sum({metric})" for metric in source.expected["metrics"])
        compare_overflow(source, duckdb.sql(f"select {sums} from overflow").fetchall()[0])
        compare_overflow_reach(source, [sketch for (sketch,) in duckdb.sql("select reach_sketch from overflow").fetchall()])


def rows(source, kind):
    table = duckdb.table(kind)
    values = {name: value_of(table, name) for name in table.columns}
    for row in table.fetchall():
        yield {name: values[name](value) for name, value in zip(table.columns, row)}


def value_of(table, column):
    """What a value is in JSON: a column of the type JSON has it as text, and dates have their own type."""
    kind = str(table.types[table.columns.index(column)])
    if kind == "JSON":
        return lambda text: None if text is None else json.loads(text)
    return str if kind == "DATE" else lambda value: value


if __name__ == "__main__":
    main(sys.argv[1])
