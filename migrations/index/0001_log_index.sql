-- The index of the log: derived from the segments and rebuilt from them whenever it is in doubt. Offsets, positions and counts as in
-- docs/format/segment.md; CRCs as unsigned numbers; times in Unix nanoseconds.

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a segment that holds frames or damage. `bytes` ends at its last good frame, or at its seal.
CREATE TABLE segments (
  base_offset INTEGER PRIMARY KEY,
  previous_end INTEGER,
  previous_crc INTEGER,
  stream_id_next INTEGER,
  end_offset INTEGER NOT NULL,
  last_crc INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  sealed INTEGER NOT NULL
) STRICT;

CREATE TABLE frames (
  base_offset INTEGER PRIMARY KEY,
  segment INTEGER NOT NULL,
  position INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  "rows" INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  received_at_min INTEGER NOT NULL,
  received_at_max INTEGER NOT NULL,
  stream_id_max INTEGER NOT NULL
) STRICT;

-- Offsets that hold no entry: lost to damage, or refused and never given out again. `to_offset` is exclusive.
CREATE TABLE gaps (
  from_offset INTEGER PRIMARY KEY,
  to_offset INTEGER NOT NULL
) STRICT;

-- Byte ranges of segments that nothing can be read from.
CREATE TABLE quarantined_ranges (
  segment INTEGER NOT NULL,
  position INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (segment, position)
) STRICT, WITHOUT ROWID;

-- Positions of named consumers. Not derived: kept when the rest is rebuilt.
CREATE TABLE cursors (
  name TEXT PRIMARY KEY,
  log_uuid TEXT NOT NULL,
  next_offset INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
