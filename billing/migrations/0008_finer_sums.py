"""What pages of large organisations ask for is summed too: calls by upstream and status, what the cache did, and end
users and tags by the quarter of an hour as well.

- **Recent quarters.** Sums by end user or tag hold nearly as many rows a quarter as the ledger does, so quarters of the
  cubes that are new here are kept for ``RECENT_DAYS`` days: twice the longest range that pages offer by name.
  ``billing_rollupzone.fine_from`` says from when on an organisation has them; what is older is read from rows.
- **Blocks.** Of ten thousand end users a month is a quarter of a million days: so days of theirs, and of keys, are also
  kept in blocks of two, four and so on, and quarters in blocks of four hours, each made of what lies below it. A block is a row with
  its cube's name and its length (``end_users/16d``, ``end_users/4h``), on the day or quarter with which it begins. It is
  made once it is over, and bears a mark from when something in it is made anew until it is made anew itself.
"""

from importlib import import_module

from django.db import migrations

from tenants.schema import app_role, keep, wall

sums = import_module("billing.migrations.0002_rollups")

RECENT_DAYS = 70
#: each is made of two of the one before, the first one of days
BLOCK_DAYS = (2, 4, 8, 16, 32, 64)
CACHE_TOKENS = ["cache_read_tokens", "cache_write_tokens"]
SPLIT_BY_CACHE = ["cache_state", "price_id"]
RECENT_CUBES = "'{statuses,cache,end_users,tags}'::text[]"
#: of which there are blocks
BLOCK_CUBES = "'{keys,end_users}'::text[]"
PARTS = "'{keys/4h,end_users/4h}'::text[]"
QUARTER_CUBES = "'{total,models,keys,statuses,cache,end_users,tags}'::text[]"
DAY_CUBES = "'{total,models,keys,calls,statuses,cache,end_users,tags}'::text[]"
ALL_COLUMNS = ", ".join([*sums.COARSE, *sums.FINE, *SPLIT_BY_CACHE])
NAMES_OF_SUMS = ", ".join([sums.NAMES_OF_SUMS, *CACHE_TOKENS])
SUMS = ", ".join(
    [sums.SUMS, *(f"nullif(public.costhub_whole(sum({name})), 0) AS {name}" for name in CACHE_TOKENS)]
)

#: how billing.cache.selectors names answers that were there already, and calls that were looked up
_HITS = "'hit-l1', 'hit-l2', 'hit-semantic', 'coalesced'"
_LOOKED_UP = f"{_HITS}, 'partial', 'shadow-hit-l1', 'shadow-hit-l2', 'shadow-hit-semantic', 'miss', 'recheck'"
# The state is empty for what was not looked up, and for who found an answer and was refused by a rate limit.
LINES = sums.LINES.replace("CREATE VIEW", "CREATE OR REPLACE VIEW").replace(
    "FROM proxy_ledgerentry e\n",
    f""",
    CASE WHEN e.kind = 'call' AND e.cache_status IN ({_LOOKED_UP})
              AND (e.status < 400 OR e.cache_status NOT IN ({_HITS})) THEN e.cache_status ELSE '' END AS cache_state,
    e.price_id,
    nullif(e.cache_read_input_tokens, 0)::bigint AS cache_read_tokens,
    nullif(e.cache_write_input_tokens, 0)::bigint AS cache_write_tokens
FROM proxy_ledgerentry e
""",
)

COLUMNS = [
    """ALTER TABLE billing_quarterrollup ADD COLUMN upstream_id uuid, ADD COLUMN status integer, ADD COLUMN name text,
           ADD COLUMN subject text""",
    *(
        f"ALTER TABLE {table} ADD COLUMN cache_state text, ADD COLUMN price_id uuid,"
        " ADD COLUMN cache_read_tokens bigint, ADD COLUMN cache_write_tokens bigint"
        for table in ("billing_quarterrollup", "billing_dayrollup")
    ),
    "ALTER TABLE billing_rollupzone ADD COLUMN fine_from timestamptz NOT NULL DEFAULT '-infinity'",
    # Who was there before has none of them until 0010 says otherwise.
    "UPDATE billing_rollupzone SET fine_from = 'infinity'",
    # Blocks whose sums are not all of what lies below them, or that are not over; a day's begins at its UTC midnight.
    """CREATE TABLE billing_blockmark (
           org_id uuid NOT NULL, cube text NOT NULL, starts timestamptz NOT NULL, PRIMARY KEY (org_id, cube, starts))""",
    "CREATE INDEX block_marks_by_cube ON billing_blockmark (cube, starts)",
]

ROLL_QUARTERS = f"""
CREATE OR REPLACE FUNCTION costhub_roll_quarters(most integer, moment timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public SET work_mem = '64MB' AS $$
DECLARE
    orgs uuid[];
    quarters timestamptz[];
    taken integer;
BEGIN
    -- Quarters that are over, the oldest mark first. In the one that is running, whose end no page has reached, each
    -- run would only make all of it again.
    SELECT array_agg(org_id), array_agg(quarter) INTO orgs, quarters
    FROM (SELECT DISTINCT org_id, quarter
          FROM (SELECT org_id, quarter FROM public.billing_quartermark
                WHERE quarter <= moment - interval '15 minutes' ORDER BY id LIMIT most) AS oldest) AS taken;
    IF orgs IS NULL THEN
        RETURN 0;
    END IF;
    -- Every statement sees what has been committed before it. A mark that goes here was committed with its rows, so
    -- they are seen below; rows that come later leave a mark that stays.
    DELETE FROM public.billing_quartermark AS m USING unnest(orgs, quarters) AS b (org_id, quarter)
    WHERE m.org_id = b.org_id AND m.quarter = b.quarter;
    taken := cardinality(orgs);
    -- The sums of months that were dropped stay: what comes late to them is in the ledger alone.
    SELECT array_agg(org_id), array_agg(quarter) INTO orgs, quarters
    FROM unnest(orgs, quarters) AS b (org_id, quarter) WHERE quarter >= public.costhub_ledger_floor();
    IF orgs IS NULL THEN
        RETURN taken;
    END IF;
    DELETE FROM public.billing_quarterrollup AS q
    USING unnest(orgs, quarters) AS b (org_id, quarter), unnest({QUARTER_CUBES}) AS c (cube)
    WHERE q.org_id = b.org_id AND q.cube = c.cube AND q.quarter = b.quarter;
    WITH grouped AS MATERIALIZED (
        SELECT GROUPING(l.key_id, l.request_model, l.status, l.end_user, l.tags, l.cache_state) AS absent,
               b.org_id, b.quarter, l.project_id, l.key_id, l.request_model, l.upstream_id, l.status, l.end_user, l.tags,
               l.cache_state, l.price_id, {SUMS}
        FROM unnest(orgs, quarters) AS b (org_id, quarter)
        -- One range of the index for each quarter: OFFSET keeps the planner from any other way.
        CROSS JOIN LATERAL (
            SELECT * FROM public.billing_ledgerline AS line
            WHERE line.org_id = b.org_id AND line.started_at >= b.quarter
                  AND line.started_at < b.quarter + interval '15 minutes' OFFSET 0) AS l
        GROUP BY b.org_id, b.quarter, GROUPING SETS (
            (), (l.project_id, l.request_model), (l.project_id, l.key_id), (l.project_id, l.upstream_id, l.status),
            (l.project_id, l.end_user), (l.project_id, l.tags), (l.cache_state, l.price_id))
    ), recent AS (
        SELECT grouped.* FROM grouped JOIN public.billing_rollupzone USING (org_id) WHERE quarter >= fine_from
    )
    INSERT INTO public.billing_quarterrollup (cube, org_id, quarter, {ALL_COLUMNS}, {NAMES_OF_SUMS})
    SELECT CASE absent WHEN 63 THEN 'total' WHEN 47 THEN 'models' ELSE 'keys' END, org_id, quarter,
           project_id, key_id, request_model, NULL, NULL, NULL, NULL, NULL, NULL, {NAMES_OF_SUMS}
    FROM grouped WHERE absent IN (63, 47, 31)
    UNION ALL
    SELECT CASE absent WHEN 55 THEN 'statuses' WHEN 59 THEN 'end_users' ELSE 'cache' END, org_id, quarter,
           project_id, NULL, NULL, upstream_id, status, NULL, end_user, cache_state, price_id, {NAMES_OF_SUMS}
    FROM recent WHERE absent IN (55, 59, 62)
    UNION ALL
    SELECT 'tags', org_id, quarter, project_id, NULL, NULL, NULL, NULL, tag.key, tag.value, NULL, NULL, {SUMS}
    FROM recent CROSS JOIN LATERAL jsonb_each_text(tags) AS tag
    WHERE absent = 61 GROUP BY org_id, quarter, project_id, tag.key, tag.value;
    INSERT INTO public.billing_blockmark (org_id, cube, starts)
    SELECT DISTINCT org_id, cube, date_bin('4 hours', quarter, 'epoch')
    FROM unnest(orgs, quarters) AS b (org_id, quarter) JOIN public.billing_rollupzone USING (org_id)
    CROSS JOIN unnest({PARTS}) AS c (cube)
    WHERE quarter >= fine_from ON CONFLICT DO NOTHING;
    INSERT INTO public.billing_daymark (org_id, quarter)
    SELECT org_id, quarter FROM unnest(orgs, quarters) AS b (org_id, quarter) ON CONFLICT DO NOTHING;
    RETURN taken;
END $$
"""

_OLD_GROUPED = sums.ROLL_DAYS.index("    WITH grouped AS MATERIALIZED")
_MARK_BLOCKS = """
    INSERT INTO public.billing_blockmark (org_id, cube, starts)
    SELECT DISTINCT org_id, c.cube || '/' || size || 'd', public.costhub_block_of(day, size)
    FROM {source} CROSS JOIN unnest('{lengths}'::integer[]) AS l (size) CROSS JOIN unnest({cubes}) AS c (cube)
    ON CONFLICT DO NOTHING
"""


def mark_blocks(source):
    """Marks on all blocks that hold a ``day`` of an ``org_id`` in ``source``."""
    return _MARK_BLOCKS.replace("{source}", source).replace("{cubes}", BLOCK_CUBES).replace("{lengths}", "{" + ",".join(map(str, BLOCK_DAYS)) + "}")


BLOCK_OF = """
CREATE FUNCTION costhub_block_of(day date, days integer) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT ('1970-01-01'::date + (day - '1970-01-01'::date) / days * days)::timestamp AT TIME ZONE 'UTC'
$$
"""

ROLL_DAYS = (
    sums.ROLL_DAYS[:_OLD_GROUPED]
    .replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
    .replace(sums.CUBES, DAY_CUBES)
    .replace(sums.NAMES_OF_SUMS, NAMES_OF_SUMS)
    .replace(sums.SUMS, SUMS)
    + f"""    WITH grouped AS MATERIALIZED (
        SELECT GROUPING(l.key_id, l.status, l.end_user, l.tags, l.cache_state) AS absent, b.org_id, b.day,
               l.project_id, l.key_id, l.request_model, l.upstream_id, l.status, l.end_user, l.tags, l.cache_state,
               l.price_id, {SUMS}
        FROM unnest(orgs, days, firsts, lasts) AS b (org_id, day, first, last)
        CROSS JOIN LATERAL (
            SELECT * FROM public.billing_ledgerline AS line
            WHERE line.org_id = b.org_id AND line.started_at >= b.first
                  AND line.started_at < b.last + interval '15 minutes' OFFSET 0) AS l
        GROUP BY b.org_id, b.day, GROUPING SETS (
            (l.project_id, l.key_id, l.request_model, l.upstream_id, l.status),
            (l.project_id, l.upstream_id, l.status),
            (l.project_id, l.end_user),
            (l.project_id, l.tags),
            (l.cache_state, l.price_id))
    )
    INSERT INTO public.billing_dayrollup (cube, org_id, day, {ALL_COLUMNS}, {NAMES_OF_SUMS})
    SELECT CASE absent WHEN 7 THEN 'calls' WHEN 23 THEN 'statuses' WHEN 27 THEN 'end_users' ELSE 'cache' END,
           org_id, day, project_id, key_id, request_model, upstream_id, status, NULL, end_user, cache_state, price_id,
           {NAMES_OF_SUMS}
    FROM grouped WHERE absent <> 29
    UNION ALL
    SELECT 'tags', org_id, day, project_id, NULL, NULL, NULL, NULL, tag.key, tag.value, NULL, NULL, {SUMS}
    FROM grouped CROSS JOIN LATERAL jsonb_each_text(tags) AS tag
    WHERE absent = 29 GROUP BY org_id, day, project_id, tag.key, tag.value;
    {mark_blocks("unnest(orgs, days) AS b (org_id, day)").strip()};
    RETURN cardinality(orgs);
END $$
"""
)

_ADD_UP_BLOCKS = f"""
    DELETE FROM public.{{table}} AS r USING unnest(orgs, starts) AS b (org_id, starts)
    WHERE r.org_id = b.org_id AND r.cube = {{block}} AND r.{{at}} = b.starts;
    DELETE FROM public.billing_blockmark AS m USING unnest(orgs, starts) AS b (org_id, starts)
    WHERE m.org_id = b.org_id AND m.cube = {{block}} AND m.starts = b.starts{{mark_zone}};
    INSERT INTO public.{{table}} (cube, org_id, {{at}}, project_id, key_id, subject, {NAMES_OF_SUMS})
    SELECT {{block}}, b.org_id, b.starts, r.project_id, r.key_id, r.subject, {SUMS}
    FROM unnest(orgs, starts) AS b (org_id, starts)
    CROSS JOIN LATERAL (
        SELECT * FROM public.{{table}} AS held
        WHERE held.org_id = b.org_id AND held.cube = {{below}} AND held.{{at}} >= b.starts
              AND held.{{at}} < b.starts + {{length}} OFFSET 0) AS r
    GROUP BY b.org_id, b.starts, r.project_id, r.key_id, r.subject;
    done := done + coalesce(cardinality(orgs), 0);
"""


def add_up_blocks(**names):
    """Statements that make the blocks ``orgs``, ``starts`` anew."""
    text = _ADD_UP_BLOCKS
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


ROLL_BLOCKS = f"""
CREATE FUNCTION costhub_roll_blocks(most integer, moment timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public SET work_mem = '64MB' AS $$
DECLARE
    done integer := 0;
    orgs uuid[];
    quarters timestamptz[];
    days date[];
    length integer;
    source text;
    block text;
    below text;
BEGIN
    -- What is no longer kept needs no block.
    DELETE FROM public.billing_blockmark AS m USING public.billing_rollupzone AS z
    WHERE m.cube = ANY ({PARTS}) AND z.org_id = m.org_id AND m.starts < z.fine_from;
    FOREACH source IN ARRAY {BLOCK_CUBES} LOOP
    block := source || '/4h';
    -- Most of what comes late comes within a few minutes.
    SELECT array_agg(org_id), array_agg(starts) INTO orgs, quarters
    FROM (SELECT m.org_id, m.starts FROM public.billing_blockmark AS m
          WHERE m.cube = block AND m.starts <= moment - interval '4 hours 5 minutes'
                AND NOT EXISTS (SELECT FROM public.billing_quartermark AS q WHERE q.org_id = m.org_id
                                AND q.quarter >= m.starts AND q.quarter < m.starts + interval '4 hours')
          ORDER BY m.starts, m.org_id LIMIT most) AS due;
    {
    add_up_blocks(
        table="billing_quarterrollup",
        block="block",
        at="quarter",
        below="source",
        length="interval '4 hours'",
        mark_zone="",
    ).replace("unnest(orgs, starts)", "unnest(orgs, quarters)")
}
    FOREACH length IN ARRAY '{{{",".join(map(str, BLOCK_DAYS))}}}'::integer[] LOOP
        block := source || '/' || length || 'd';
        below := CASE length WHEN 2 THEN source ELSE source || '/' || length / 2 || 'd' END;
        SELECT array_agg(org_id), array_agg(first) INTO orgs, days
        FROM (SELECT m.org_id, (m.starts AT TIME ZONE 'UTC')::date AS first
              FROM public.billing_blockmark AS m JOIN public.billing_rollupzone AS z USING (org_id)
              WHERE m.cube = block AND m.starts <= moment - interval '1 day' * (length - 1)
                  AND (m.starts AT TIME ZONE 'UTC')::date + length <= (moment AT TIME ZONE z.time_zone)::date
                  AND NOT EXISTS (
                      SELECT FROM public.billing_blockmark AS half WHERE half.org_id = m.org_id AND half.cube = below
                          AND half.starts >= m.starts AND half.starts < m.starts + interval '1 day' * length)
                  AND NOT EXISTS (
                      SELECT FROM public.billing_daymark AS d WHERE d.org_id = m.org_id
                          AND d.quarter >= m.starts - interval '1 day'
                          AND d.quarter < m.starts + interval '1 day' * (length + 1)
                          AND (d.quarter AT TIME ZONE z.time_zone)::date
                              BETWEEN (m.starts AT TIME ZONE 'UTC')::date
                              AND (m.starts AT TIME ZONE 'UTC')::date + length - 1)
              ORDER BY m.starts, m.org_id LIMIT most) AS due;
        {
    add_up_blocks(
        table="billing_dayrollup", block="block", at="day", below="below", length="length", mark_zone=" AT TIME ZONE 'UTC'"
    )
    .replace("m.starts = b.starts AT TIME ZONE 'UTC'", "m.starts = b.starts::timestamp AT TIME ZONE 'UTC'")
    .replace("unnest(orgs, starts)", "unnest(orgs, days)")
}
    END LOOP;
    END LOOP;
    RETURN done;
END $$
"""

# Quarters of the fine cubes are as many as calls: those of the past go, a day at a time.
FORGET_QUARTERS = f"""
CREATE FUNCTION costhub_forget_quarters(most integer, moment timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    oldest timestamptz := date_bin('1 day', moment, 'epoch') - interval '{RECENT_DAYS} days';
    orgs uuid[];
BEGIN
    SELECT array_agg(org_id) INTO orgs
    FROM (SELECT org_id FROM public.billing_rollupzone WHERE fine_from < oldest LIMIT most) AS late;
    UPDATE public.billing_rollupzone SET fine_from = oldest WHERE org_id = ANY (orgs);
    DELETE FROM public.billing_quarterrollup AS q
    USING unnest(orgs) AS b (org_id), unnest({RECENT_CUBES} || {PARTS}) AS c (cube)
    WHERE q.org_id = b.org_id AND q.cube = c.cube AND q.quarter < oldest;
    RETURN coalesce(cardinality(orgs), 0);
END $$
"""

_ZONE_DELETE = "WHERE org_id = moved.id AND day > (public.costhub_ledger_floor() AT TIME ZONE moved.time_zone)::date;\n"
FOLLOW_ZONES = sums.FOLLOW_ZONES.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(
    _ZONE_DELETE,
    _ZONE_DELETE
    + """        -- Those that began before and end after it.
        INSERT INTO public.billing_blockmark (org_id, cube, starts)
        SELECT DISTINCT org_id, cube, day::timestamp AT TIME ZONE 'UTC' FROM public.billing_dayrollup
        WHERE org_id = moved.id AND cube LIKE '%/%' ON CONFLICT DO NOTHING;
""",
)

ROLL_UP = sums.ROLL_UP.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(
    "public.costhub_roll_days(most, moment);\n",
    """public.costhub_roll_days(most, moment);
        done := done + public.costhub_roll_blocks(least(most, 32), moment);
        done := done + public.costhub_forget_quarters(most, moment);
""",
)

class Migration(migrations.Migration):
    dependencies = [("billing", "0007_preview_searches")]
    operations = [
        # A view and functions that are replaced keep their grants.
        migrations.RunSQL([LINES]),
        migrations.RunSQL([*COLUMNS, *wall("billing_blockmark", "SELECT")]),
        migrations.RunSQL([BLOCK_OF, *keep("costhub_block_of(date, integer)")]),
        migrations.RunSQL([ROLL_QUARTERS, ROLL_DAYS]),
        migrations.RunSQL(
            [
                ROLL_BLOCKS,
                FORGET_QUARTERS,
                *keep(
                    "costhub_roll_blocks(integer, timestamptz)", "costhub_forget_quarters(integer, timestamptz)"
                ),
            ]
        ),
        migrations.RunSQL([FOLLOW_ZONES, ROLL_UP]),
    ]
