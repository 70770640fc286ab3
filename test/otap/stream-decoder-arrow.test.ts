/** The fragment decoder against apache-arrow: every cell that a Collector sent, in every column, as both read it. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { CompressionType, compressionRegistry, RecordBatchReader } from 'apache-arrow';
import { LIMITS } from '../../src/base/index.ts';
import type { ArrowColumn } from '../../src/otap/arrow-columns.ts';
import { decodeRecordBatch } from '../../src/otap/arrow-fragment-decoder.ts';
import type { ArrowField } from '../../src/otap/arrow-schema.ts';
import { scanBatchEnvelope } from '../../src/otap/batch-envelope.ts';
import { createDecodeBudget } from '../../src/otap/decode-budget.ts';
import { StreamState } from '../../src/otap/stream-state.ts';
import { decompressZstd, initZstd } from '../../src/otap/zstd.ts';
import { cellsEqual, ourCell, theirCell } from '../helpers/arrow-cells.ts';
import { captureNames, readArrowStreams, sharedCapturesMissing } from '../helpers/captures.ts';

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
/** Of the captures with tens of thousands of rows every eighth batch is compared; both decoders read all of them. */
const LARGE = /^(bench|dict)-/;
const LARGE_STEP = 8;

before(async () => {
  await initZstd();
  compressionRegistry.set(CompressionType.ZSTD, { decode: (bytes) => decompressZstd(bytes, MESSAGE_BYTES_MAX) });
});

for (const name of captureNames({ shared: false })) {
  test(`cells of capture ${name} equal apache-arrow's`, () => checkCapture(name));
}

test('cells of the shared captures equal those of apache-arrow', { skip: sharedCapturesMissing() }, async (t) => {
  const own = new Set(captureNames({ shared: false }));
  for (const name of captureNames({ shared: true })) {
    if (!own.has(name)) await t.test(`cells of capture ${name} equal apache-arrow's`, () => checkCapture(name));
  }
});

/** All that a stream sent for one (payload type, schema id). */
interface Fragments {
  readonly records: Uint8Array[];
  readonly batches: { readonly fields: readonly ArrowField[]; readonly columns: readonly ArrowColumn[] }[];
}

function checkCapture(name: string): void {
  for (const stream of readArrowStreams(name)) {
    const step = LARGE.test(name) ? LARGE_STEP : 1;
    for (const [key, fragments] of decodeStream(stream.messages, name === 'wire-1')) {
      compareFragments(`${name} ${stream.arrowSignal} ${key}`, fragments, step);
    }
  }
}

/** Decodes all batches before any is compared: they must keep their values while dictionaries change. */
function decodeStream(messages: readonly Buffer[], isCompressed: boolean): Map<string, Fragments> {
  const state = new StreamState();
  const found = new Map<string, Fragments>();
  for (const message of messages) {
    const record = new Uint8Array(isCompressed ? decompressZstd(message, MESSAGE_BYTES_MAX) : message);
    const work = { budget: createDecodeBudget(LIMITS.batchDecodedBytesMax), repairs: { repairedStrings: 0 } };
    for (const payload of scanBatchEnvelope(record).payloads) {
      const key = `${payload.type}/${payload.schemaId}`;
      const fragments = found.get(key) ?? { records: [], batches: [] };
      found.set(key, fragments);
      fragments.records.push(record.subarray(payload.start, payload.end));
      const { state: schema, rows } = state.take(record, payload, key, work);
      const context = { payload: key, dictionaries: schema.dictionaries, ...work };
      fragments.batches.push({ fields: schema.fields, columns: decodeRecordBatch(schema.fields, rows!, context) });
    }
  }
  return found;
}

function compareFragments(where: string, fragments: Fragments, step: number): void {
  let index = 0;
  for (const theirs of RecordBatchReader.from(Buffer.concat(fragments.records))) {
    const ours = fragments.batches[index]!;
    if (index % step === 0) {
      for (const [i, data] of theirs.data.children.entries()) {
        const field = ours.fields[i]!;
        assert.equal(field.name, theirs.schema.fields[i]!.name);
        assert.equal(ours.columns[i]!.length, theirs.numRows);
        for (let row = 0; row < theirs.numRows; row++) {
          const [left, right] = [ourCell(ours.columns[i]!, field, row), theirCell(data, row)];
          if (!cellsEqual(left, right))
            assert.deepEqual(left, right, `${where} batch ${index} ${field.path} row ${row}`);
        }
      }
    }
    index++;
  }
  assert.equal(index, fragments.batches.length, where);
}
