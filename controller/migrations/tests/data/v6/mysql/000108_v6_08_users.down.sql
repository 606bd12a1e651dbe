ALTER TABLE Users MODIFY NotifyProps text;
