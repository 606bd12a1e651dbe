ALTER TABLE CommandWebhooks ADD COLUMN ParentId varchar(26); UPDATE CommandWebhooks SET ParentId = '';
