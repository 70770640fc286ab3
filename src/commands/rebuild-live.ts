/** `treasury rebuild --server`: has a running server build tables anew beside those that serve, and shows how far it is. */
import { setTimeout as sleep } from 'node:timers/promises';
import { TreasuryError } from '../base/index.ts';
import { ask } from './client.ts';
import { createProgress } from './progress.ts';
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

/**
 * Rebuilds one projection, or all that the product brings. Resolves when the new tables serve. Throws TreasuryError with what the server said,
 * or that a build ended without a switch.
 */
export async function rebuildLive(server: string, name: string | null): Promise<number> {
  const before = await projectionsOf(server);
  const chosen = before.filter((one) => (name === null ? one.kind === 'built-in' : one.name === name));
  const names = name === null ? chosen.map((one) => one.name) : [name];
  for (const one of names) await ask(server, `${PATH}/${encodeURIComponent(one)}/rebuild`, { method: 'POST' });
  const switched = await untilSwitched(server, names);
  for (const one of switched) {
    const old = chosen.find((each) => each.name === one.name)?.lastSwitch;
    if (one.lastSwitch === null || one.lastSwitch.at === old?.at) {
      throw new TreasuryError('TREASURY_STORE', `Cannot rebuild ${one.name}: the build ended without a switch`);
    }
  }
  await writeOut(switched.map(summary).join(''));
  return 0;
}

async function projectionsOf(server: string): Promise<readonly Projection[]> {
  const response = await ask(server, PATH);
  return ((await response.json()) as { projections: Projection[] }).projections;
}

async function untilSwitched(server: string, names: readonly string[]): Promise<readonly Projection[]> {
  const progress = createProgress({ verb: 'Rebuilt', amountText: (entries) => `${entries} entries` });
  let told: string | null = null;
  try {
    for (;;) {
      const all = await projectionsOf(server);
      const own = all.filter((one) => names.includes(one.name));
      const builds = own.flatMap(({ building }) => (building?.kind === 'rebuild' ? [building] : []));
      // They are built together.
      const [first] = builds.toSorted((a, b) => a.offset - b.offset);
      if (first === undefined) return own;
      progress.at(first.offset, first.targetOffset, `offset ${first.offset}`);
      if (first.stuck !== null && first.stuck !== told) {
        progress.clear();
        process.stderr.write(`treasury: ${first.stuck}\n`);
      }
      told = first.stuck;
      await sleep(POLL_INTERVAL_MS);
    }
  } finally {
    progress.end();
  }
}

function summary({ name, version, lastSwitch }: Projection): string {
  const tables = Object.entries(lastSwitch?.tables ?? {});
  const others = tables
    .filter(([, { result }]) => result !== 'equal')
    .map(([table, { result }]) => `${table}: ${result}`);
  const compared = others.length === 0 ? `${tables.length} tables compared, all equal` : others.join(', ');
  return `${name} v${version} is built anew up to offset ${lastSwitch?.offset}: ${compared}\n`;
}
