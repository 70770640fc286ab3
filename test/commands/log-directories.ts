/** Logs on disk as a server leaves them, small enough to damage one thing at a time. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SIGNAL_CODES } from '../../src/base/index.ts';
import { type Log, type LogLimits, openLog } from '../../src/log/index.ts';

/** One entry a segment. */
export const ONE_ENTRY_A_SEGMENT: Partial<LogLimits> = { segmentBytesMax: 1, frameEntriesMax: 1, diskReserveBytes: 0 };

/** An OTLP request in JSON with one log record. */
export function logsRequest(body: string): Buffer {
  const record = {
    timeUnixNano: '1700000000123456789',
    severityNumber: 9,
    body: { stringValue: body },
    attributes: [{ key: 'n', value: { intValue: '9007199254740993' } }],
  };
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] };
  return Buffer.from(
    JSON.stringify({ resourceLogs: [{ resource, scopeLogs: [{ scope: { name: 's' }, logRecords: [record] }] }] }),
  );
}

/** Opens the log of a data directory. */
export async function openLogOf(data: string, limits: Partial<LogLimits> = {}): Promise<Log> {
  const directory = join(data, 'log');
  mkdirSync(directory, { recursive: true });
  return openLog({ directory, limits });
}

/** Appends a request as its receiver does. */
export async function appendJson(log: Log, record: Uint8Array): Promise<bigint> {
  const headers = new Map([['content-type', 'application/json']]);
  return (await log.appendOtlp(SIGNAL_CODES.logs, { batchId: 0n, record: [record], headers })).offset;
}

/** A closed log of `count` requests with bodies `body 0`, `body 1`, … */
export async function makeLog(data: string, count: number, limits: Partial<LogLimits> = {}): Promise<string> {
  const log = await openLogOf(data, limits);
  for (let i = 0; i < count; i++) await appendJson(log, logsRequest(`body ${i}`));
  await log.close();
  return join(data, 'log');
}

/** Path of the segment with a base offset. */
export function segmentOf(data: string, baseOffset: number): string {
  return join(data, 'log', `${String(baseOffset).padStart(20, '0')}.arrows`);
}
