CREATE INDEX idx_posts_root_id_delete_at ON Posts (RootId, DeleteAt);
