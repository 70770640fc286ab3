/** Servers of other makers beside the one measured: each on a directory of its own, sent the same OTLP. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from './process.ts';
import { freePort } from '../test/helpers/collector.ts';

export interface Peer {
  readonly name: string;
  /** Of its HTTP API of Prometheus, `/api/v1` included. */
  readonly api: string;
  readonly otlp: string;
  rssPeakBytes(): number;
  stop(): Promise<void>;
}

/** The name of the one that answers must agree with. */
export const PROMETHEUS = 'prometheus';

const START_MAX_MS = 60_000;

/** Starts `binary` on what `directory` holds. */
export async function startPrometheus(binary: string, directory: string): Promise<Peer> {
  mkdirSync(directory, { recursive: true });
  const config = join(directory, 'prometheus.yml');
  writeFileSync(
    config,
    'global: {}\notlp: { keep_identifying_resource_attributes: true, promote_scope_metadata: true,' +
      ' promote_resource_attributes: [service.name, service.instance.id] }\n',
  );
  const address = `127.0.0.1:${await freePort()}`;
  return startPeer(PROMETHEUS, binary, {
    flags: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      '--storage.tsdb.retention.time=20y',
      `--web.listen-address=${address}`,
      '--web.enable-otlp-receiver',
      '--log.level=error',
    ],
    ready: `http://${address}/-/ready`,
    api: `http://${address}/api/v1`,
    otlp: `http://${address}/api/v1/otlp/v1/metrics`,
  });
}

/** Its rates are defined otherwise: answers are not compared. */
export async function startVictoriaMetrics(binary: string, directory: string): Promise<Peer> {
  const address = `127.0.0.1:${await freePort()}`;
  return startPeer('victoria', binary, {
    flags: [
      `-storageDataPath=${directory}`,
      '-retentionPeriod=20y',
      `-httpListenAddr=${address}`,
      '-opentelemetry.usePrometheusNaming=true',
      '-search.latencyOffset=0s',
      '-loggerLevel=ERROR',
    ],
    ready: `http://${address}/health`,
    api: `http://${address}/api/v1`,
    otlp: `http://${address}/opentelemetry/v1/metrics`,
  });
}

interface PeerStart {
  readonly flags: readonly string[];
  readonly ready: string;
  readonly api: string;
  readonly otlp: string;
}

async function startPeer(name: string, binary: string, { flags, ready, api, otlp }: PeerStart): Promise<Peer> {
  const child: ChildProcess = spawn(binary, flags, { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = once(child, 'exit');
  const startedAt = performance.now();
  while ((await fetch(ready).catch(() => null))?.ok !== true) {
    if (child.exitCode !== null || performance.now() - startedAt > START_MAX_MS) {
      child.kill('SIGKILL');
      throw new Error(`Cannot start ${binary}`);
    }
    await sleep(50);
  }
  return {
    name,
    api,
    otlp,
    rssPeakBytes() {
      const peak = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'));
      return Number(peak![1]) * 1024;
    },
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
