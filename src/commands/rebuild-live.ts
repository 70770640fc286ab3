/**
 * `treasury rebuild --server`: has a running server build tables anew beside those that serve, and shows how far it is. A server that
 * is lost meanwhile goes on with its builds when it starts again, and so does this.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage, LIMITS, TreasuryError } from '../base/index.ts';
import { ask } from './client.ts';
import { createProgress, type Progress } from './progress.ts';
import { writeOut } from './write-out.ts';

interface Projection {
  readonly name: string;
  readonly kind: string;
  readonly version: number;
  readonly building: {
    readonly kind: 'new' | 'rebuild';
    readonly offset: number;
    readonly targetOffset: number;
    readonly stuck: string | null;
  } | null;
  readonly lastSwitch: {
    readonly at: string;
    readonly offset: number;
    readonly tables: Readonly<Record<string, { readonly result: string }>>;
  } | null;
}

const PATH = '/treasury/v1/projections';
const POLL_INTERVAL_MS = 500;
const RECONNECT_INTERVAL_MAX_MS = 5_000;

/**
 * Rebuilds one projection, or all that the product brings. Resolves when the new tables serve. Throws TreasuryError with what the server said,
 * that a build ended without a switch, or that the server has been lost for too long.
 */
export async function rebuildLive(server: string, name: string | null): Promise<number> {
  const before = await projectionsOf(server);
  const chosen = before.filter((one) => (name === null ? one.kind === 'built-in' : one.name === name));
  const names = name === null ? chosen.map((one) => one.name) : [name];
  const progress = createProgress({ verb: 'Rebuilt', amountText: (entries) => `${entries} entries` });
  let switched: readonly Projection[];
  try {
    for (const one of names) await order(server, one, chosen, progress);
    switched = await untilSwitched(server, names, progress);
  } finally {
    progress.end();
  }
  for (const one of switched) {
    if (isSwitched(one, chosen)) continue;
    throw new TreasuryError('TREASURY_STORE', `Cannot rebuild ${one.name}: the build ended without a switch`);
  }
  await writeOut(switched.map(summary).join(''));
  return 0;
}

async function projectionsOf(server: string): Promise<readonly Projection[]> {
  const response = await ask(server, PATH);
  return ((await response.json()) as { projections: Projection[] }).projections;
}

/** Null while the server does not say. */
async function oneOf(server: string, name: string): Promise<Projection | null> {
  return (await projectionsOf(server)).find((one) => one.name === name) ?? null;
}

/** Whether it was built since `before`. */
function isSwitched({ name, lastSwitch }: Projection, before: readonly Projection[]): boolean {
  return lastSwitch !== null && lastSwitch.at !== before.find((one) => one.name === name)?.lastSwitch?.at;
}

/** An order whose answer is lost may have been taken: it is not given twice. */
async function order(server: string, name: string, before: readonly Projection[], progress: Progress): Promise<void> {
  let isLost = false;
  await untilAnswered(progress, async () => {
    if (isLost) {
      const now = await oneOf(server, name);
      if (now === null) return null;
      if (now.building?.kind === 'rebuild' || isSwitched(now, before)) return now;
    }
    isLost = true;
    return ask(server, `${PATH}/${encodeURIComponent(name)}/rebuild`, { method: 'POST' });
  });
}

async function untilSwitched(
  server: string,
  names: readonly string[],
  progress: Progress,
): Promise<readonly Projection[]> {
  let told: string | null = null;
  for (;;) {
    const own = await untilAnswered(progress, async () => {
      const found = (await projectionsOf(server)).filter((one) => names.includes(one.name));
      return found.length < names.length ? null : found;
    });
    const builds = own.flatMap(({ building }) => (building?.kind === 'rebuild' ? [building] : []));
    // They are built together.
    const [first] = builds.toSorted((a, b) => a.offset - b.offset);
    if (first === undefined) return own;
    progress.at(first.offset, first.targetOffset, `offset ${first.offset}`);
    if (first.stuck !== null && first.stuck !== told) tell(progress, first.stuck);
    told = first.stuck;
    await sleep(POLL_INTERVAL_MS);
  }
}

/** The first answer that is not null. A server that is lost, or whose tables are being opened, is asked again for a while. */
async function untilAnswered<Answer>(progress: Progress, attempt: () => Promise<Answer | null>): Promise<Answer> {
  const beganMs = performance.now();
  let isTold = false;
  for (let waitMs = POLL_INTERVAL_MS; ; waitMs = Math.min(RECONNECT_INTERVAL_MAX_MS, 2 * waitMs)) {
    let reason = 'The server does not say how far its tables are';
    try {
      const answer = await attempt();
      if (answer !== null) return answer;
    } catch (error) {
      if (!(error instanceof TreasuryError && error.retryable) && !isCut(error)) throw error;
      reason = errorMessage(error);
    }
    if (performance.now() - beganMs > LIMITS.serverLostMaxMs) {
      const message = `Cannot tell how the rebuild ends, it goes on with the server: ${reason}`;
      throw new TreasuryError('TREASURY_CONFIG', message, { retryable: true });
    }
    if (!isTold) tell(progress, `${reason}. Asking again`);
    isTold = true;
    await sleep(waitMs);
  }
}

/** An answer that ended in the middle, as `fetch` tells it. */
function isCut(error: unknown): boolean {
  return error instanceof TypeError && error.cause !== undefined;
}

function tell(progress: Progress, message: string): void {
  progress.clear();
  process.stderr.write(`treasury: ${message}\n`);
}

function summary({ name, version, lastSwitch }: Projection): string {
  const tables = Object.entries(lastSwitch?.tables ?? {});
  const others = tables
    .filter(([, { result }]) => result !== 'equal')
    .map(([table, { result }]) => `${table}: ${result}`);
  const compared = others.length === 0 ? `${tables.length} tables compared, all equal` : others.join(', ');
  return `${name} v${version} is built anew up to offset ${lastSwitch?.offset}: ${compared}\n`;
}
