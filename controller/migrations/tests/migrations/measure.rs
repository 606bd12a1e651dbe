//! The lock table against a PostgreSQL: lock, rewrite, blocked reads and writes of each form, as the server shows them.

use std::collections::BTreeMap;

use breakwater_migrations::{Dialect, Input, analyse, measure::measure};

const BASE: &str = "CREATE TABLE other (id integer PRIMARY KEY, v text);
CREATE TABLE t (id integer PRIMARY KEY, a varchar(50), b text, c integer, d numeric(10,2), e timestamp, f boolean, g varchar(20), h text, k text NOT NULL, old text, oldn text);
CREATE INDEX t_a ON t (a);
CREATE INDEX t_c ON t (c);
CREATE UNIQUE INDEX t_u ON t (c);
CREATE TABLE big (id integer, at integer) PARTITION BY RANGE (at);
CREATE TABLE big_1 PARTITION OF big FOR VALUES FROM (0) TO (10);
CREATE TABLE big_2 (id integer, at integer);
CREATE TABLE nulls (id integer NOT NULL, v integer, w integer NOT NULL);
CREATE UNIQUE INDEX nulls_w ON nulls (w);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE MATERIALIZED VIEW mv AS SELECT id FROM t;
CREATE UNIQUE INDEX mv_i ON mv (id);
CREATE VIEW v AS SELECT id FROM other;
CREATE TYPE mood AS ENUM ('good');
CREATE TABLE checked (id integer PRIMARY KEY, c varchar(20) CHECK (c <> ''), d varchar(20));
CREATE TABLE follows (id integer REFERENCES checked (id));
CREATE DOMAIN word AS text;
";

/// One form a line, run in this order.
const FORMS: &str = "ALTER TABLE t ADD COLUMN n1 text
ALTER TABLE t ADD COLUMN n2 integer DEFAULT 7
ALTER TABLE t ADD COLUMN n3 timestamp DEFAULT now()
ALTER TABLE t ADD COLUMN n4 double precision DEFAULT random()
ALTER TABLE t ADD COLUMN n5 timestamptz DEFAULT clock_timestamp()
ALTER TABLE t ADD COLUMN n6 serial
ALTER TABLE t ADD COLUMN n7 integer GENERATED ALWAYS AS IDENTITY
ALTER TABLE t ADD COLUMN n8 integer GENERATED ALWAYS AS (c * 2) STORED
ALTER TABLE t ADD COLUMN n9 integer UNIQUE
ALTER TABLE t ADD COLUMN n10 integer CHECK (n10 > 0)
ALTER TABLE t ADD COLUMN n11 integer REFERENCES other (id)
ALTER TABLE t ADD COLUMN IF NOT EXISTS n12 jsonb DEFAULT '{}'
ALTER TABLE t DROP COLUMN old
ALTER TABLE t DROP COLUMN IF EXISTS oldn
ALTER TABLE t ALTER COLUMN a TYPE varchar(100)
ALTER TABLE t ALTER COLUMN a TYPE text
ALTER TABLE t ALTER COLUMN h TYPE varchar
ALTER TABLE t ALTER COLUMN b TYPE jsonb USING b::jsonb
ALTER TABLE t ALTER COLUMN b TYPE jsonb USING b::jsonb
ALTER TABLE t ALTER COLUMN g TYPE varchar(10)
ALTER TABLE t ALTER COLUMN d TYPE numeric(12,2)
ALTER TABLE t ALTER COLUMN d TYPE numeric(14,4)
ALTER TABLE t ALTER COLUMN d TYPE numeric
ALTER TABLE t ALTER COLUMN n2 TYPE bigint
ALTER TABLE t ALTER COLUMN a SET DEFAULT 'x'
ALTER TABLE t ALTER COLUMN a DROP DEFAULT
ALTER TABLE t ALTER COLUMN f SET NOT NULL
ALTER TABLE t ALTER COLUMN f DROP NOT NULL
ALTER TABLE t ALTER COLUMN a SET STATISTICS 200
ALTER TABLE t ALTER COLUMN a SET (n_distinct = 5)
ALTER TABLE t ALTER COLUMN a SET STORAGE EXTERNAL
ALTER TABLE t SET (fillfactor = 90)
ALTER TABLE t SET (autovacuum_enabled = false)
ALTER TABLE t RESET (autovacuum_enabled)
ALTER TABLE t CLUSTER ON t_c
ALTER TABLE t SET WITHOUT CLUSTER
ALTER TABLE t ADD CONSTRAINT ck CHECK (c > -1)
ALTER TABLE t ADD CONSTRAINT ck2 CHECK (c > -2) NOT VALID
ALTER TABLE t VALIDATE CONSTRAINT ck2
ALTER TABLE t DROP CONSTRAINT ck
ALTER TABLE t RENAME CONSTRAINT ck2 TO ck3
ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (n11) REFERENCES other (id)
ALTER TABLE t ADD CONSTRAINT fk2 FOREIGN KEY (n11) REFERENCES other (id) NOT VALID
ALTER TABLE t VALIDATE CONSTRAINT fk2
ALTER TABLE t DROP CONSTRAINT fk
ALTER TABLE t DROP CONSTRAINT t_n11_fkey
ALTER TABLE t ADD CONSTRAINT uq UNIQUE (n6)
ALTER TABLE t ADD CONSTRAINT uq2 UNIQUE USING INDEX t_u
ALTER TABLE nulls ADD CONSTRAINT nulls_pk PRIMARY KEY USING INDEX nulls_w
ALTER TABLE t ADD CONSTRAINT ex EXCLUDE USING btree (n7 WITH =)
ALTER TABLE t ADD CONSTRAINT filled CHECK (a IS NOT NULL)
ALTER TABLE t ALTER COLUMN a SET NOT NULL
ALTER TABLE t ENABLE ROW LEVEL SECURITY
ALTER TABLE t DISABLE ROW LEVEL SECURITY
ALTER TABLE t REPLICA IDENTITY FULL
ALTER TABLE t SET UNLOGGED
ALTER TABLE t SET LOGGED
ALTER TABLE t RENAME COLUMN n1 TO m1
CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing()
ALTER TABLE t DISABLE TRIGGER tr
ALTER TABLE t ENABLE TRIGGER tr
DROP TRIGGER tr ON t
ALTER TABLE big ATTACH PARTITION big_2 FOR VALUES FROM (10) TO (20000)
ALTER TABLE big DETACH PARTITION big_1
CREATE INDEX t_n ON t (n2)
CREATE UNIQUE INDEX t_n7 ON t (n7)
CREATE INDEX CONCURRENTLY t_cc ON t (n2)
ALTER INDEX t_n RENAME TO t_nn
DROP INDEX t_nn
DROP INDEX CONCURRENTLY t_cc
REINDEX TABLE t
REINDEX INDEX t_c
REINDEX TABLE CONCURRENTLY t
ALTER TABLE checked ALTER COLUMN c TYPE varchar(30)
ALTER TABLE checked ALTER COLUMN c TYPE text
ALTER TABLE checked ALTER COLUMN d TYPE varchar(30)
TRUNCATE checked CASCADE
ALTER TABLE follows DROP COLUMN id
CREATE DOMAIN letter AS text CHECK (VALUE <> '')
ALTER DOMAIN word SET DEFAULT 'x'
UPDATE t SET m1 = 'x' WHERE m1 IS NULL
INSERT INTO other (id, v) VALUES (1000000, 'x')
DELETE FROM other WHERE id = 1000000
SELECT id FROM t LIMIT 1
SELECT id FROM other FOR UPDATE
LOCK TABLE t IN SHARE MODE
LOCK TABLE t IN EXCLUSIVE MODE
LOCK TABLE t
CREATE TABLE made (id integer PRIMARY KEY, t integer REFERENCES other (id))
REFRESH MATERIALIZED VIEW mv
REFRESH MATERIALIZED VIEW CONCURRENTLY mv
DROP MATERIALIZED VIEW mv
CREATE OR REPLACE VIEW v AS SELECT id, v FROM other
DROP VIEW v
CREATE TYPE mood2 AS ENUM ('a')
ALTER TYPE mood ADD VALUE 'bad' AFTER 'good'
ANALYZE t
CLUSTER t USING t_c
VACUUM FULL t
TRUNCATE nulls
ALTER TABLE nulls RENAME TO nulls2
DROP TABLE nulls2
DROP TABLE t";

#[test]
fn the_lock_table_agrees_with_a_postgresql() {
    let server = crate::server::start();
    let mut files = BTreeMap::from([("000001_base.up.sql".to_owned(), BASE.as_bytes().to_vec())]);
    for (at, form) in FORMS.lines().enumerate() {
        let prefix = if form.contains("CONCURRENTLY") { "-- morph:nontransactional\n" } else { "" };
        files.insert(format!("{:06}_form.up.sql", at + 2), format!("{prefix}{form};\n").into_bytes());
    }
    let to = u32::try_from(FORMS.lines().count() + 1).expect("few");
    let input = Input::new(files, Dialect::Postgresql, server.version.as_str(), 1, to);
    let review = analyse(&input).expect("reviewed");
    let before: Vec<String> = vec![BASE.into()];
    let measured = measure(&server.url, &before, &review, 1000).expect("measured");
    let seen = measured.iter().filter(|one| one.lock.is_some()).count();
    let wrong: Vec<_> = measured.iter().filter(|one| !one.disagreements.is_empty()).collect();
    println!(
        "measured: {} of {} forms agree with PostgreSQL {}; lock seen on {seen}",
        measured.len() - wrong.len(),
        measured.len(),
        server.version
    );
    for one in &wrong {
        println!("{:06} {}: {}", one.number, one.sql, one.disagreements.join("; "));
    }
    assert!(wrong.is_empty() && seen >= 60, "see above");
}
