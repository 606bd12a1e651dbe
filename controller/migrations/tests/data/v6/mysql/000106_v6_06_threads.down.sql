ALTER TABLE Threads MODIFY Participants longtext;
