-- The two roles and the database that CostHub wants of a PostgreSQL (16 or later, with pgvector), as its superuser:
--   psql -v owner_password=... -v app_password=... -f roles.sql
-- The owner makes tables; the application owns nothing, and row-level security binds it.
CREATE ROLE costhub_owner LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE costhub_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'app_password';
CREATE DATABASE costhub OWNER costhub_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE costhub FROM PUBLIC;
GRANT CONNECT ON DATABASE costhub TO costhub_app;
\connect costhub
ALTER SCHEMA public OWNER TO costhub_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO costhub_app;
CREATE EXTENSION IF NOT EXISTS vector;
-- A statement may carry a person's words, and so may the details of an error, such as the key that is there already: the
-- server's log says what failed, never with what. And plans of ours are short: compiling them takes longer than running
-- them.
ALTER DATABASE costhub SET log_min_error_statement = 'panic';
ALTER DATABASE costhub SET log_error_verbosity = 'terse';
ALTER DATABASE costhub SET jit = off;
-- What the application asks for itself when it connects; a pooler that gives each transaction another connection takes
-- no such wishes.
ALTER ROLE costhub_app SET statement_timeout = '30s';
ALTER ROLE costhub_app SET lock_timeout = '10s';
