-- Macros of the public surface.
-- The 32 lower-case hex digits of a trace id; a UUID also compares with them directly: trace_id = '0af7…'.
CREATE OR REPLACE MACRO main.trace_hex(trace_id) AS replace(trace_id::UUID::VARCHAR, '-', '');
-- The 16 lower-case hex digits of a span id.
CREATE OR REPLACE MACRO main.span_hex(span_id) AS lower(lpad(to_hex(span_id::UBIGINT), 16, '0'));
-- The span id of hex digits, with or without leading zeros.
CREATE OR REPLACE MACRO main.span_from_hex(hex) AS ('0x' || hex)::UBIGINT;

-- The typed columns of an attribute or body from its stored form: t is the OTAP value type, v the text.
CREATE OR REPLACE MACRO store.value_str(t, v) AS CASE WHEN t = 1 THEN v END;
CREATE OR REPLACE MACRO store.value_int(t, v) AS CASE WHEN t = 2 THEN v::BIGINT END;
CREATE OR REPLACE MACRO store.value_double(t, v) AS CASE WHEN t = 3 THEN v::DOUBLE END;
CREATE OR REPLACE MACRO store.value_bool(t, v) AS CASE WHEN t = 4 THEN v = 'true' END;
CREATE OR REPLACE MACRO store.value_bytes(t, v) AS CASE WHEN t = 7 THEN from_base64(v) END;

-- Ids as they were on the wire: z is a set of bits (1 trace id, 2 span id, 4 parent span id) for ids of zeros, which are stored as NULL.
CREATE OR REPLACE MACRO store.wire_trace_id(id, z) AS
  CASE WHEN id IS NULL AND z & 1 <> 0 THEN '00000000-0000-0000-0000-000000000000'::UUID ELSE id END;
CREATE OR REPLACE MACRO store.wire_span_id(id, z, mask) AS CASE WHEN id IS NULL AND z & mask <> 0 THEN 0::UBIGINT ELSE id END;

-- What rows of large batches count from batch to batch, less where their batch began, modulo 2^32; rows of small ones have it as it is.
CREATE OR REPLACE MACRO store.placed(own, place, base) AS coalesce(own, ((place::BIGINT - base) & 4294967295)::UINTEGER);
-- The row of a point in the table of its entry's batch, and its id (NULL for one without children), modulo 2^32.
CREATE OR REPLACE MACRO store.point_row(series_number, row_shift, row_place, row_base) AS
  (coalesce(series_number::BIGINT - row_shift, row_place::BIGINT - row_base) & 4294967295)::UINTEGER;
CREATE OR REPLACE MACRO store.point_id(series_number, row_shift, row_place, row_base, id_shift) AS
  ((coalesce(series_number::BIGINT - row_shift, row_place::BIGINT - row_base) + id_shift) & 4294967295)::UINTEGER;
-- The id of a metric: of a large batch its row and a difference, modulo 2^32.
CREATE OR REPLACE MACRO store.metric_id(id, row_place, row_base, id_shift) AS
  coalesce(id, ((row_place::BIGINT - row_base + id_shift) & 4294967295)::UINTEGER);
-- An integer is stored as such only.
CREATE OR REPLACE MACRO store.number_value(value, int_value) AS coalesce(value, int_value::DOUBLE);
