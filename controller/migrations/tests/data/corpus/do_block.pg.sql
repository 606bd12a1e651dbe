-- A guard in a block, as older migrations have them.
DO $$
DECLARE
    found boolean := false;
    statement text := 'ALTER TABLE posts ADD COLUMN ' || 'pinned boolean';
BEGIN
    SELECT count(*) != 0 INTO found FROM information_schema.columns
        WHERE table_name = 'posts' AND column_name = 'pinned' AND data_type = 'character varying';
    IF NOT found THEN
        EXECUTE statement;
        ALTER TABLE posts ALTER COLUMN props TYPE jsonb USING props::jsonb, ALTER COLUMN n TYPE bigint;
    ELSIF found THEN
        FOR row IN SELECT id FROM posts LOOP
            UPDATE posts SET n = n + 1 WHERE id = row.id;
        END LOOP;
    ELSE
        PERFORM 1;
    END IF;
EXCEPTION WHEN duplicate_column THEN
    RAISE NOTICE 'it''s there';
END $$;
