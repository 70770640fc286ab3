/** A process to be killed: an engine on the log of a directory, which prints its commits. */
import type { LogStatus } from '../../src/log/index.ts';
import { startTestEngine } from './engine-log.ts';

const facts = JSON.parse(process.argv[2]!, (_key, value: unknown) =>
  typeof value === 'string' && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
) as LogStatus & { directory: string };
const engine = await startTestEngine(facts.directory, facts);
for (;;) {
  const { commits, materializedOffset } = await engine.status();
  process.stdout.write(`${JSON.stringify({ commits, done: materializedOffset >= facts.durableOffset })}\n`);
  await new Promise((resolve) => setTimeout(resolve, 5));
}
