/** `treasury log ls`. */
import { signalOfCode } from '../base/index.ts';
import type { Config } from '../config.ts';
import { listSegments, type OffsetGap, readDeletions } from '../log/index.ts';
import { jsonLine } from './json-line.ts';
import { bytesText, timeText } from './quantity-text.ts';
import { tableText } from './table.ts';
import { writeOut } from './write-out.ts';

/** Writes the segments of a log directory with their gaps, and what retention has deleted. May be run beside a server. */
export async function logList(directory: string, { format }: Pick<Config, 'format'>): Promise<number> {
  const segments = listSegments(directory).map((segment) => ({
    ...segment,
    signals: segment.signals.map((code) => signalOfCode(code) ?? String(code)),
    receivedAtMin: timeText(segment.receivedAtMin),
    receivedAtMax: timeText(segment.receivedAtMax),
  }));
  if (format !== 'table') {
    await writeOut(segments.map(jsonLine).join(''));
    return 0;
  }
  const rows = segments.map((each) => [
    each.fileName,
    each.baseOffset === each.endOffset ? '-' : `${each.baseOffset}-${each.endOffset - 1n}`,
    each.entries,
    each.frames,
    each.fileBytes,
    each.sealed ? 'sealed' : 'active',
    each.signals.join(','),
    each.receivedAtMin ?? '',
    each.receivedAtMax ?? '',
  ]);
  const headings = ['segment', 'offsets', 'entries', 'frames', 'bytes', 'state', 'signals', 'received from', 'to'];
  const notes = [
    ...deletionLines(directory),
    ...segments.flatMap(({ gaps }) => gaps.filter(({ why }) => why !== 'deleted').map(gapLine)),
  ];
  const table = tableText(
    headings,
    rows.map((row) => row.map(String)),
  );
  await writeOut(notes.length === 0 ? table : `${table}\n${notes.join('')}`);
  return 0;
}

function deletionLines(directory: string): string[] {
  return readDeletions(directory).map(({ from, to, at, reason, segments, bytes }) => {
    const size = segments === null || bytes === null ? '' : `, ${segments} segments of ${bytesText(bytes)}`;
    return `Entries ${from} to ${to} (exclusive) were deleted at ${at} (${reason}${size})\n`;
  });
}

const GAP_TEXTS = { deleted: 'were deleted', lost: 'are missing', unused: 'hold nothing' } as const;

function gapLine({ from, to, why }: OffsetGap): string {
  return `Offsets ${from} to ${to} (exclusive) ${GAP_TEXTS[why]}\n`;
}
