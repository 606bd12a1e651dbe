DROP INDEX idx_channels_team_id;
