CREATE INDEX idx_status_status_dndendtime ON Status (Status, DNDEndTime);
