CREATE TABLE IF NOT EXISTS `Threads` (`PostId` varchar(26) NOT NULL, Participants json, Kind enum('a','b') DEFAULT 'a', Total int(11) GENERATED ALWAYS AS (Length(PostId)) VIRTUAL, PRIMARY KEY (PostId), KEY `i` (`Kind`, Participants(10)), FULLTEXT INDEX f (Kind)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
ALTER TABLE Posts ADD COLUMN (A int, B text), MODIFY Props JSON, CHANGE COLUMN `N` `M` bigint unsigned NOT NULL DEFAULT '0' AFTER Props, DROP PRIMARY KEY, ADD PRIMARY KEY (Id, M), ALGORITHM=INPLACE, LOCK=NONE;
CREATE FULLTEXT INDEX idx_text ON Posts (Message) LOCK=SHARED; DROP INDEX idx_text ON Posts ALGORITHM = INPLACE;
ALTER TABLE Posts CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci; RENAME TABLE a TO b, c TO d;
UPDATE Posts p JOIN Users u ON p.UserId = u.Id, Channels SET p.N = 1 WHERE u.Name LIKE '%\'%'; DELETE p FROM Posts p INNER JOIN Users u USING (Id);
INSERT INTO Systems (Name, Value) VALUES ('Version', "5.38.0") ON DUPLICATE KEY UPDATE Value = '5.38.0';
/*!50503 SET character_set_client = utf8mb4 */; LOCK TABLES Posts WRITE, Users AS u READ; UNLOCK TABLES; OPTIMIZE TABLE Posts;
