/** A process to be killed: an engine on the log of a directory, which prints its commits. `worker` names another thread's module. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '../../src/base/index.ts';
import type { LogStatus } from '../../src/log/index.ts';
import { startEngineWorker } from '../../src/materialize/engine.ts';
import { engineOptions, startTestEngine } from './engine-log.ts';

const facts = JSON.parse(process.argv[2]!, (_key, value: unknown) =>
  typeof value === 'string' && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
) as LogStatus & { directory: string; worker?: string };
const { directory, worker } = facts;
mkdirSync(join(directory, 'tables'), { recursive: true });
const engine =
  worker === undefined
    ? await startTestEngine(directory, facts)
    : await startEngineWorker(new URL(worker), engineOptions(directory, facts), silentLogger);
for (;;) {
  const { commits, materializedOffset } = await engine.status();
  process.stdout.write(`${JSON.stringify({ commits, done: materializedOffset >= facts.durableOffset })}\n`);
  await new Promise((resolve) => setTimeout(resolve, 5));
}
