/** Frees a thread from JavaScript that does not end. */
import type { Worker } from 'node:worker_threads';

/**
 * Ends what JavaScript a thread runs now, with everything that was to come after it, and leaves the thread alive: it takes messages again.
 * By V8's inspector, the only thing that reaches into a thread without ending it. Returns what leaves the thread alone again; where Node
 * was built without the inspector nothing happens.
 */
export async function breakLoop({ threadId }: Worker): Promise<() => void> {
  const inspector = await import('node:inspector').catch(() => null);
  if (inspector === null) return () => {};
  const session = new inspector.Session();
  session.connect();
  session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
    if (!workerInfo.title.startsWith(`[worker ${threadId}]`)) return;
    const message = JSON.stringify({ id: 1, method: 'Runtime.terminateExecution' });
    session.post('NodeWorker.sendMessageToWorker', { sessionId, message });
  });
  session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  return () => {
    session.post('NodeWorker.disable');
    session.disconnect();
  };
}
