/**
 * A process to be killed at a call on the tables' files: it makes the tables of a log that is there, lets retention run when it has an
 * age, and closes them.
 */
import { silentLogger } from '../../src/base/index.ts';
import type { LogStatus } from '../../src/log/index.ts';
import { startEngine } from '../../src/materialize/engine.ts';
import { engineOptions, engineUntil } from './engine-log.ts';

/** How a victim is told its facts: JSON with bigints as text. */
export interface VictimFacts extends Pick<LogStatus, 'uuid' | 'durableOffset' | 'segment' | 'segmentBytes'> {
  readonly directory: string;
  readonly retentionAgeMs: number | null;
}

const facts = JSON.parse(process.argv[2]!, (_key, value: unknown) =>
  typeof value === 'string' && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
) as LogStatus & VictimFacts;
const { directory, durableOffset, retentionAgeMs } = facts;
const engine = await startEngine({ ...engineOptions(directory, facts), retentionAgeMs }, silentLogger);
await engineUntil(
  engine,
  ({ materializedOffset, retention }) =>
    materializedOffset >= durableOffset && (retentionAgeMs === null || retention.runs > 0),
);
await engine.stop();
