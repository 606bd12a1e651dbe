DROP INDEX idx_status_status ON Status;
