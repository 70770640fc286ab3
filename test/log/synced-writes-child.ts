/** Uses files as the log does and prints what became of each step as JSON. Run by synced-writes.test.ts with a folder and a flag. */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { createFile, realFileSystem } from '../../src/log/file-system.ts';

const directory = process.argv[2]!;
const syncFlag = Number(process.argv[3]);
const outcomes: Record<string, number | string> = {};

async function note(step: string, work: Promise<number | void>): Promise<void> {
  try {
    outcomes[step] = (await work) ?? 'done';
  } catch (error) {
    outcomes[step] = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

function pathOf(name: string): string {
  return join(directory, name);
}

const parts = [Buffer.from('head of 16 bytes'), Buffer.from('and a body')];

const unsynced = await createFile(pathOf('unsynced'), syncFlag);
await note('write before the sync that fails', unsynced.write(parts, 0));
await note('sync', unsynced.dataSync());
await note('write whose sync fails', unsynced.write(parts, 26));
await note('write behind it', unsynced.write(parts, 52));
await note('sync that has failed', unsynced.dataSync());
await unsynced.close();

const refused = await createFile(pathOf('refused'), syncFlag);
await note('write that fails', refused.write(parts, 0));
await note('short write', refused.write(parts, 0));
await note('cut', refused.truncate(0));
await note('write again', refused.write(parts, 0));
await note('sync again', refused.dataSync());
await refused.close();

const full = await createFile(pathOf('full'), syncFlag);
await note('write that finds too little room', full.write(parts, 0));
await note('sync of what found room', full.dataSync());
await full.close();

const partly = await createFile(pathOf('partly'), syncFlag);
await note('write of which the end is not synced', partly.write(parts, 0));
await note('sync of it', partly.dataSync());
await partly.close();

const many = await createFile(pathOf('many'), syncFlag);
await note('write in thousands of parts', many.write(Array(5_000).fill(parts[0]), 0));
await note('sync of them', many.dataSync());
await many.close();

const moved = await createFile(pathOf('moved'), syncFlag);
await realFileSystem.rename(pathOf('moved'), pathOf('elsewhere'));
await note('write to a file that was moved', moved.write(parts, 0));
await note('sync of a file that was moved', moved.dataSync());
await moved.close();

writeSync(1, JSON.stringify(outcomes));
