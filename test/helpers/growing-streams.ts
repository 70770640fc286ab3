/**
 * OTAP streams as a Rust exporter writes them: dictionaries that grow by a delta in almost every batch and live as long as the stream,
 * plain ids, one IPC stream a payload type. Written by apache-arrow while the stream lives.
 */
import {
  type Data,
  Dictionary,
  Field,
  Float64,
  makeData,
  RecordBatchStreamWriter,
  Struct,
  TimestampNanosecond,
  Uint16,
  Uint32,
  Uint8,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow';
import type { Signal } from '../../src/base/index.ts';
import type { PayloadName } from '../../src/otap/index.ts';
import { batchOfData, type ColumnWithMetadata } from './arrow-streams.ts';
import { encodeBatch, type PayloadParts } from './otap-messages.ts';

/** A log, a span or a sample of a gauge. */
export interface GrowingRow {
  readonly time: bigint;
  /** Body of the log, name of the span or of the metric. */
  readonly name: string;
  /** Attribute `label`. */
  readonly label: string;
}

/** One life of a stream. */
export interface GrowingStream {
  /** The next message: rows of one resource, whose `service.name` is `service`. */
  next(service: string, rows: readonly GrowingRow[]): Buffer;
}

/** A stream without a batch so far. */
export function growingStream(signal: Signal): GrowingStream {
  const dictionaries = new Map<string, GrowingDictionary>();
  const writers = new Map<PayloadName, PayloadWriter>();
  const texts: Texts = (column, values) => {
    let dictionary = dictionaries.get(column);
    if (dictionary === undefined) dictionaries.set(column, (dictionary = new GrowingDictionary()));
    return dictionary.column(values);
  };
  let batchId = 0;
  return {
    next(service, rows) {
      const payloads: PayloadParts[] = [];
      for (const [name, columns] of Object.entries(TABLES[signal](texts, service, rows)) as [PayloadName, Columns][]) {
        let writer = writers.get(name);
        if (writer === undefined) writers.set(name, (writer = new PayloadWriter()));
        payloads.push({ name, record: writer.write(columns) });
      }
      return encodeBatch(payloads, batchId++);
    },
  };
}

type Columns = Readonly<Record<string, Data | ColumnWithMetadata>>;
/** A dictionary column of these values; the dictionary goes by the column's name. */
type Texts = (column: string, values: readonly string[]) => Data;

const TABLES: Readonly<
  Record<Signal, (texts: Texts, service: string, rows: readonly GrowingRow[]) => Partial<Record<PayloadName, Columns>>>
> = {
  logs: (texts, service, rows) => ({
    LOGS: {
      id: plain(u16(rows.keys())),
      resource: resourceOf(rows.length),
      time_unix_nano: timesOf(rows),
      body: structOf({ type: u8(rows.map(() => STR)), str: texts('body', namesOf(rows)) }),
    },
    LOG_ATTRS: { parent_id: plain(u16(rows.keys())), ...labelsOf(texts, rows) },
    RESOURCE_ATTRS: resourceAttributes(texts, service),
  }),
  traces: (texts, service, rows) => ({
    SPANS: {
      id: plain(u16(rows.keys())),
      resource: resourceOf(rows.length),
      start_time_unix_nano: timesOf(rows),
      name: texts('name', namesOf(rows)),
    },
    SPAN_ATTRS: { parent_id: plain(u16(rows.keys())), ...labelsOf(texts, rows) },
    RESOURCE_ATTRS: resourceAttributes(texts, service),
  }),
  metrics: (texts, service, rows) => ({
    UNIVARIATE_METRICS: {
      id: plain(u16(rows.keys())),
      resource: resourceOf(rows.length),
      metric_type: u8(rows.map(() => GAUGE)),
      name: texts('name', namesOf(rows)),
    },
    NUMBER_DATA_POINTS: {
      id: plain(u32(rows.keys())),
      parent_id: plain(u16(rows.keys())),
      time_unix_nano: timesOf(rows),
      double_value: makeData({ type: new Float64(), length: rows.length, data: new Float64Array(rows.length) }),
    },
    NUMBER_DP_ATTRS: { parent_id: plain(u32(rows.keys())), ...labelsOf(texts, rows) },
    RESOURCE_ATTRS: resourceAttributes(texts, service),
  }),
};

const STR = 1;
const GAUGE = 1;

/** A dictionary that gets one more chunk, and with it a delta, whenever there are new texts. */
class GrowingDictionary {
  readonly #type = new Dictionary(new Utf8(), new Uint16());
  readonly #places = new Map<string, number>();
  #values: Vector<Utf8> | null = null;

  column(texts: readonly string[]): Data {
    const fresh = [...new Set(texts)].filter((text) => !this.#places.has(text));
    for (const text of fresh) this.#places.set(text, this.#places.size);
    if (fresh.length > 0) {
      const chunk = vectorFromArray(fresh, new Utf8());
      this.#values = this.#values?.concat(chunk) ?? chunk;
    }
    const data = Uint16Array.from(texts, (text) => this.#places.get(text)!);
    return makeData({ type: this.#type, length: texts.length, nullCount: 0, data, dictionary: this.#values! });
  }
}

/** The IPC stream of one payload type, by what each batch adds to it. */
class PayloadWriter {
  readonly #writer = new RecordBatchStreamWriter();
  #written = 0;

  write(columns: Columns): Uint8Array {
    this.#writer.write(batchOfData(columns));
    const all = this.#writer.toUint8Array(true);
    const fresh = Uint8Array.from(all.subarray(this.#written));
    this.#written = all.length;
    return fresh;
  }
}

function plain(data: Data): ColumnWithMetadata {
  return { data, metadata: { encoding: 'plain' } };
}

function resourceOf(length: number): Data {
  return structOf({ id: makeData({ type: new Uint16(), length, nullCount: 0, data: new Uint16Array(length) }) });
}

function resourceAttributes(texts: Texts, service: string): Columns {
  return {
    parent_id: plain(u16([0])),
    key: texts('resource key', ['service.name']),
    type: u8([STR]),
    str: texts('resource value', [service]),
  };
}

function labelsOf(texts: Texts, rows: readonly GrowingRow[]): Columns {
  return {
    key: texts(
      'key',
      rows.map(() => 'label'),
    ),
    type: u8(rows.map(() => STR)),
    str: texts(
      'value',
      rows.map(({ label }) => label),
    ),
  };
}

function namesOf(rows: readonly GrowingRow[]): string[] {
  return rows.map(({ name }) => name);
}

function timesOf(rows: readonly GrowingRow[]): Data {
  const data = BigInt64Array.from(rows, ({ time }) => time);
  return makeData({ type: new TimestampNanosecond(), length: data.length, nullCount: 0, data });
}

function structOf(children: Readonly<Record<string, Data>>): Data {
  const fields = Object.entries(children).map(([name, { type }]) => new Field(name, type, true));
  const { length } = Object.values(children)[0]!;
  return makeData({ type: new Struct(fields), length, nullCount: 0, children: Object.values(children) });
}

function u8(values: Iterable<number>): Data {
  const data = Uint8Array.from(values);
  return makeData({ type: new Uint8(), length: data.length, nullCount: 0, data });
}

function u16(values: Iterable<number>): Data {
  const data = Uint16Array.from(values);
  return makeData({ type: new Uint16(), length: data.length, nullCount: 0, data });
}

function u32(values: Iterable<number>): Data {
  const data = Uint32Array.from(values);
  return makeData({ type: new Uint32(), length: data.length, nullCount: 0, data });
}
