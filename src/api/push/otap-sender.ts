/** Sends batches over OTAP: one stream a signal, one connection for all. */
import { LIMITS, type Signal } from '../../base/index.ts';
import type { CanonicalBatch } from '../../otap/index.ts';
import { DEFAULT_COMPRESSION } from './compression.ts';
import { createGrpcClient } from './grpc-client.ts';
import { createMetadataSender } from './metric-metadata.ts';
import { openOtapStream, type OtapStream, type OtapStreamEnd, type OtapStreamOptions } from './otap-stream.ts';
import { otherCompression } from './other-compression.ts';
import type { SendFacts, Sender, SendResult } from './sender.ts';
import type { ExporterConfig } from './types.ts';
import { createWindow, type Window } from './window.ts';

/** Replace single ones of `LIMITS`. */
export type OtapSenderLimits = Pick<OtapStreamOptions, 'ageMaxMs' | 'stateBytesMax' | 'answerMaxMs'> & {
  readonly windowBatches?: number;
};

interface Channel {
  stream: OtapStream | null;
  readonly window: Window;
}

export function createOtapSender(config: ExporterConfig, limits: OtapSenderLimits = {}): Sender {
  const client = createGrpcClient(config);
  const channels = new Map<Signal, Channel>();
  let compression = config.compression ?? DEFAULT_COMPRESSION;

  function channelOf(signal: Signal): Channel {
    let channel = channels.get(signal);
    if (channel === undefined) {
      channel = { stream: null, window: createWindow(limits.windowBatches ?? LIMITS.pushWindowBatches) };
      channels.set(signal, channel);
    }
    return channel;
  }

  function openedStream(channel: Channel, signal: Signal): OtapStream {
    if (channel.stream?.isOpen === true) return channel.stream;
    const used = compression;
    const stream = openOtapStream({ ...limits, client, signal, compression: used });
    channel.stream = stream;
    void stream.ended.then((end) => {
      if (channel.stream === stream) channel.stream = null;
      compression = otherCompression(used, end) ?? compression;
      if (isSuspicious(end)) channel.window.narrow(end.unanswered);
    });
    return stream;
  }

  async function sendOnce(batch: CanonicalBatch, facts: SendFacts): Promise<SendResult> {
    const channel = channelOf(facts.signal);
    const leave = await channel.window.enter();
    const used = compression;
    const result = await openedStream(channel, facts.signal).send(batch, facts);
    leave(result.outcome === 'ok');
    if (result.outcome !== 'unimplemented' || used === compression) return result;
    return { outcome: 'retry', reason: result.reason, afterMs: 0, mayHaveArrived: false };
  }

  return {
    send: createMetadataSender(sendOnce),
    async close() {
      const streams = [...channels.values()].flatMap(({ stream }) => stream ?? []);
      client.close();
      await Promise.all(streams.map(({ ended }) => ended));
    },
  };
}

/** A stream that broke over one of several batches, it does not say which. */
function isSuspicious({ code, unanswered }: OtapStreamEnd): boolean {
  return code !== 0 && unanswered > 1;
}
