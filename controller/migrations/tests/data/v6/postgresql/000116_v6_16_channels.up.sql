CREATE INDEX idx_channels_team_id_display_name ON Channels (TeamId, DisplayName);
