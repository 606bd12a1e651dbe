ALTER TABLE threads ALTER COLUMN participants TYPE text;
