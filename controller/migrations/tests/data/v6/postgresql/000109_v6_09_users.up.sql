ALTER TABLE users ALTER COLUMN timezone TYPE jsonb USING timezone::jsonb;
