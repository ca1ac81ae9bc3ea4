"""ClickHouse runs the queries of guides/warehouse.md over the files: chdb_judge.py INPUT"""

import json
import re
import sys

from chdb.session import Session

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

TABLES, OVERFLOW, SUMS = guide("ClickHouse", "sql")


def main(directory):
    for source in inputs(directory).values():
        with source.as_rollups() as folder, Session(str(folder / "clickhouse")) as session:
            query(session, "create database ads; use ads; set output_format_json_quote_64bit_integers = 0")
            if source.typed:
                judge(source, session, lambda sql: sql)
            # By inference columns are of the types that the first file has, and a boolean or a number can be text.
            judge(source, session, inferred)
    print(figures())


def inferred(sql):
    # All columns can be null then, which no key may.
    without_key = sql.replace("order by (meter, node, epoch, sequence) as", "order by tuple() as")
    return re.sub(r"JSONEachRow,\s*'.*?'", "JSONEachRow", without_key, flags=re.S)


def judge(source, session, of):
    query(session, of(TABLES))
    if source.has("overflow"):
        query(session, of(OVERFLOW))
        sums = ", ".join(f"sum(toInt128({metric}))" for metric in source.expected["metrics"])
        [[amounts]] = query(session, f"select {sums} from overflow")
        compare_overflow(source, list(amounts.values()))
        [sketches] = query(session, "select reach_sketch from overflow")
        compare_overflow_reach(source, [row["reach_sketch"] for row in sketches])
    if source.typed:
        for kind in ("counters", "reach", "overflow"):
            if source.has(kind):
                [rows] = query(session, f"select * from {kind}")
                compare_rows(source, kind, rows)
    sums, sketches = query(session, SUMS)
    as_text = not source.typed
    compare_counters(source, [row.values() for row in sums], as_text)
    names = run("")
    estimates = [(campaign, names["estimate"](of_one)) for campaign, of_one in map(dict.values, sketches)]
    compare_reach(source, estimates, as_text=as_text)


def query(session, sql):
    """The rows of each statement that has any: integers are exact, and null is None."""
    answers = [str(session.query(statement, "JSONEachRow")) for statement in sql.split(";") if statement.strip()]
    return [[json.loads(line) for line in answer.split("\n") if line] for answer in answers if answer]


if __name__ == "__main__":
    main(sys.argv[1])
