/** Arrow IPC streams that apache-arrow writes, cut as exporters cut them: one record batch a payload. */
import {
  type CompressionType,
  type Data,
  Field,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
} from 'apache-arrow';
import { walkIpcMessages } from '../../src/otap/ipc-messages.ts';

/** A column with field metadata. */
export interface ColumnWithMetadata {
  readonly data: Data;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A record batch of one chunk a column. */
export function batchOfData(columns: Readonly<Record<string, Data | ColumnWithMetadata>>): RecordBatch {
  const fields: Field[] = [];
  const children: Data[] = [];
  for (const [name, column] of Object.entries(columns)) {
    const data = 'metadata' in column ? column.data : column;
    const metadata = 'metadata' in column ? new Map(Object.entries(column.metadata)) : null;
    fields.push(new Field(name, data.type, true, metadata));
    children.push(data);
  }
  const length = children[0]?.length ?? 0;
  return new RecordBatch(new Schema(fields), makeData({ type: new Struct(fields), length, nullCount: 0, children }));
}

/** The stream of these record batches, end-of-stream marker included. */
export function streamOf(batches: readonly RecordBatch[], codec: CompressionType | null = null): Uint8Array {
  const writer = new RecordBatchStreamWriter({ compressionType: codec });
  for (const batch of batches) writer.write(batch);
  return Uint8Array.from(writer.finish().toUint8Array(true));
}

/** Cuts a stream behind every record batch and drops the end-of-stream marker. */
export function splitAtBatches(stream: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let start = 0;
  for (const message of walkIpcMessages(stream, 0, stream.length)) {
    if (message.kind !== 'recordBatch') continue;
    parts.push(stream.subarray(start, message.end));
    start = message.end;
  }
  return parts;
}
