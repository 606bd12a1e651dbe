ALTER TABLE posts ALTER COLUMN fileids TYPE character varying(300);
