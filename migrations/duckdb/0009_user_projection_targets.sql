-- Where the log ended when the version was begun: until then its table lacks rows.
ALTER TABLE projected.checkpoints ADD COLUMN target_offset UBIGINT DEFAULT 0;
