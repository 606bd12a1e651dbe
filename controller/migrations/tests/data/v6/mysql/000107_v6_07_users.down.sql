ALTER TABLE Users MODIFY Props text;
