-- The last switch of each projection, written in the transaction of the switch.
CREATE TABLE meta.switches (
  projection VARCHAR NOT NULL,
  -- What serves since then, in place of what. The same: it was built anew.
  version UINTEGER NOT NULL,
  from_version UINTEGER NOT NULL,
  switched_at TIMESTAMP NOT NULL,
  -- Both held all log entries below.
  next_offset UBIGINT NOT NULL,
  -- JSON: by table, without its version, how the rows of both compared.
  tables VARCHAR NOT NULL
);
