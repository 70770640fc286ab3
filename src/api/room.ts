/** Waiting for room in the bytes in flight. */
import type { Admission } from './admission.ts';

/** Settles when there is room for bytes in flight, or at `endMs` (of `performance.now()`). */
export function roomUntil(admission: Admission, endMs: number): Promise<void> {
  if (!admission.isFull) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = (): void => {
      clearTimeout(timer);
      unwait();
      resolve();
    };
    const unwait = admission.wait(settle);
    const timer = setTimeout(settle, Math.max(0, endMs - performance.now()));
  });
}
