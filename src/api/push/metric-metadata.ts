/**
 * Metadata of metrics over OTAP: upstream's Go receivers refuse a whole batch for it, others and ours take it, and none says so before.
 * So it is sent until a batch is refused with it and taken without it.
 */
import type { CanonicalBatch } from '../../otap/index.ts';
import type { SendResult } from './sender.ts';

/** Sends a batch by `sendOnce`, without metadata of metrics to a target that does not take it. What was left out is told once. */
export function createMetadataSender<Facts>(
  sendOnce: (batch: CanonicalBatch, facts: Facts) => Promise<SendResult>,
): (batch: CanonicalBatch, facts: Facts) => Promise<SendResult> {
  let isTaken: boolean | null = null;
  return async (batch, facts) => {
    if (batch.signal !== 'metrics' || batch.metricAttrs === null) return sendOnce(batch, facts);
    const bare: CanonicalBatch = { ...batch, metricAttrs: null };
    if (isTaken === false) return sendOnce(bare, facts);
    const result = await sendOnce(batch, facts);
    if (result.outcome === 'ok') isTaken = true;
    if (isTaken === true || !isOfBatch(result)) return result;
    const without = await sendOnce(bare, facts);
    if (without.outcome !== 'ok') return without;
    // Another batch may have shown it meanwhile; then it was told.
    const wasTold = isTaken === false;
    isTaken = false;
    return wasTold ? without : { ...without, leftOut: `metadata of metrics (${reasonOf(result)})` };
  };
}

/** Whether another batch may fare better. */
function isOfBatch(result: SendResult): boolean {
  return result.outcome === 'refused' && result.fault === 'batch' && result.isFinal !== true;
}

function reasonOf(result: SendResult): string {
  return result.outcome === 'ok' ? '' : result.reason;
}
