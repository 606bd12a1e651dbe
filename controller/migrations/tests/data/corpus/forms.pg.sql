CREATE TABLE IF NOT EXISTS public.threads (
    postid varchar(26) PRIMARY KEY,
    replycount bigint NOT NULL DEFAULT 0 CHECK (replycount >= 0),
    at timestamptz DEFAULT now(),
    total numeric(10, 2) GENERATED ALWAYS AS (replycount * 2) STORED,
    CONSTRAINT fk FOREIGN KEY (postid) REFERENCES posts (id) ON DELETE CASCADE,
    EXCLUDE USING gist (postid WITH =)
);
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "idx_Threads" ON public.threads USING btree (lower(postid), at DESC NULLS LAST) WHERE replycount > 0;
ALTER TABLE IF EXISTS ONLY threads ADD COLUMN IF NOT EXISTS x uuid DEFAULT gen_random_uuid(), DROP COLUMN IF EXISTS y CASCADE;
ALTER TABLE threads ADD CONSTRAINT c CHECK (at IS NOT NULL) NOT VALID; ALTER TABLE threads VALIDATE CONSTRAINT c;
ALTER TABLE threads SET (autovacuum_vacuum_scale_factor = 0.1, fillfactor = 70);
CREATE TYPE mood AS ENUM ('a', 'b'); ALTER TYPE mood ADD VALUE IF NOT EXISTS 'c' AFTER 'b';
CREATE MATERIALIZED VIEW IF NOT EXISTS counts AS SELECT count(*) FROM posts; REFRESH MATERIALIZED VIEW CONCURRENTLY counts;
DROP TABLE IF EXISTS a, b, public.c CASCADE; DROP INDEX CONCURRENTLY IF EXISTS i; TRUNCATE ONLY a, b RESTART IDENTITY CASCADE;
INSERT INTO threads (postid) SELECT id FROM posts ON CONFLICT (postid) DO UPDATE SET replycount = excluded.replycount;
SET LOCAL lock_timeout = '5s'; LOCK TABLE a, ONLY b IN SHARE ROW EXCLUSIVE MODE NOWAIT;
COMMENT ON TABLE threads IS $c$it's; one$c$; GRANT SELECT ON threads TO PUBLIC; VACUUM (FULL, ANALYZE) threads; REINDEX (VERBOSE) TABLE CONCURRENTLY threads;
