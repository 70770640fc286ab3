/** Bytes of answers on their way to clients: how far the thread may write ahead of what they read. */
import { createWake, type Wake } from '../../base/index.ts';

export interface Outflow {
  /** Bytes of an answer were sent. Settles when more may be; at once when `signal` is aborted. */
  sent(id: number, bytes: number, signal: AbortSignal): Promise<void>;
  /** A client took them, or left without them. */
  taken(id: number, bytes: number): void;
}

export interface OutflowOptions {
  /** Of one answer. */
  readonly bufferedBytesMax: number;
  /** Of all. Past it each answer may have one chunk on its way: what others do not read holds up nobody. */
  readonly bufferedTotalBytesMax: number;
}

export function createOutflow({ bufferedBytesMax, bufferedTotalBytesMax }: OutflowOptions): Outflow {
  const bufferedBytes = new Map<number, number>();
  const waiting = new Map<number, Wake>();
  let totalBytes = 0;

  const mayGoOn = (id: number): boolean => {
    const bytes = bufferedBytes.get(id) ?? 0;
    return bytes === 0 || (bytes < bufferedBytesMax && totalBytes < bufferedTotalBytesMax);
  };

  return {
    async sent(id, bytes, signal) {
      totalBytes += bytes;
      bufferedBytes.set(id, (bufferedBytes.get(id) ?? 0) + bytes);
      if (mayGoOn(id) || signal.aborted) return;
      const wake = createWake();
      waiting.set(id, wake);
      const stop = () => wake.wake();
      signal.addEventListener('abort', stop, { once: true });
      while (!mayGoOn(id) && !signal.aborted) await wake.wait();
      signal.removeEventListener('abort', stop);
      waiting.delete(id);
    },
    taken(id, bytes) {
      const wasFull = totalBytes >= bufferedTotalBytesMax;
      totalBytes -= bytes;
      const left = (bufferedBytes.get(id) ?? 0) - bytes;
      if (left > 0) bufferedBytes.set(id, left);
      else bufferedBytes.delete(id);
      waiting.get(id)?.wake();
      if (wasFull && totalBytes < bufferedTotalBytesMax) for (const wake of waiting.values()) wake.wake();
    },
  };
}
