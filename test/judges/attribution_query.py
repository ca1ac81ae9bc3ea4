"""The query: what tables of touches, conversions and answered adjustments give.

Its input are the tables `asks` (as_of, block, order_id: of which conversion, and with what had arrived by which block),
`touches`, `conversions`, `answered`, `models`, `lookbacks`, `decay` and, for what is asked of it, `reports`. Its results
are the tables whose names begin with `expected_`.
"""

from decimal import Decimal, getcontext
from typing import NamedTuple

HOUR = 3_600_000
LOOKBACKS = {"click": 7 * 24 * HOUR, "view": 24 * HOUR}
WINDOW = 4 * HOUR
HALF_LIFE = 36 * HOUR
MODELS = ["last_touch", "first_touch", "linear", "position_based", "time_decay"]
# Later than every block.
END = 2**40


class Options(NamedTuple):
    """Of an attribution. All windows are closed after the block `close`; what comes later is late."""

    prevail: bool
    collapse: bool
    touches_per_user: int
    close: int


def create_constants(db):
    getcontext().prec = 60
    decay = [(2**32 * Decimal(2) ** (Decimal(-j) / 256)).to_integral_value() for j in range(256)]
    rows = ", ".join(f"({j}, {weight:f}::bigint)" for j, weight in enumerate(decay))
    db.execute(f"create table decay as select * from (values {rows}) v(j, weight)")
    rows = ", ".join(f"('{kind}', {place}, {back})" for place, (kind, back) in enumerate(LOOKBACKS.items()))
    db.execute(f"create table lookbacks as select * from (values {rows}) v(kind, strength, lookback)")
    db.execute("create table models as select unnest($1) model", [MODELS])


def attribute(db, options):
    """The expected tables, from touches, conversions and answered adjustments."""
    db.execute("""
        -- The touches at or before the conversion that came before it was final, from the newest on.
        create or replace table newest as
        select as_of, order_id, c.converted_at, c.value_micros, t.* exclude (block, user_id),
               c.converted_at - t.touched_at age,
               row_number() over path nth,
               $1 and coalesce((kind, campaign, creative) = lag((kind, campaign, creative)) over path, false) is_collapsed
        from asks join conversions c using (order_id) join touches t using (user_id)
        where t.touched_at <= c.converted_at and t.block <= least(as_of, c.final_block)
        window path as (partition by as_of, order_id order by t.touched_at desc, t.touch_id desc)""", [options.collapse])
    db.execute("""
        create or replace table eligible as
        with near as (
          select *, min(strength) over (partition by as_of, order_id) strongest
          from newest join lookbacks using (kind) where nth <= $1 and not is_collapsed and age <= lookback)
        select *, row_number() over (partition by as_of, order_id order by touched_at, touch_id) rn,
               count(*) over (partition by as_of, order_id) n
        from near where not $2 or strength = strongest""",
        [options.touches_per_user, options.prevail])
    # A touch of weight zero has no remainder, so no unit that is left goes to it.
    db.execute("""
        create or replace table weighed as
        select as_of, order_id, model, rn, touch_id, kind, campaign, creative, touched_at, weight,
               sum(weight) over (partition by as_of, order_id, model)::bigint weights from (
          select e.*, model, case model
            when 'last_touch' then (rn = n)::bigint
            when 'first_touch' then (rn = 1)::bigint
            when 'linear' then 1
            when 'position_based' then case when n > 2 and rn in (1, n) then 2 * (n - 2) else 1 end
            else case when steps // 256 >= 32 then 1 else greatest(1, d.weight // (1::bigint << (steps // 256))) end
          end weight
          from (select *, age * 256 // $1 steps from eligible) e cross join models join decay d on j = steps % 256)
        where weight > 0""",
        [HALF_LIFE])
    adjustments(db)
    counted(db, options.close)
    db.execute("""
        create or replace table expected_conversions as
        select asks.block, order_id, counted, coalesce(retracted, false) retracted,
               coalesce(truncated, false) truncated, coalesce(v.value_micros, c.value_micros) value_micros
        from asks join conversions c using (order_id) join counting using (as_of, order_id)
        left join net v using (as_of, order_id)
        left join (select as_of, order_id, bool_or(nth > $1 and age <= $2) truncated from newest group by all)
          using (as_of, order_id)""",
        [options.touches_per_user, max(LOOKBACKS.values())])
    # The conversion is split once, its value in each version. Of a provisional one only the last version is asked for.
    split(db, "parts", "weighed", "1000000", "parts", "as_of, order_id, model")
    split(db, "values_split", f"parts join versions using (as_of, order_id) where is_last or as_of = {END}",
          "version_value::hugeint", "value_micros", "as_of, order_id, model, version")
    db.execute("""
        create or replace view splits as
        select * exclude (parts), if(is_retraction, 0, parts) conversions_ppm from values_split""")
    db.execute("""
        create or replace table expected_credits as
        select a.block, s.order_id, model, row_number() over (partition by as_of, s.order_id, model order by rn) - 1 place,
               touch_id, kind, campaign, creative, touched_at, s.value_micros, conversions_ppm
        from splits s join asks a using (as_of, order_id) join counting using (as_of, order_id)
        where counted and is_last""")
    rows(db)
    spend_and_reports(db, options.close)


def adjustments(db):
    """Restatements count if they are newer than all before them, and nothing after a retraction."""
    db.execute("""
        create or replace table applied as
        with judged as (
          select *, value_micros is null is_retraction,
                 coalesce(bool_or(value_micros is null) over before, false) is_over,
                 max(if(value_micros is null, null, {'adjusted_at': adjusted_at, 'value': value_micros})) over before newest
          from answered window before as (partition by order_id order by number rows between unbounded preceding and 1 preceding))
        select *, is_retraction or newest is null
                  or (adjusted_at, value_micros) > (newest.adjusted_at, newest.value) is_newer
        from judged""")
    db.execute("""
        create or replace table expected_answers as
        select number, if(is_over, 'retracted', 'ok') answer from applied""")
    db.execute("""
        create or replace table versions as
        with numbered as (
          select as_of, order_id, 0 version, value_micros version_value, null::bigint adjusted_at, false is_retraction
          from asks join conversions using (order_id)
          union all
          select as_of, order_id, row_number() over (partition by as_of, order_id order by number),
                 coalesce(value_micros, 0), adjusted_at, is_retraction
          from asks join applied using (order_id) where is_newer and not is_over and applied.block <= as_of)
        select *, version = max(version) over (partition by as_of, order_id) is_last from numbered""")
    db.execute("""
        create or replace table net as
        select as_of, order_id, max_by(version_value, version) value_micros, bool_or(is_retraction) retracted
        from versions group by all""")


def counted(db, close):
    """Of those that count once only the first."""
    db.execute("""
        create or replace table counting as
        with keyed as (
          select as_of, order_id, (conversions.block > $2, converted_at) turn, case action
            when 'signup' then concat_ws('/', user_id, action)
            when 'install' then if(touch_id is null, null, concat_ws('/', user_id, action, touch_id)) end once
          from asks join conversions using (order_id)
          left join (select as_of, order_id, touch_id from eligible where rn = n) using (as_of, order_id)),
        -- Of a provisional one those that had arrived with it. Provisional installs are not asked for.
        others as (
          select a.as_of, c.order_id, (c.block > $2, c.converted_at) turn, concat_ws('/', c.user_id, c.action) once
          from (select distinct as_of from asks) a join conversions c on c.block <= a.as_of where action = 'signup'
          union all select as_of, order_id, turn, once from keyed where as_of = $1)
        select k.as_of, k.order_id, not coalesce(bool_or(o.turn < k.turn), false) counted
        from keyed k left join others o on o.as_of = k.as_of and o.once = k.once group by all""", [END, close])


def split(db, name, source, amount, share, each):
    """The rows of a source, each with its share of an amount by the largest remainder."""
    db.execute(f"""
        create or replace table {name} as
        with floors as (
          select *, {amount} amount, abs(amount) * weight // weights floor, abs(amount) * weight % weights remainder
          from {source}),
        ranked as (
          select *, abs(amount) - sum(floor) over (every rows between unbounded preceding and unbounded following) units,
                 row_number() over every nth_remainder
          from floors window every as (partition by {each} order by remainder desc, rn desc))
        select * exclude (amount, floor, remainder, units, nth_remainder),
               (sign(amount) * (floor + (nth_remainder <= units)::int))::bigint {share}
        from ranked""")


def rows(db):
    """What each version adds to the one before, at its own date."""
    db.execute("""
        create or replace table expected_rows as
        with all_splits as (
          select * from splits where as_of = $1
          union all by name
          select as_of, order_id, model, version, adjusted_at, version_value value_micros,
                 if(is_retraction, 0, 1000000) conversions_ppm
          from versions cross join models
          where as_of = $1 and order_id not in (select order_id from eligible where as_of = $1)),
        differences as (
          select * replace (
            value_micros - coalesce(lag(value_micros) over each, 0) as value_micros,
            conversions_ppm - coalesce(lag(conversions_ppm) over each, 0) as conversions_ppm)
          from all_splits window each as (partition by order_id, model, touch_id order by version))
        select d.order_id, action, model, touch_id, kind, campaign, creative, touched_at, c.converted_at, d.adjusted_at,
               d.value_micros, d.conversions_ppm, e.truncated
        from differences d join conversions c using (order_id)
        join expected_conversions e on e.order_id = d.order_id and e.block is null
        where counted and (d.value_micros <> 0 or d.conversions_ppm <> 0 or d.adjusted_at is null)""", [END])


def spend_and_reports(db, close):
    db.execute("""
        create or replace table expected_spend as
        select touched_at // $1 * $1 starts_at, kind, campaign, creative, count(*) touches, sum(cost_micros)::bigint cost_micros
        from touches where block <= $2 group by all""", [WINDOW, close])
    db.execute("""
        create or replace table expected_reports as
        with asked as (select distinct model, dated_by, from_at, to_at from reports),
        parts as (
          select a.*, campaign, kind, touch_id is null unattributed, conversions_ppm, value_micros, 0 touches, 0 spend_micros
          from asked a join expected_rows r on r.model = a.model
            and if(dated_by = 'touch', coalesce(touched_at, converted_at), coalesce(adjusted_at, converted_at))
                between coalesce(from_at, 0) and coalesce(to_at, 1::bigint << 60) - 1
          union all
          select a.*, campaign, kind, false, 0, 0, touches, cost_micros
          from asked a join expected_spend on starts_at between coalesce(from_at, 0) and coalesce(to_at, 1::bigint << 60) - 1)
        select model, dated_by, from_at, to_at, campaign, kind, unattributed, sum(conversions_ppm)::hugeint conversions_ppm,
               sum(value_micros)::hugeint value_micros, sum(touches)::hugeint touches, sum(spend_micros)::hugeint spend_micros
        from parts group by all""")
