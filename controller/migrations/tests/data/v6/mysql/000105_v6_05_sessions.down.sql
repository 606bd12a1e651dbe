ALTER TABLE Sessions MODIFY Props text;
