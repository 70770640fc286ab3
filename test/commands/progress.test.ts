import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createProgress } from '../../src/commands/progress.ts';
import { bytesText, durationText } from '../../src/commands/quantity-text.ts';

function measured(isTerminal: boolean) {
  const texts: string[] = [];
  let nowMs = 0;
  const progress = createProgress({
    verb: 'Verified',
    amountText: bytesText,
    isTerminal,
    write: (text) => texts.push(text),
    nowMs: () => nowMs,
  });
  return { texts, progress, pass: (ms: number) => (nowMs += ms) };
}

test('progress writes lines at intervals with position, rate and estimated end', () => {
  const { texts, progress, pass } = measured(false);
  progress.at(0, 4096, 'offset 0');
  pass(1_000);
  progress.at(512, 4096, 'offset 1');
  assert.deepEqual(texts, []);
  pass(4_000);
  progress.at(1024, 4096, 'offset 2');
  assert.deepEqual(texts, ['Verified 1.0 KiB of 4.0 KiB (25 %), offset 2, 205 bytes/s, about 15 s left\n']);
  pass(1_000);
  progress.at(4096, 4096, 'offset 9');
  progress.end();
  progress.end();
  assert.deepEqual(texts.slice(1), ['Verified 4.0 KiB of 4.0 KiB (100 %), offset 9, 683 bytes/s\n']);
});

test('progress on a terminal is one line that changes', () => {
  const { texts, progress, pass } = measured(true);
  progress.at(0, 100, 'offset 0');
  pass(250);
  progress.at(50, 100, 'offset 5');
  progress.clear();
  progress.end();
  const clear = '\r\u{1b}[K';
  const line = `${clear}Verified 50 bytes of 100 bytes (50 %), offset 5, 200 bytes/s, about 0 s left`;
  assert.deepEqual(texts, [line, clear, `${line}\n`]);
});

test('progress of nothing is complete', () => {
  const { texts, progress } = measured(false);
  progress.at(0, 0, 'offset 0');
  progress.end();
  assert.deepEqual(texts, ['Verified 0 bytes of 0 bytes (100 %), offset 0, 0 bytes/s\n']);
});

test('durations are as short as they can be', () => {
  assert.deepEqual([59_400, 61_000, 3_600_000 * 25].map(durationText), ['59 s', '1 min 1 s', '25 h 0 min']);
});
