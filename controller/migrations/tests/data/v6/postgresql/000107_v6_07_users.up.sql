ALTER TABLE users ALTER COLUMN props TYPE jsonb USING props::jsonb;
