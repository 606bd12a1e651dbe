ALTER TABLE ChannelMembers MODIFY NotifyProps text;
