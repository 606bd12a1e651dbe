ALTER TABLE Posts ADD COLUMN ParentId varchar(26); UPDATE Posts SET ParentId = '';
