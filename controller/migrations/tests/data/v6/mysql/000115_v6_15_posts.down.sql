CREATE INDEX idx_posts_root_id ON Posts (RootId);
