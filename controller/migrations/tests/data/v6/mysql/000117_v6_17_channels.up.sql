CREATE INDEX idx_channels_team_id_type ON Channels (TeamId, Type);
