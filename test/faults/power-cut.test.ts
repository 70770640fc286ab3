/**
 * Goal: what was acknowledged is there after a loss of power, and the log opens by itself (row 2 of the fault tests).
 * Method: a process appends OTAP-like streams and OTLP entries to a log on a loop-mounted disk (ext4, ext4 with data=writeback, XFS),
 * while segments begin, are sealed and deleted all the time. The image of the disk is copied as it is at one moment, without what the
 * file system has not written out; the copy is mounted, which replays its journal, and the log is opened there. Cuts come before every
 * kind of change that the log makes to the disk, from the first folder on, and at seeded moments under load. The control does the same
 * with syncs left out.
 * The whole server, its index and its tables are cut in power-cut-server.test.ts. More cuts: TREASURY_TEST_POWER_CUTS, TREASURY_TEST_SEED.
 * Invariant: no acknowledged entry is lost, all that is there was sent, in order and byte for byte, I1 to I7 hold, a torn end is all that
 * recovery ever finds, `log verify` finds nothing afterwards. The control loses acknowledged entries.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CUT_FILE_SYSTEMS, type CutDisk, openCutDisk } from '../helpers/cut-disk.ts';
import { copyTold, type CutWriter, lostUnsynced, startCutWriter, survive, type Told } from '../helpers/cut-log.ts';
import { seededRandom } from '../helpers/random.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
/** Cuts at seeded moments, each file system. */
const CUTS = Number(process.env['TREASURY_TEST_POWER_CUTS'] ?? 8);
const CONTROL_CUTS = 2;
const DELAY_MAX_MS = 120;
/** Folders that are missing: the first moments of a data directory are among those cut. */
const DATA = 'missing/data';

const STEPPED = { segmentBytesMax: 12_000, keptBytesMax: 120_000 };
const LOADED = { segmentBytesMax: 150_000, keptBytesMax: 1_000_000 };
/** A deletion takes one segment: what fills it, a large entry behind, and the state of the streams. */
const keptBytesMin = ({ segmentBytesMax, keptBytesMax }: typeof LOADED): number =>
  keptBytesMax - segmentBytesMax - 80_000;
/** Steps after which every kind of change has been seen several times. */
const STEPS = 400;

/** Changes before which a cut has to be seen, and what was done right before. */
const EXPECTED_CUTS = [
  'making of the data directory after the start',
  'creation of a segment after ',
  'sync of the folder log after creation of a segment',
  'write of a header after sync of the folder log',
  'sync of a header after write of a header',
  'write of a frame after sync of a header',
  'sync of a frame after write of a frame',
  // Frames go into the next segment meanwhile.
  'write of a seal after ',
  'sync of a seal after ',
  'removal of a segment after ',
  'sync of the folder log after removal of a segment',
];

for (const fileSystem of CUT_FILE_SYSTEMS) {
  test(`power cut before each kind of change that the log makes to ${fileSystem} loses nothing`, async (t) => {
    const disk = openCutDisk(t, fileSystem);
    if (disk === null) return;
    const writer = startCutWriter({
      data: join(disk.path, DATA),
      isStepped: true,
      isSynced: true,
      ...STEPPED,
    });
    const cuts = new Set<string>();
    try {
      let before = 'the start';
      for (let step = 0; step < STEPS; step++) {
        const change = await writer.nextStep();
        // On one file system a change is cut after each other one, on the rest once: they are there for what they make of it.
        const cut = fileSystem === 'ext4' ? `${change} after ${before}` : change;
        if (!cuts.has(cut)) {
          cuts.add(cut);
          const check: Check = async (data, told) => {
            const { lost } = await survive(data, told, keptBytesMin(STEPPED));
            assert.deepEqual(lost, [], 'acknowledged entries that are lost');
          };
          await cutAndCheck(disk, writer, { name: `cut before ${cut}`, check });
        }
        before = change;
        writer.goOn();
      }
    } finally {
      await writer.end();
    }
    t.diagnostic(`${cuts.size} cuts, ${writer.told.acked.size} entries acknowledged`);
    const expected = fileSystem === 'ext4' ? EXPECTED_CUTS : EXPECTED_CUTS.map((cut) => cut.replace(/ after .*/, ''));
    const unseen = expected.filter((wanted) => ![...cuts].some((cut) => cut.startsWith(wanted)));
    assert.deepEqual(unseen, [], `changes that were not cut; seen: ${[...cuts].join('; ')}`);
  });

  test(`${CUTS} power cuts of ${fileSystem} under load lose nothing (seed ${SEED})`, async (t) => {
    const disk = openCutDisk(t, fileSystem);
    if (disk === null) return;
    const lost: bigint[] = [];
    let torn = 0;
    const { keptBytesMax } = LOADED;
    const acked = await cutUnderLoad(disk, { isSynced: true, cuts: CUTS, keptBytesMax }, async (data, told) => {
      const survived = await survive(data, told, keptBytesMin(LOADED));
      lost.push(...survived.lost);
      if (survived.isTorn) torn++;
    });
    t.diagnostic(`${acked} entries acknowledged, ${lost.length} lost, ${torn} torn ends`);
    assert.deepEqual(lost, [], `acknowledged entries that are lost (seed ${SEED})`);
    assert.ok(acked > CUTS * 10, `${acked} entries were acknowledged: too few to mean something`);
  });

  test(`power cuts of ${fileSystem} lose acknowledged entries when nothing is synced (seed ${SEED})`, async (t) => {
    const disk = openCutDisk(t, fileSystem);
    if (disk === null) return;
    const lost: number[] = [];
    const acked = await cutUnderLoad(
      disk,
      { isSynced: false, cuts: CONTROL_CUTS, keptBytesMax: null },
      async (data, told) => {
        lost.push((await lostUnsynced(data, told)).length);
      },
    );
    t.diagnostic(`${acked} entries acknowledged, ${lost.join(', ')} lost`);
    assert.ok(
      lost.every((count) => count > 0),
      `the cuts cut nothing: ${lost.join(', ')} entries lost (seed ${SEED})`,
    );
  });
}

interface Load {
  readonly isSynced: boolean;
  readonly cuts: number;
  readonly keptBytesMax: number | null;
}

type Check = (data: string, told: Told) => Promise<void>;

/** Cuts at seeded moments; returns how many entries were acknowledged in all. */
async function cutUnderLoad(disk: CutDisk, { isSynced, cuts, keptBytesMax }: Load, check: Check): Promise<number> {
  const random = seededRandom(SEED);
  const { segmentBytesMax } = LOADED;
  const data = join(disk.path, DATA);
  const writer = startCutWriter({ data, isStepped: false, isSynced, segmentBytesMax, keptBytesMax });
  try {
    await writer.reach(1);
    for (let cut = 0; cut < cuts; cut++) {
      await sleep(random.below(DELAY_MAX_MS));
      await cutAndCheck(disk, writer, { name: `cut ${cut} of seed ${SEED}`, check });
    }
  } finally {
    await writer.end();
  }
  return writer.told.acked.size;
}

/** The writer waits only while the copy is looked at: at the cut it is in the midst of its work. */
async function cutAndCheck(
  disk: CutDisk,
  writer: CutWriter,
  { name, check }: { readonly name: string; readonly check: Check },
): Promise<void> {
  let told = writer.told;
  const copy = await disk.cut(() => {
    told = copyTold(writer.told);
    writer.signal('SIGSTOP');
  });
  try {
    await check(join(copy.path, DATA), told);
  } catch (error) {
    throw new Error(`After the ${name}: ${(error as Error).message}`, { cause: error });
  } finally {
    copy.discard();
    writer.signal('SIGCONT');
  }
}
