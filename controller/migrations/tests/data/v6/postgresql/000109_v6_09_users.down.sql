ALTER TABLE users ALTER COLUMN timezone TYPE varchar(256);
