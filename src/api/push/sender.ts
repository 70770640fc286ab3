/** What sends batches to a target, whatever the protocol, and what may come of it. */
import type { Signal } from '../../base/index.ts';
import type { CanonicalBatch } from '../../otap/index.ts';

/** What is known of a batch besides its rows. */
export interface SendFacts {
  readonly signal: Signal;
  /** Offset of its entry. */
  readonly offset: bigint;
  readonly receivedAtUnixNano: bigint;
  /** Records, spans or data points. */
  readonly items: number;
}

export type SendResult =
  /** The target has it. `rejectedItems` were left out by the target, which says why. */
  | {
      readonly outcome: 'ok';
      readonly bytes: number;
      readonly rejectedItems: number;
      readonly rejection: string;
      /** Rows that the protocol cannot say, since the row that they belong to is missing. Default 0. */
      readonly orphanRows?: number;
      /** What is sent to this target no more, since it refuses all that has it. Told once. */
      readonly leftOut?: string;
    }
  /** Later it may go: after `afterMs` when the target says so, or by our own pace. */
  | {
      readonly outcome: 'retry';
      readonly reason: string;
      readonly afterMs?: number;
      /** Whether the target may have it all the same. */
      readonly mayHaveArrived: boolean;
    }
  /**
   * `batch`: another one may go; after `exportTriesMax` of it the batch is given up, at once when it `isFinal`. `target`: nothing will go
   * until somebody changes something (credentials, address).
   */
  | {
      readonly outcome: 'refused';
      readonly reason: string;
      readonly fault: 'batch' | 'target';
      readonly isFinal?: boolean;
    }
  /** In smaller pieces it may go. */
  | { readonly outcome: 'too-large'; readonly reason: string }
  /** The target does not speak this protocol. */
  | { readonly outcome: 'unimplemented'; readonly reason: string };

export interface Sender {
  /** Batches of one signal go out in the order of the calls, and several may be under way. Never rejects. */
  send(batch: CanonicalBatch, facts: SendFacts): Promise<SendResult>;
  /** Ends connections; what is under way settles as `retry`. */
  close(): Promise<void>;
}
