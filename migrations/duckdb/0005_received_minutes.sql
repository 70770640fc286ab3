-- When entries were received, one row for each minute in which some were: all entries from entry_offset up to the next row.
-- Rows of telemetry without a usable time of their own grow old by it.
CREATE TABLE meta.received_minutes (
  entry_offset UBIGINT NOT NULL,
  -- Since 1970. Grows with the offset.
  minute UINTEGER NOT NULL
);
