SET @preparedStatement = (SELECT IF(
    (
        SELECT COUNT(*) FROM INFORMATION_SCHEMA.STATISTICS
        WHERE table_name = 'Posts' AND table_schema = DATABASE() AND index_name = 'idx_posts_root_id'
    ) > 0,
    'DROP INDEX idx_posts_root_id ON Posts;',
    'SELECT 1'
));
PREPARE stmt FROM @preparedStatement;
EXECUTE stmt;
DEALLOCATE PREPARE stmt;
SET @table = 'Users', @sql = CONCAT('ALTER TABLE ', @table, ' MODIFY COLUMN Props JSON');
PREPARE s FROM @sql; EXECUTE s; # a comment
SELECT COUNT(*) INTO @n FROM Posts;
