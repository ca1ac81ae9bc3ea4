"""Spark runs the queries of guides/warehouse.md over the files: spark_judge.py INPUT"""

import base64
import sys
from decimal import Decimal

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
from pyspark.sql import SparkSession

TABLES, OVERFLOW, STREAM = guide("Spark", "python")
SUMS, REACH, MIXED = guide("Spark", "sql")


def main(directory):
    spark = session()
    for source in inputs(directory).values():
        judge(source, spark)
        if source.expected["users"]:
            judge_mixed(source, spark)
        if source.name == "demo":
            batches = judge_stream(source, spark)
    judge_names(Input(directory, "names"), spark)
    print(f"{figures()}; mixed with Spark's own sketches the same; none late in a stream of {batches} batches")


def session():
    options = {
        "spark.driver.memory": "1g",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": 2,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    spark = SparkSession.builder.master("local[2]").config(map=options).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def judge(source, spark):
    names = run_guide(TABLES, source, spark)
    if source.has("overflow"):
        exec(OVERFLOW, names)
        sums = ", ".join(f"sum(CAST({metric} AS DECIMAL(38)))" for metric in source.expected["metrics"])
        compare_overflow(source, rows(spark, f"SELECT {sums} FROM overflow")[0])
        compare_overflow_reach(source, [line["reach_sketch"] for line in as_written(spark.table("overflow"))])
    compare_tables(source, spark)
    compare_counters(source, rows(spark, SUMS), as_text=True)
    compare_reach(source, rows(spark, REACH), as_text=True)


def run_guide(code, source, spark):
    # Spark's working directory is the one it was started in.
    absolute = code.replace('"rollups/', f'"{source.path}/')
    return run(absolute, spark=spark, declared=source.expected["declarations"]["spark"])


def rows(spark, query):
    """With decimals as integers, as all of them are sums of integers."""
    return [[int(value) if isinstance(value, Decimal) else value for value in row] for row in spark.sql(query).collect()]


def compare_tables(source, spark):
    for kind in ("counters", "reach", "overflow"):
        if source.has(kind):
            compare_rows(source, kind, as_written(spark.table(kind)), as_text=True)


def as_written(table):
    """Rows as they are in the files: sketches in Base64, dates as text."""
    for row in table.collect():
        line = {**row.asDict(), "date": str(row.date)}
        if line.get("reach_sketch"):
            line["reach_sketch"] = base64.b64encode(line["reach_sketch"]).decode()
        yield line


def judge_names(source, spark):
    """Words of SQL and characters that need quotes, as names."""
    run_guide(TABLES, source, spark)
    compare_tables(source, spark)


def judge_mixed(source, spark):
    """Sketches that Spark makes of the same users add nobody: its own alone, united in the same way, give as many."""
    users = spark.createDataFrame([], "campaign STRING, user_id BIGINT")
    for campaign, ids in source.expected["users"].items():
        users = users.union(spark.range(ids["first"], ids["last"] + 1).selectExpr(f"'{campaign}'", "id"))
    users.createOrReplaceTempView("users")
    mixed = dict(rows(spark, MIXED))
    compare_reach(source, mixed)
    own = "SELECT campaign, hll_sketch_agg(user_id, 12) AS reach_sketch FROM users GROUP BY campaign"
    alone = dict(rows(spark, f"WITH reach AS ({own}) {MIXED}"))
    require(mixed == alone, source.name, "united with Spark's own sketches:", mixed, "those alone:", alone)


def judge_stream(source, spark):
    """The days of a stream are those of the table, but for the last one, which a later window would close."""
    by_day = run_guide(STREAM, source, spark)["by_day"]
    query = by_day.writeStream.format("memory").queryName("days").trigger(availableNow=True).start()
    query.awaitTermination()
    late = sum(state["numRowsDroppedByWatermark"] for batch in query.recentProgress for state in batch["stateOperators"])
    require(late == 0, source.name, late, "rows of the stream came too late")
    *dates, _last = source.expected["dates"]
    run_guide(TABLES, source, spark)
    for date in dates:
        streamed = rows(spark, f"SELECT campaign, impressions FROM days WHERE date(window.start) = '{date}'")
        loaded = rows(spark, f"SELECT campaign, sum(impressions) FROM counters WHERE date = '{date}' GROUP BY campaign")
        require(sorted(streamed) == sorted(loaded), source.name, date, "streamed:", streamed, "loaded:", loaded)
    return len(query.recentProgress)


if __name__ == "__main__":
    main(sys.argv[1])
