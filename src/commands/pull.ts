/** `treasury pull`: the log of a running server from any offset into files, or as a stream. */
import { TreasuryError } from '../base/index.ts';
import type { Config } from '../config.ts';
import { ask } from './client.ts';
import { pullFile, pullStdout } from './pull-bytes.ts';
import type { PullRequest } from './pull-stream.ts';
import { pullTables } from './pull-tables.ts';

/** Pulls until all is there, until `--limit`, or with `--follow` until a signal, after which what has come is put in order. */
export async function pull([path]: readonly string[], config: Config): Promise<number> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const { server, limit, signal, follow, to, memoryLimitMb, threads } = config;
  const request = { server, limit, signal, follow };
  const common = { stop: stopping.signal, tell };
  const from = await offsetOf(config);
  try {
    switch (to) {
      case 'parquet':
      case 'delta':
        await pullTables({ ...common, request, from, format: to, directory: path!, memoryLimitMb, threads });
        break;
      case 'arrow':
        await pullFile(path!, { ...common, request: { ...request, from: from ?? 'start' } });
        break;
      default:
        await pullStdout({ ...common, request: { ...request, from: from ?? 'start' } });
    }
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
  return 0;
}

/** A time is the first entry received then or later. */
async function offsetOf({ from, server }: Config): Promise<PullRequest['from'] | null> {
  if (from === null || typeof from !== 'object') return from;
  const answer = await ask(server, `/treasury/v1/log/offsets?received_at=${encodeURIComponent(from.time)}`);
  const { offset } = (await answer.json()) as { offset?: number };
  if (offset === undefined) throw new TreasuryError('TREASURY_CONFIG', `The server knows no offset of ${from.time}`);
  return BigInt(offset);
}

function tell(line: string): void {
  process.stderr.write(`treasury: ${line}\n`);
}
