"""Airflow runs the DAG of guides/warehouse.md over the files, each day by `dag.test()`: airflow_judge.py INPUT"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path

from common import compare_counters, compare_dates, compare_overflow, compare_reach, guide, inputs, off_by, require, run

[DAG] = guide("Airflow", "python")


def main(directory):
    days, worst = 0, 0.0
    with tempfile.TemporaryDirectory() as home:
        dag = load_dag(Path(home))
        for source in inputs(directory).values():
            # To Python True and 1 are one key: values of several types need a declared one.
            if source.typed:
                worst = max(worst, judge(dag, source))
                days += len(source.expected["dates"])
    print(f"{days} days loaded, and {len(off_by)} of them twice; sums equal; reach at most {worst:.3%} off")


def load_dag(home):
    """The guide's DAG, from a file in a directory of DAGs, in an Airflow of its own."""
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
    path = home / "dags" / "load_rollups.py"
    path.parent.mkdir()
    path.write_text(DAG)
    airflow = Path(sys.executable).with_name("airflow")
    subprocess.run([airflow, "db", "migrate"], check=True, stdout=subprocess.DEVNULL)
    # Airflow makes its settings when it is imported.
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(path.parent)
    require(not bag.import_errors, bag.import_errors)
    return bag.dags["load_rollups"]


def judge(dag, source):
    """Days loaded one by one are together what the meter reports."""
    with source.as_rollups():
        for date in source.expected["dates"]:
            run_day(dag, date)
        # Once more: a day is replaced and not added.
        run_day(dag, source.expected["dates"][-1])
        compare_dates(source, [path.stem for path in Path("warehouse", "counters").iterdir()])
        compare_counters(source, [[campaign, *map(sum, zip(*days))] for campaign, days in stored("counters").items()])
        overflow = stored("overflow").get(None, [[None]])
        compare_overflow(source, [None if None in days else sum(days) for days in zip(*overflow)])
        estimate = run("")["estimate"]
        return compare_reach(
            source,
            {campaign: estimate(sketch for [sketch] in days) for campaign, days in stored("reach").items()},
        )


def run_day(dag, date):
    due = datetime.fromisoformat(date).replace(hour=3, tzinfo=timezone.utc) + timedelta(days=1)
    state = dag.test(logical_date=due).state
    require(state == "success", "the DAG's run for", date, "is", state)


def stored(kind):
    """By campaign what each day has of it."""
    days = defaultdict(list)
    for path in Path("warehouse", kind).glob("*.json"):
        for campaign, *of_day in json.loads(path.read_text()):
            days[campaign].append(of_day)
    return days


if __name__ == "__main__":
    main(sys.argv[1])
