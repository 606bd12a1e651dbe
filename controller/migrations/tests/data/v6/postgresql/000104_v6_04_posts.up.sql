ALTER TABLE posts ALTER COLUMN props TYPE jsonb USING props::jsonb;
