ALTER TABLE users ALTER COLUMN notifyprops TYPE varchar(2000);
