ALTER TABLE ChannelMembers MODIFY NotifyProps JSON;
