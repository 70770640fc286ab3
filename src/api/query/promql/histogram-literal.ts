import type { CounterResetHint, FloatHistogram, SparseBuckets } from './histogram.ts';
import type { SeriesReader } from './series-reader.ts';

/**
 * A histogram as series descriptions write it, `{{schema:1 sum:3 count:4 offset:-1 buckets:[2 0 2] counter_reset_hint:gauge}}`, its `{{` taken
 * already. Buckets stand side by side from `offset` on; what is not named is 0 or empty.
 */
export function readHistogramLiteral(reader: SeriesReader): { histogram: FloatHistogram; hasHint: boolean } {
  const fields = readFields(reader);
  const number = (key: string): number => (fields.get(key) as number | undefined) ?? 0;
  const list = (key: string): readonly number[] => (fields.get(key) as readonly number[] | undefined) ?? [];
  const hint = fields.get('counter_reset_hint') as CounterResetHint | undefined;
  return {
    histogram: {
      schema: number('schema'),
      counterReset: hint ?? 'unknown',
      zeroThreshold: number('z_bucket_w'),
      zeroCount: number('z_bucket'),
      count: number('count'),
      sum: number('sum'),
      positive: bucketsFrom(number('offset'), list('buckets')),
      negative: bucketsFrom(number('n_offset'), list('n_buckets')),
      customValues: Float64Array.from(list('custom_values')),
    },
    hasHint: hint !== undefined,
  };
}

type Field = number | readonly number[] | CounterResetHint;

const READERS: Readonly<Record<string, (reader: SeriesReader) => Field>> = {
  schema: readInteger,
  sum: readSigned,
  count: readSigned,
  z_bucket: readSigned,
  z_bucket_w: readUnsigned,
  custom_values: readList,
  buckets: readList,
  offset: readInteger,
  n_buckets: readList,
  n_offset: readInteger,
  counter_reset_hint: readHint,
};

/** No space may stand behind `{{`, unless nothing else does. */
function readFields(reader: SeriesReader): Map<string, Field> {
  const fields = new Map<string, Field>();
  if (reader.takeMatch(/[ \t\r\n]*\}\}/y) !== undefined) return fields;
  for (;;) {
    const key = reader.takeMatch(/[A-Za-z_]+/y)?.toLowerCase() ?? unexpectedField(reader);
    const read = Object.hasOwn(READERS, key) ? READERS[key] : undefined;
    if (read === undefined) reader.fail(`bad histogram descriptor found: ${JSON.stringify(key)}`);
    if (!reader.takeText(':')) reader.fail('missing `:` for histogram descriptor');
    if (fields.has(key)) reader.fail(`duplicate key ${JSON.stringify(key)} in histogram`);
    fields.set(key, read(reader));
    const hasSpace = reader.takeSpace();
    if (reader.takeText('}}')) return fields;
    if (!hasSpace) unexpectedField(reader);
  }
}

function unexpectedField(reader: SeriesReader): never {
  reader.unexpected('histogram description key, e.g. buckets:[5 10 7]');
}

function readInteger(reader: SeriesReader): number {
  return Number(reader.takeMatch(/-?\d+(?![\w.])/y) ?? reader.unexpected('whole number'));
}

function readSigned(reader: SeriesReader): number {
  return reader.takeText('-') ? -reader.readNumber() : readUnsigned(reader);
}

/** Here, unlike elsewhere, no number begins with a point. */
function readUnsigned(reader: SeriesReader): number {
  return reader.isAt('.') ? reader.unexpected('number') : reader.readNumber();
}

function readList(reader: SeriesReader): number[] {
  if (!reader.takeText('[')) reader.unexpected('"["');
  const numbers = [readSigned(reader)];
  while (!reader.takeText(']')) {
    reader.expectSpace();
    if (reader.takeText(']')) break;
    numbers.push(readSigned(reader));
  }
  return numbers;
}

function readHint(reader: SeriesReader): CounterResetHint {
  const word = reader.takeMatch(/[A-Za-z_]+/y) ?? reader.unexpected('hint');
  const hint = word.toLowerCase();
  if (hint === 'unknown' || hint === 'reset' || hint === 'not_reset' || hint === 'gauge') return hint;
  return reader.fail(`bad histogram descriptor found: ${JSON.stringify(word)}`);
}

function bucketsFrom(offset: number, counts: readonly number[]): SparseBuckets {
  return { indexes: Int32Array.from(counts, (_, at) => offset + at), counts: Float64Array.from(counts) };
}
