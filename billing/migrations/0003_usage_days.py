"""Sums of a day by token class and price version.

They follow the day's other sums: whenever those are made anew, a trigger makes these anew too, from the same rows. So a
day without a mark is here what its rows say.
"""

from django.db import migrations

from tenants.schema import app_role, keep, wall

MECHANISMS = ["cache", "coalescing", "compression", "routing", "cascade", "batch", "distillation"]
SPLIT = [
    "project_id",
    "key_id",
    "request_model",
    "response_model",
    "upstream_id",
    "provider",
    "price_id",
    "adjustment_id",
    "service_tier",
]
#: classes that a row keeps as JSON
PICTURES = ["image_input", "cached_image_input", "image_output"]
UNITS = [
    "web_searches_low",
    "web_searches",
    "web_searches_high",
    "file_searches",
    "code_sessions",
    "images",
    "seconds",
    "characters",
    "pages",
    "web_searches_preview",
]
USUAL = ["calls", "billed", "input", "output", "list_cost", "effective_cost"]
#: what is nearly always zero is NULL then, which takes no room
RARE = [
    "hits",
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "audio_input",
    "cached_audio_input",
    "audio_output",
    *PICTURES,
    *UNITS,
    "retried",
    *(f"saved_by_{name}" for name in MECHANISMS),
]


def kept(name):
    return f"coalesce((e.usage ->> '{name}')::bigint, 0)"


CACHED_ELSE = f"{kept('cached_audio_input')} + {kept('cached_image_input')}"
# As proxy.core.row.read_usage reads a row.
USAGE_LINES = f"""
CREATE VIEW billing_usageline WITH (security_invoker = true) AS
SELECT
    e.org_id, e.started_at, e.id, e.recorded_at, e.tags, e.end_user, {", ".join(f"e.{name}" for name in SPLIT)},
    CASE e.kind WHEN 'call' THEN 1 ELSE 0 END AS calls,
    CASE WHEN e.kind = 'call' AND (e.cache_status LIKE 'hit%' OR e.cache_status = 'coalesced')
         THEN 1 ELSE 0 END AS hits,
    CASE WHEN e.kind = 'call' AND e.cache_status NOT LIKE 'hit%' AND e.cache_status <> 'coalesced'
              AND (e.effective_cost <> 0 OR e.input_tokens <> 0 OR e.output_tokens <> 0) THEN 1 ELSE 0 END AS billed,
    e.input_tokens - (e.cache_read_input_tokens - ({CACHED_ELSE})) - e.cache_write_input_tokens - e.audio_input_tokens
        - {kept("image_input")} - {kept("cached_image_input")} AS input,
    e.cache_read_input_tokens - ({CACHED_ELSE}) AS cached_input,
    e.cache_write_input_tokens - {kept("cache_write_1h")} AS cache_write,
    {kept("cache_write_1h")} AS cache_write_1h,
    e.audio_input_tokens - {kept("cached_audio_input")} AS audio_input,
    {kept("cached_audio_input")} AS cached_audio_input,
    e.output_tokens - e.audio_output_tokens - {kept("image_output")} AS output,
    e.audio_output_tokens AS audio_output,
    {", ".join(f"{kept(name)} AS {name}" for name in [*PICTURES, *UNITS])},
    e.list_cost,
    e.effective_cost,
    -- what all attempts but the last one cost
    CASE WHEN jsonb_array_length(e.attempts) > 1
         THEN e.effective_cost - coalesce((e.attempts -> -1 ->> 'cost')::bigint, 0) ELSE 0 END AS retried,
    {", ".join(f"coalesce((e.savings ->> '{name}')::bigint, 0) AS saved_by_{name}" for name in MECHANISMS)}
FROM proxy_ledgerentry e
"""
USAGE_TABLE = f"""
CREATE TABLE billing_usageday (
    id bigint GENERATED ALWAYS AS IDENTITY, org_id uuid NOT NULL, day date NOT NULL,
    project_id uuid NOT NULL, key_id uuid NOT NULL, request_model text NOT NULL, response_model text NOT NULL,
    upstream_id uuid, provider text NOT NULL, price_id uuid, adjustment_id uuid, service_tier text NOT NULL,
    {", ".join(f"{name} bigint NOT NULL" for name in USUAL)}, {", ".join(f"{name} bigint" for name in RARE)},
    recorded_at timestamptz NOT NULL)
"""
USAGE = [*USUAL, *RARE]
SUMS = ", ".join(
    [f"public.costhub_whole(sum(l.{name})) AS {name}" for name in USUAL]
    + [f"nullif(public.costhub_whole(sum(l.{name})), 0) AS {name}" for name in RARE]
)

MAKE_USAGE_DAYS = f"""
CREATE FUNCTION costhub_make_usage_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET work_mem = '64MB' AS $$
BEGIN
    INSERT INTO public.billing_usageday (org_id, day, {", ".join(SPLIT)}, {", ".join(USAGE)}, recorded_at)
    SELECT made.org_id, made.day, {", ".join(f"l.{name}" for name in SPLIT)}, {SUMS}, max(l.recorded_at)
    FROM (SELECT f.org_id, f.day, bounds.first, bounds.last
          FROM (SELECT DISTINCT org_id, day FROM fresh WHERE cube = 'total') AS f
          JOIN public.billing_rollupzone AS z USING (org_id)
          CROSS JOIN LATERAL (
              SELECT min(quarter) AS first, max(quarter) + interval '15 minutes' AS last
              FROM generate_series((f.day::timestamp AT TIME ZONE z.time_zone) - interval '3 hours',
                                   (f.day::timestamp AT TIME ZONE z.time_zone) + interval '30 hours',
                                   interval '15 minutes') AS quarter
              WHERE (quarter AT TIME ZONE z.time_zone)::date = f.day) AS bounds) AS made
    CROSS JOIN LATERAL (
        SELECT * FROM public.billing_usageline AS line
        WHERE line.org_id = made.org_id AND line.started_at >= made.first AND line.started_at < made.last
        OFFSET 0) AS l
    GROUP BY made.org_id, made.day, {", ".join(f"l.{name}" for name in SPLIT)};
    RETURN NULL;
END $$
"""
DROP_USAGE_DAYS = """
CREATE FUNCTION costhub_drop_usage_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    DELETE FROM public.billing_usageday AS u
    USING (SELECT DISTINCT org_id, day FROM gone WHERE cube = 'total') AS g
    WHERE u.org_id = g.org_id AND u.day = g.day;
    RETURN NULL;
END $$
"""

TRIGGERS = [
    """CREATE TRIGGER make_usage_days AFTER INSERT ON billing_dayrollup REFERENCING NEW TABLE AS fresh
           FOR EACH STATEMENT EXECUTE FUNCTION costhub_make_usage_days()""",
    """CREATE TRIGGER drop_usage_days AFTER DELETE ON billing_dayrollup REFERENCING OLD TABLE AS gone
           FOR EACH STATEMENT EXECUTE FUNCTION costhub_drop_usage_days()""",
]


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_rollups")]
    operations = [
        migrations.RunSQL([USAGE_LINES, f"GRANT SELECT ON billing_usageline TO {app_role()}"]),
        migrations.RunSQL(
            [
                USAGE_TABLE,
                "CREATE INDEX usage_of_an_org ON billing_usageday (org_id, day)",
                *wall("billing_usageday", "SELECT"),
            ]
        ),
        migrations.RunSQL(
            [MAKE_USAGE_DAYS, DROP_USAGE_DAYS, *keep("costhub_make_usage_days()", "costhub_drop_usage_days()")]
        ),
        migrations.RunSQL(TRIGGERS),
    ]
