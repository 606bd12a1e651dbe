ALTER TABLE CommandWebhooks DROP COLUMN ParentId;
