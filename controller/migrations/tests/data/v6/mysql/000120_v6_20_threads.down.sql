CREATE INDEX idx_threads_channel_id ON Threads (ChannelId);
