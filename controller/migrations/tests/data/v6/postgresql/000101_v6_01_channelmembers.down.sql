ALTER TABLE channelmembers ALTER COLUMN notifyprops TYPE varchar(2000);
