ALTER TABLE LinkMetadata MODIFY Data text;
