"""Flink runs the queries of guides/warehouse.md over the files: flink_judge.py INPUT"""

import base64
import os
import sys

# Of the JVM, which takes a quarter of the machine's memory otherwise.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-Xmx1g")

from common import (  # noqa: E402
    Input,
    compare_counters,
    compare_dates,
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
from pyflink.table import EnvironmentSettings, TableEnvironment  # noqa: E402
from pyflink.table.types import BigIntType  # noqa: E402

FILES, ONCE, SUMS, REACH, ARRIVING, STREAM = guide("Flink", "sql")
[REACH_OF] = guide("Flink", "python")


def main(directory):
    for source in inputs(directory).values():
        judge(source)
        if source.name == "demo":
            streamed = judge_stream(source)
    judge_names(Input(directory, "names"))
    print(f"{figures()}; all {streamed:,} impressions of a stream, none late")


def tables_of(source, settings):
    tables = TableEnvironment.create(settings)
    options = {
        "parallelism.default": "2",
        "table.local-time-zone": "UTC",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
    }
    for option, value in options.items():
        tables.get_config().set(option, value)
    for declaration in source.expected["declarations"]["flink"].values():
        tables.execute_sql(declaration)
    return tables


def rows(tables, query):
    with tables.execute_sql(query).collect() as found:
        return [list(row) for row in found]


def judge(source):
    tables = load(source)
    compare_tables(source, tables)
    if source.has("overflow"):
        sums = ", ".join(f"SUM(CAST({metric} AS DECIMAL(38, 0)))" for metric in source.expected["metrics"])
        compare_overflow(source, rows(tables, f"SELECT {sums} FROM overflow_once")[0])
        compare_overflow_reach(source, [line["reach_sketch"] for line in as_written(tables, "overflow")])
    sums = [[campaign, *map(int, amounts)] for campaign, *amounts in rows(tables, SUMS)]
    compare_counters(source, sums, as_text=True)
    tables.create_temporary_function("reach_of", run(REACH_OF)["reach_of"])
    compare_reach(source, rows(tables, REACH), as_text=True)


def load(source):
    tables = tables_of(source, EnvironmentSettings.in_batch_mode())
    for kind in ("counters", "reach", "overflow"):
        if source.has(kind):
            for statement in (FILES, ONCE):
                tables.execute_sql(statement.replace("counters", kind))
    return tables


def judge_names(source):
    """Words of SQL and characters that need quotes, as names."""
    compare_tables(source, load(source))


def compare_tables(source, tables):
    for kind in ("counters", "reach", "overflow"):
        if source.has(kind):
            compare_rows(source, kind, as_written(tables, kind), as_text=True)


def as_written(tables, kind):
    """Rows as they are in the files, with sketches in Base64."""
    schema = tables.from_path(kind).get_schema()
    names, types = schema.get_field_names(), schema.get_field_data_types()
    integers = {name for name, type_ in zip(names, types) if isinstance(type_, BigIntType)}
    # As Arrow, which is quicker by far than row by row. A null would make floats of a column of integers.
    quoted = {name: "`" + name.replace("`", "``") + "`" for name in names}
    columns = ", ".join(
        f"CAST({column} AS STRING) AS {column}" if name in integers else column for name, column in quoted.items()
    )
    for line in tables.sql_query(f"SELECT {columns} FROM {kind}_once").to_pandas().to_dict("records"):
        for name, value in line.items():
            if name in integers and value is not None:
                line[name] = int(value)
            elif isinstance(value, bytes):
                line[name] = base64.b64encode(value).decode()
        yield line


def judge_stream(source):
    """Every impression arrives, on its day, and none twice."""
    tables = tables_of(source, EnvironmentSettings.in_streaming_mode())
    tables.execute_sql(ARRIVING)
    found = rows(tables, STREAM)
    compare_dates(source, {day.date() for day, _campaign, _impressions in found})
    for campaign in source.expected["campaigns"]:
        days = [impressions for _day, of_one, impressions in found if of_one == campaign["campaign"]]
        require(sum(days) == campaign["impressions"], source.name, "streamed:", days, "reported:", campaign)
    return sum(impressions for _day, _campaign, impressions in found)


if __name__ == "__main__":
    main(sys.argv[1])
