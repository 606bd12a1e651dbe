ALTER TABLE Posts MODIFY Props text;
