CREATE INDEX idx_channelmembers_user_id ON ChannelMembers (UserId);
