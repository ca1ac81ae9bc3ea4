"""DuckDB attributes what test/judges/attribution.exs sent, by a query, and compares: attribution.py DIR

Equal to the last unit have to be: what credits/2 returned of provisional conversions, judged by the touches,
conversions and adjustments that had arrived by then, and of final ones; the rows that the sink got, each by its own
date of adjustment; what was spent; and reports. The query knows nothing of rings, windows or orders of arrival.
"""

import sys
from pathlib import Path

import duckdb

from attribution_query import END, LOOKBACKS, Options, attribute, create_constants


def main(directory):
    db = duckdb.connect()
    create_constants(db)
    attributions = db.execute("from read_csv($1)", [str(directory / "attributions.csv")]).fetchall()
    for stream, name, *options in attributions:
        judge(db, directory / stream, name, Options(*options))
    print("; ".join(f"{count:,} {what}" for what, count in compared.items()), "equal", sep=" ")


def judge(db, stream, name, options):
    load(db, stream, stream / name, options.close)
    attribute(db, options)
    title = f"{stream.name} {name}"
    check_cases(db, title, options)
    compare(db, title, "answers", "number, answer", "answered", "expected_answers")
    compare(db, title, "conversions", "block, order_id, counted, retracted, truncated, value_micros",
            "shown", "expected_conversions")
    compare(db, title, "credits", "block, order_id, model, place, touch_id, kind, campaign, creative, touched_at, "
            "value_micros, conversions_ppm", "credits", "expected_credits")
    compare(db, title, "rows", "order_id, action, model, touch_id, kind, campaign, creative, touched_at, "
            "converted_at, adjusted_at, value_micros, conversions_ppm, truncated", "emitted", "expected_rows")
    compare(db, title, "spend", "starts_at, kind, campaign, creative, touches, cost_micros", "spent", "expected_spend")
    compare(db, title, "reports", "model, dated_by, from_at, to_at, campaign, kind, unattributed, conversions_ppm, "
            "value_micros, touches, spend_micros", "reports", "expected_reports")
    check_sums(db, title)


def load(db, stream, attribution, close):
    """What was sent, and what came of it."""
    def table(name, path, types):
        columns = ", ".join(f"'{column}': '{kind}'" for column, kind in types.items())
        db.execute(f"create or replace table {name} as from read_csv('{path}', header = true, columns = {{{columns}}})")

    touch = {"touch_id": "bigint", "kind": "text", "campaign": "bigint", "creative": "text", "touched_at": "bigint"}
    table("touches", stream / "touches.csv", {
        "block": "bigint", "touch_id": "bigint", "user_id": "bigint", "touched_at": "bigint", "kind": "text",
        "campaign": "bigint", "creative": "text", "cost_micros": "bigint"})
    table("conversions", stream / "conversions.csv", {
        "block": "bigint", "order_id": "text", "user_id": "bigint", "converted_at": "bigint", "action": "text",
        "value_micros": "bigint"})
    table("answered", attribution / "answers.csv", {
        "number": "bigint", "block": "bigint", "order_id": "text", "value_micros": "bigint", "adjusted_at": "bigint",
        "answer": "text"})
    table("shown", attribution / "conversions.csv", {
        "block": "bigint", "order_id": "text", "counted": "boolean", "retracted": "boolean", "truncated": "boolean",
        "value_micros": "bigint"})
    table("credits", attribution / "credits.csv", {
        "block": "bigint", "order_id": "text", "model": "text", "place": "bigint", **touch, "value_micros": "bigint",
        "conversions_ppm": "bigint"})
    table("reports", attribution / "reports.csv", {
        "model": "text", "dated_by": "text", "from_at": "bigint", "to_at": "bigint", "campaign": "bigint", "kind": "text",
        "unattributed": "boolean", "conversions_ppm": "hugeint", "value_micros": "hugeint", "touches": "hugeint",
        "spend_micros": "hugeint"})

    common = {"meter": "text", "node": "text", "epoch": "bigint", "sequence": "bigint", "partial": "boolean",
              "starts_at": "bigint", "ends_at": "bigint"}
    def lines(name, kind, types, select="", where=""):
        columns = ", ".join(f"'{column}': '{type}'" for column, type in {**common, **types}.items())
        db.execute(f"create or replace table {name} as {select} from read_json('{attribution}/files/{kind}/*/*.ndjson.gz', "
                   f"format = 'newline_delimited', columns = {{{columns}}}) {where}")

    # A row of nothing, such as that of a change to the same value, says nothing.
    lines("emitted", "credits", {
        "model": "text", "order_id": "text", "action": "text", **touch, "converted_at": "bigint", "adjusted_at": "bigint",
        "conversions_ppm": "bigint", "value_micros": "bigint", "truncated": "boolean", "revision": "bigint"},
        "select * replace (split_part(model, ':', 1) as model)",
        "where value_micros <> 0 or conversions_ppm <> 0 or adjusted_at is null")
    lines("spent", "touches", {
        "kind": "text", "campaign": "bigint", "creative": "text", "touches": "bigint", "cost_micros": "bigint"})
    db.execute("""
        create or replace table conversions as
        select *, if(block <= $1, $1, block) final_block from conversions""", [close])
    # Provisional ones are asked for when all of a block has arrived, final ones at the end.
    db.execute("create or replace table asks as select coalesce(block, $1) as_of, block, order_id from shown", [END])


def check_cases(db, title, options):
    """Whatever makes a difference has to be among what is judged."""
    cases = {
        "touch at the end of its lookback": "eligible where age = lookback",
        "touch a millisecond beyond": f"""
            newest join lookbacks using (kind) where nth <= {options.touches_per_user} and age = lookback + 1""",
        "touch in the millisecond of its conversion": "eligible where age = 0",
        "value that does not divide": """
            splits where version_value % 3 <> 0 and (as_of, order_id) in (select as_of, order_id from eligible where n = 3)""",
        "negative value of several touches": "splits where version_value < 0 and model = 'linear' and rn > 1",
        "signup that does not count": "counting join conversions using (order_id) where not counted and action = 'signup'",
        "install that does not count": "counting join conversions using (order_id) where not counted and action = 'install'",
        "conversion without a touch": "asks anti join eligible using (as_of, order_id)",
        "retraction": "applied where is_retraction and not is_over",
        "change of what was retracted": "applied where is_over",
        "restatement older than the newest": "applied where not is_over and not is_newer",
        "adjustment of a provisional conversion": f"versions where version > 0 and as_of < {END}",
    }
    if options.prevail:
        cases["view that a click excludes"] = f"""
            newest join eligible e using (as_of, order_id) where newest.nth <= {options.touches_per_user} and e.rn = 1
            and newest.kind = 'view' and e.kind = 'click' and newest.age <= {LOOKBACKS['view']}"""
    if title.startswith("shuffled"):
        cases["touch that came after its conversion"] = f"""
            touches t join conversions c using (user_id)
            where touched_at <= converted_at and t.block > c.block and t.block <= {options.close}"""
        cases["late conversion of late touches"] = f"""
            eligible join conversions c using (order_id) join touches t using (user_id, touch_id)
            where c.block > {options.close} and t.block > {options.close}"""
        cases["touch too late for its conversion"] = """
            touches t join conversions c using (user_id) where touched_at <= converted_at and t.block > c.final_block"""
        cases["late signup that does not count"] = f"""
            counting join conversions c using (order_id) where not counted and action = 'signup' and c.block > {options.close}"""
        cases["late install that does not count"] = f"""
            counting join conversions c using (order_id) where not counted and action = 'install' and c.block > {options.close}"""
    if title.startswith("ring"):
        cases["truncated conversion"] = "expected_conversions where truncated"
        cases["evicted touch that was too old"] = f"""
            newest join expected_conversions e using (order_id) where e.block is null and not truncated
            and nth > {options.touches_per_user}"""
    if not options.collapse:
        cases["last touch by its id alone"] = """
            eligible e join eligible f using (as_of, order_id, touched_at) where e.touch_id < f.touch_id and f.rn = f.n"""
    if options.collapse:
        cases["collapsed run"] = "newest where is_collapsed"
    for case, rows in cases.items():
        require(db.execute(f"select exists (from {rows})").fetchone()[0], f"{title}: no {case} was judged")


compared = {}


def compare(db, title, what, columns, found, expected):
    """Equal as multisets of rows."""
    different = db.execute(f"""
        select {columns}, sum(n)::bigint more from (
          select {columns}, 1 n from {found} union all select {columns}, -1 from {expected})
        group by all having more <> 0""").fetchall()
    count = db.execute(f"select count(*) from {found}").fetchone()[0]
    require(count > 0, f"{title}: no {what}")
    unexpected, missing = ([row for row in different if row[-1] * sign > 0] for sign in (1, -1))
    require(not different, f"{title}: of {count:,} {what} {len(unexpected):,} are not expected and {len(missing):,} "
            f"missing.\n({columns}, how often more than expected)\nNot expected:", *unexpected[:5], "Missing:",
            *missing[:5], sep="\n")
    compared[what] = compared.get(what, 0) + count


def check_sums(db, title):
    """The rows of an order sum to what it is worth, and to a whole conversion or none."""
    wrong = db.execute("""
        select order_id, model, sum(r.value_micros), sum(conversions_ppm), any_value(e) from emitted r
        join expected_conversions e using (order_id) where e.block is null group by order_id, model
        having sum(r.value_micros) <> any_value(e.value_micros)
            or sum(conversions_ppm) <> if(any_value(e.retracted), 0, 1000000)""").fetchall()
    require(not wrong, title, "does not sum up:", *wrong[:5], sep="\n")
    partial = db.execute("select count(*) from (select distinct sequence from spent where not partial)").fetchone()[0]
    require(partial > 10, title, "closed by time only", partial, "windows")


def require(condition, *message, sep=" "):
    if not condition:
        raise SystemExit(sep.join(map(str, message)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
