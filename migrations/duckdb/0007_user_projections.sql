-- Projections of users (docs/projections.md): their rows live in schema projected, as tables <name>_v<version>, seen as views in main.
CREATE SCHEMA projected;

-- The checkpoint of each version, written in the transaction of the rows it stands for.
CREATE TABLE projected.checkpoints (
  projection VARCHAR NOT NULL,
  version UINTEGER NOT NULL,
  -- The file's text: an older version keeps up with it while a newer one is built.
  statement VARCHAR NOT NULL,
  -- Differs when the statement, its columns or what its rows age by differ.
  hash VARCHAR NOT NULL,
  description VARCHAR,
  -- The column that rows age by.
  time_column VARCHAR,
  -- All entries below are in the table.
  next_offset UBIGINT NOT NULL,
  -- 'serving': the view shows it. 'building': it catches up while an older version serves.
  state VARCHAR NOT NULL
);
