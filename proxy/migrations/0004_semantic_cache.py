"""The semantic cache: questions with their vectors, what they were answered, each look-up, and what was learned of
them. Under row-level security like every tenant row, and gone with their organisation.

The index over the vectors is one for all organisations. A search within a small scope does not use it; within a large
one it scans on until it has found enough rows of that scope (``hnsw.iterative_scan``).
"""

from django.db import migrations

from tenants.schema import app_role, wall

ORG = "org_id uuid NOT NULL REFERENCES tenants_organization (id) ON DELETE CASCADE"
TABLES = {
    "proxy_cacheanswer": f"""
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {ORG}, scope bytea NOT NULL,
        entries integer NOT NULL DEFAULT 1, rights integer NOT NULL DEFAULT 0, wrongs integer NOT NULL DEFAULT 0,
        UNIQUE (org_id, id)""",
    "proxy_cacheentry": f"""
        id uuid PRIMARY KEY, {ORG}, scope bytea NOT NULL, answer_id bigint NOT NULL, model text NOT NULL,
        tags text[] NOT NULL, question text NOT NULL, packed bytea NOT NULL, embedding vector(384) NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL,
        FOREIGN KEY (org_id, answer_id) REFERENCES proxy_cacheanswer (org_id, id) ON DELETE CASCADE""",
    "proxy_cachelookup": f"""
        request_id uuid PRIMARY KEY, {ORG}, at timestamptz NOT NULL DEFAULT now(), asked text NOT NULL,
        entry_id uuid, answer_id bigint, kept_question text NOT NULL, similarity double precision NOT NULL,
        features double precision[], is_guarded boolean NOT NULL, veto text NOT NULL, likelihood double precision,
        threshold double precision, was_served boolean NOT NULL, is_shadow boolean NOT NULL,
        is_recheck boolean NOT NULL, share double precision NOT NULL, "right" boolean""",
    "proxy_cachegate": """
        org_id uuid PRIMARY KEY REFERENCES tenants_organization (id) ON DELETE CASCADE,
        means double precision[] NOT NULL, scales double precision[] NOT NULL, weights double precision[] NOT NULL,
        likelihoods double precision[] NOT NULL, kappa double precision NOT NULL, learned_from integer NOT NULL,
        fitted_at timestamptz NOT NULL DEFAULT now()""",
}
INDEXES = [
    "CREATE INDEX cache_entries_of_a_scope ON proxy_cacheentry (org_id, scope)",
    "CREATE INDEX cache_entries_of_an_answer ON proxy_cacheentry (org_id, answer_id)",
    "CREATE INDEX cache_entries_that_end ON proxy_cacheentry (org_id, expires_at)",
    # a vector and its neighbours must fit into one page beside what a row has: 384 floats are 1.5 kB
    "CREATE INDEX cache_entries_by_meaning ON proxy_cacheentry USING hnsw (embedding vector_cosine_ops)",
    "CREATE INDEX cache_lookups_of_an_org ON proxy_cachelookup (org_id, at)",
]


class Migration(migrations.Migration):
    dependencies = [("proxy", "0003_retention")]
    operations = [
        migrations.RunSQL(
            [
                statement
                for table, columns in TABLES.items()
                for statement in (f"CREATE TABLE {table} ({columns})", *wall(table))
            ]
        ),
        migrations.RunSQL(INDEXES),
        migrations.RunSQL([f"GRANT USAGE ON SEQUENCE proxy_cacheanswer_id_seq TO {app_role()}"]),
    ]
