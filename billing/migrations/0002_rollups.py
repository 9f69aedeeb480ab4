"""Sums of the ledger by the quarter of an hour and by the local day, always made anew from its rows.

A trigger marks the quarters that new rows fall into, in the rows' own transaction. A bucket without a mark that one can
see is what its rows say; a marked one waits for ``costhub_roll_up``, and its readers add up what lies below it. All of
it is the owner's: the app role may read its organisations' sums and call ``costhub_roll_up``, and write nothing.

Coarse cubes are kept by quarter and by day. Fine ones, of which a quarter would hold nearly as many rows as the ledger
has, are kept by day alone.
"""

from django.db import migrations

from tenants.schema import allow, app_role, keep, wall

MECHANISMS = ["cache", "coalescing", "compression", "routing", "cascade", "batch", "distillation"]
COARSE = ["project_id", "key_id", "request_model"]
FINE = ["upstream_id", "status", "name", "subject"]
#: what is nearly always zero is NULL then, which takes no room
RARE = [*(f"saved_by_{name}" for name in MECHANISMS), "failed", "refused", "unpriced", "unattributed", "estimated"]
USUAL = ["entries", "requests", "input_tokens", "output_tokens", "list_cost", "effective_cost"]
COARSE_CUBES = "'{total,models,keys}'::text[]"
CUBES = "'{total,models,keys,calls,end_users,tags}'::text[]"

LINES = f"""
CREATE VIEW billing_ledgerline WITH (security_invoker = true) AS
SELECT
    e.org_id, e.started_at, e.id, e.kind, e.corrects, e.recorded_at,
    e.project_id, e.key_id, e.request_model, e.upstream_id, e.status, e.end_user, e.tags, e.attempts,
    1 AS entries,
    CASE e.kind WHEN 'call' THEN 1 ELSE 0 END AS requests,
    e.input_tokens,
    e.output_tokens,
    e.list_cost,
    e.effective_cost,
    {", ".join(f"(e.savings ->> '{name}')::bigint AS saved_by_{name}" for name in MECHANISMS)},
    CASE WHEN e.kind = 'call' AND e.status NOT BETWEEN 200 AND 399
              AND NOT (e.status BETWEEN 400 AND 499 AND e.attempts = '[]') THEN 1 END AS failed,
    CASE WHEN e.kind = 'call' AND e.status BETWEEN 400 AND 499 AND e.attempts = '[]' THEN 1 END AS refused,
    CASE WHEN e.kind = 'call' AND e.error_code = 'model_not_priced' THEN 1 END AS unpriced,
    CASE WHEN e.kind = 'call' AND e.status BETWEEN 200 AND 399 AND e.price_id IS NULL THEN 1 END AS unattributed,
    CASE WHEN e.kind = 'call' AND e.is_estimated AND NOT EXISTS (
        SELECT FROM proxy_ledgerentry c
        WHERE c.org_id = e.org_id AND c.corrects = e.id AND c.started_at = e.started_at
        -- keeps the planner from reading every correction that there is into a hash table
        OFFSET 0) THEN 1 END AS estimated
FROM proxy_ledgerentry e
"""

MEASURES = f"""
    {", ".join(f"{name} bigint NOT NULL" for name in USUAL)},
    {", ".join(f"{name} bigint" for name in RARE)},
    recorded_at timestamptz NOT NULL
"""
TABLES = [
    # Nobody asks for one row by itself, so ids have no index.
    f"""CREATE TABLE billing_quarterrollup (
            id bigint GENERATED ALWAYS AS IDENTITY, org_id uuid NOT NULL, cube text NOT NULL,
            quarter timestamptz NOT NULL, project_id uuid, key_id uuid, request_model text, {MEASURES})""",
    f"""CREATE TABLE billing_dayrollup (
            id bigint GENERATED ALWAYS AS IDENTITY, org_id uuid NOT NULL, cube text NOT NULL,
            day date NOT NULL, project_id uuid, key_id uuid, request_model text,
            upstream_id uuid, status integer, name text, subject text, {MEASURES})""",
    "CREATE INDEX quarters_of_an_org ON billing_quarterrollup (org_id, cube, quarter)",
    "CREATE INDEX days_of_an_org ON billing_dayrollup (org_id, cube, day)",
    # Quarters whose rows are not all in their sums. A bucket may be marked many times: nothing is ever updated.
    """CREATE TABLE billing_quartermark (
           id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org_id uuid NOT NULL, quarter timestamptz NOT NULL)""",
    "CREATE INDEX quarter_marks_of_an_org ON billing_quartermark (org_id, quarter)",
    # Quarters whose sums are not all in their day's. Whatever the time zone is, a day is marked by its quarters.
    """CREATE TABLE billing_daymark (
           org_id uuid NOT NULL, quarter timestamptz NOT NULL, PRIMARY KEY (org_id, quarter))""",
    # The time zone whose days an organisation's day rows are.
    "CREATE TABLE billing_rollupzone (org_id uuid PRIMARY KEY, time_zone text NOT NULL)",
]
NAMES = [
    "billing_quarterrollup",
    "billing_dayrollup",
    "billing_quartermark",
    "billing_daymark",
    "billing_rollupzone",
]

MARK = """
CREATE FUNCTION costhub_mark_quarters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO public.billing_quartermark (org_id, quarter)
    SELECT DISTINCT org_id, date_bin('15 minutes', started_at, 'epoch') FROM fresh;
    RETURN NULL;
END $$
"""
MARK_ALL = """
CREATE FUNCTION costhub_mark_ledger() RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    marked bigint;
BEGIN
    INSERT INTO public.billing_quartermark (org_id, quarter)
    SELECT org_id, quarter
    FROM (SELECT DISTINCT org_id, date_bin('15 minutes', started_at, 'epoch') AS quarter
          FROM public.proxy_ledgerentry) AS found
    ORDER BY quarter;
    GET DIAGNOSTICS marked = ROW_COUNT;
    RETURN marked;
END $$
"""

NAMES_OF_SUMS = ", ".join([*USUAL, *RARE, "recorded_at"])
SUMS = ", ".join(
    [f"public.costhub_whole(sum({name})) AS {name}" for name in USUAL]
    + [f"nullif(public.costhub_whole(sum({name})), 0) AS {name}" for name in RARE]
    + ["max(recorded_at) AS recorded_at"]
)

ROLL_QUARTERS = f"""
CREATE FUNCTION costhub_roll_quarters(most integer, moment timestamptz) RETURNS integer
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
    USING unnest(orgs, quarters) AS b (org_id, quarter), unnest({COARSE_CUBES}) AS c (cube)
    WHERE q.org_id = b.org_id AND q.cube = c.cube AND q.quarter = b.quarter;
    INSERT INTO public.billing_quarterrollup (cube, org_id, quarter, {", ".join(COARSE)}, {NAMES_OF_SUMS})
    SELECT CASE GROUPING(l.key_id, l.request_model) WHEN 3 THEN 'total' WHEN 2 THEN 'models' ELSE 'keys' END,
           b.org_id, b.quarter, l.project_id, l.key_id, l.request_model, {SUMS}
    FROM unnest(orgs, quarters) AS b (org_id, quarter)
    -- One range of the index for each quarter: OFFSET keeps the planner from any other way.
    CROSS JOIN LATERAL (
        SELECT * FROM public.billing_ledgerline AS line
        WHERE line.org_id = b.org_id AND line.started_at >= b.quarter
              AND line.started_at < b.quarter + interval '15 minutes' OFFSET 0) AS l
    GROUP BY b.org_id, b.quarter,
             GROUPING SETS ((), (l.project_id, l.request_model), (l.project_id, l.key_id));
    INSERT INTO public.billing_daymark (org_id, quarter)
    SELECT org_id, quarter FROM unnest(orgs, quarters) AS b (org_id, quarter) ON CONFLICT DO NOTHING;
    RETURN taken;
END $$
"""

ROLL_DAYS = f"""
CREATE FUNCTION costhub_roll_days(most integer, moment timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public SET work_mem = '64MB' AS $$
DECLARE
    orgs uuid[];
    days date[];
    firsts timestamptz[];
    lasts timestamptz[];
BEGIN
    -- Days that are gone from the ledger keep their sums, and so does the one that is gone in part.
    DELETE FROM public.billing_daymark WHERE quarter < public.costhub_ledger_floor() + interval '26 hours';
    -- Days that are over, oldest first: one, or as many as hold 200,000 rows together, which
    -- are sorted in memory. A day that would take longer than a task may is left to its quarters.
    WITH stale AS (
        SELECT m.org_id, z.time_zone, (m.quarter AT TIME ZONE z.time_zone)::date AS day, min(m.quarter) AS marked
        FROM public.billing_daymark AS m JOIN public.billing_rollupzone AS z USING (org_id)
        WHERE (m.quarter AT TIME ZONE z.time_zone)::date < (moment AT TIME ZONE z.time_zone)::date
        GROUP BY 1, 2, 3
    ), sized AS (
        SELECT stale.org_id, stale.day, bounds.first, bounds.last, held.entries,
               sum(held.entries) OVER (ORDER BY stale.day, stale.org_id) - held.entries AS before
        FROM stale CROSS JOIN LATERAL (
            SELECT min(quarter) AS first, max(quarter) AS last
            FROM generate_series(stale.marked - interval '25 hours', stale.marked + interval '25 hours',
                                 interval '15 minutes') AS quarter
            WHERE (quarter AT TIME ZONE stale.time_zone)::date = stale.day) AS bounds
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(q.entries), 0) AS entries FROM public.billing_quarterrollup AS q
            WHERE q.org_id = stale.org_id AND q.cube = 'total' AND q.quarter BETWEEN bounds.first AND bounds.last
        ) AS held
        WHERE held.entries <= 10000000
        ORDER BY stale.day, stale.org_id LIMIT most
    )
    SELECT array_agg(org_id), array_agg(day), array_agg(first), array_agg(last) INTO orgs, days, firsts, lasts
    FROM sized WHERE before = 0 OR before + entries <= 200000;
    IF orgs IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM public.billing_daymark AS m
    USING unnest(orgs, firsts, lasts) AS b (org_id, first, last)
    WHERE m.org_id = b.org_id AND m.quarter BETWEEN b.first AND b.last;
    DELETE FROM public.billing_dayrollup AS d
    USING unnest(orgs, days) AS b (org_id, day), unnest({CUBES}) AS c (cube)
    WHERE d.org_id = b.org_id AND d.cube = c.cube AND d.day = b.day;
    INSERT INTO public.billing_dayrollup (cube, org_id, day, {", ".join(COARSE)}, {NAMES_OF_SUMS})
    SELECT q.cube, b.org_id, b.day, q.project_id, q.key_id, q.request_model, {SUMS}
    FROM unnest(orgs, days, firsts, lasts) AS b (org_id, day, first, last)
    CROSS JOIN unnest({COARSE_CUBES}) AS c (cube)
    CROSS JOIN LATERAL (
        SELECT * FROM public.billing_quarterrollup AS held
        WHERE held.org_id = b.org_id AND held.cube = c.cube AND held.quarter BETWEEN b.first AND b.last OFFSET 0) AS q
    GROUP BY q.cube, b.org_id, b.day, q.project_id, q.key_id, q.request_model;
    WITH grouped AS MATERIALIZED (
        SELECT GROUPING(l.key_id, l.end_user, l.tags) AS absent, b.org_id, b.day, l.project_id, l.key_id,
               l.request_model, l.upstream_id, l.status, l.end_user, l.tags, {SUMS}
        FROM unnest(orgs, days, firsts, lasts) AS b (org_id, day, first, last)
        CROSS JOIN LATERAL (
            SELECT * FROM public.billing_ledgerline AS line
            WHERE line.org_id = b.org_id AND line.started_at >= b.first
                  AND line.started_at < b.last + interval '15 minutes' OFFSET 0) AS l
        GROUP BY b.org_id, b.day, GROUPING SETS (
            (l.project_id, l.key_id, l.request_model, l.upstream_id, l.status),
            (l.project_id, l.end_user),
            (l.project_id, l.tags))
    )
    INSERT INTO public.billing_dayrollup (
        cube, org_id, day, {", ".join([*COARSE, *FINE])}, {NAMES_OF_SUMS})
    SELECT 'calls', org_id, day, project_id, key_id, request_model, upstream_id, status, NULL, NULL, {NAMES_OF_SUMS}
    FROM grouped WHERE absent = 3
    UNION ALL
    SELECT 'end_users', org_id, day, project_id, NULL, NULL, NULL, NULL, NULL, end_user, {NAMES_OF_SUMS}
    FROM grouped WHERE absent = 5
    UNION ALL
    SELECT 'tags', org_id, day, project_id, NULL, NULL, NULL, NULL, tag.key, tag.value, {SUMS}
    FROM grouped CROSS JOIN LATERAL jsonb_each_text(tags) AS tag
    WHERE absent = 6 GROUP BY org_id, day, project_id, tag.key, tag.value;
    RETURN cardinality(orgs);
END $$
"""

FOLLOW_ZONES = """
CREATE FUNCTION costhub_follow_time_zones() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    moved record;
BEGIN
    FOR moved IN
        SELECT o.id, o.time_zone FROM public.tenants_organization AS o
        LEFT JOIN public.billing_rollupzone AS z ON z.org_id = o.id
        WHERE z.time_zone IS DISTINCT FROM o.time_zone
    LOOP
        -- A zone that PostgreSQL does not know must not stop everybody's sums.
        BEGIN
            PERFORM now() AT TIME ZONE moved.time_zone;
        EXCEPTION WHEN invalid_parameter_value THEN
            CONTINUE;
        END;
        -- Days of months that were dropped stay those of the zone in which they were summed.
        DELETE FROM public.billing_dayrollup
        WHERE org_id = moved.id AND day > (public.costhub_ledger_floor() AT TIME ZONE moved.time_zone)::date;
        INSERT INTO public.billing_daymark (org_id, quarter)
        SELECT org_id, quarter FROM public.billing_quarterrollup
        WHERE org_id = moved.id AND cube = 'total' AND quarter >= public.costhub_ledger_floor()
        ON CONFLICT DO NOTHING;
        INSERT INTO public.billing_rollupzone (org_id, time_zone) VALUES (moved.id, moved.time_zone)
        ON CONFLICT (org_id) DO UPDATE SET time_zone = excluded.time_zone;
    END LOOP;
END $$
"""

ROLL_UP = """
CREATE FUNCTION costhub_roll_up(most integer, moment timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    done integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('costhub_roll_up')) THEN
        RETURN 0;
    END IF;
    PERFORM public.costhub_follow_time_zones();
    done := public.costhub_roll_quarters(most, moment);
    -- While quarters wait, days would be made for nothing.
    IF NOT EXISTS (SELECT FROM public.billing_quartermark
                   WHERE quarter <= moment - interval '15 minutes' OFFSET most) THEN
        done := done + public.costhub_roll_days(most, moment);
    END IF;
    RETURN done;
END $$
"""

# Whether every row of a stretch of time is in the sums: then they outlive it.
IS_ROLLED = """
CREATE FUNCTION costhub_is_rolled(first timestamptz, last timestamptz) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT NOT EXISTS (SELECT FROM public.billing_quartermark WHERE quarter >= first AND quarter < last)
       -- a day that is too long to be summed keeps its quarters, and keeps nobody's month
       AND NOT EXISTS (
           SELECT FROM public.billing_daymark AS m WHERE m.quarter >= first AND m.quarter < last
               AND (SELECT coalesce(sum(q.entries), 0) FROM public.billing_quarterrollup AS q
                    WHERE q.org_id = m.org_id AND q.cube = 'total'
                        AND q.quarter BETWEEN m.quarter - interval '25 hours' AND m.quarter + interval '25 hours'
                   ) <= 10000000)
$$
"""

TRIGGER = """CREATE TRIGGER mark_quarters AFTER INSERT ON proxy_ledgerentry REFERENCING NEW TABLE AS fresh
           FOR EACH STATEMENT EXECUTE FUNCTION costhub_mark_quarters()"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("proxy", "0003_retention")]
    operations = [
        migrations.RunSQL([LINES, f"GRANT SELECT ON billing_ledgerline TO {app_role()}"]),
        migrations.RunSQL(TABLES),
        migrations.RunSQL([statement for table in NAMES for statement in wall(table, "SELECT")]),
        migrations.RunSQL([MARK, MARK_ALL, *keep("costhub_mark_quarters()", "costhub_mark_ledger()")]),
        migrations.RunSQL([ROLL_QUARTERS, *keep("costhub_roll_quarters(integer, timestamptz)")]),
        migrations.RunSQL([ROLL_DAYS, *keep("costhub_roll_days(integer, timestamptz)")]),
        migrations.RunSQL([FOLLOW_ZONES, *keep("costhub_follow_time_zones()")]),
        migrations.RunSQL([ROLL_UP, *allow("costhub_roll_up(integer, timestamptz)")]),
        migrations.RunSQL([IS_ROLLED, *allow("costhub_is_rolled(timestamptz, timestamptz)")]),
        migrations.RunSQL([TRIGGER]),
    ]
