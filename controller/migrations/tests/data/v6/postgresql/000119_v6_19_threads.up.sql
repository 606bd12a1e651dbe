CREATE INDEX idx_threads_channel_id_last_reply_at ON Threads (ChannelId, LastReplyAt);
