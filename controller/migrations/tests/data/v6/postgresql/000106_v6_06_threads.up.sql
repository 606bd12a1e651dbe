ALTER TABLE threads ALTER COLUMN participants TYPE jsonb USING participants::jsonb;
