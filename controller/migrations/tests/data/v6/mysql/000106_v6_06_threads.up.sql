ALTER TABLE Threads MODIFY Participants JSON;
