CREATE OR REPLACE FUNCTION backfill(top integer) RETURNS void AS $body$
DECLARE
    done integer := 0;
BEGIN
    <<batches>>
    WHILE done < top LOOP
        WITH some AS (SELECT id FROM posts WHERE n IS NULL LIMIT 100 FOR UPDATE SKIP LOCKED)
        UPDATE posts SET n = 0 FROM some WHERE posts.id = some.id;
        CASE WHEN done > 5 THEN EXIT batches; ELSE done := done + 1; END CASE;
    END LOOP;
END;
$body$ LANGUAGE plpgsql;
SELECT backfill(10);
DROP FUNCTION backfill(integer);
CREATE PROCEDURE p() LANGUAGE SQL BEGIN ATOMIC INSERT INTO posts (id) VALUES ('x'); DELETE FROM posts WHERE id = 'x'; END;
CALL p();
