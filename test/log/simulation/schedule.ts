/** What happens to a simulated log, made from a seed before it happens, so that it can be printed and cut shorter. */
import type { HoldPolicy } from '../../../src/log/index.ts';
import { type Random, seededRandom } from '../../helpers/random.ts';
import { type DiskOperation, FAIR, type Weather } from './simulated-disk.ts';
import { randomUpdate } from './toy-records.ts';

export type Step =
  | {
      readonly type: 'append';
      readonly stream: number;
      readonly updates: readonly string[];
      readonly bytes: number;
      readonly looksLikeLog: boolean;
      readonly headers: boolean;
    }
  | { readonly type: 'otlp'; readonly bytes: number; readonly looksLikeLog: boolean; readonly headers: boolean }
  | { readonly type: 'absorb'; readonly stream: number; readonly updates: readonly string[] }
  | { readonly type: 'closeStream'; readonly stream: number }
  /** All that was appended is answered. */
  | { readonly type: 'settle' }
  /** A few turns of the event loop: what follows happens in the middle of operations. */
  | { readonly type: 'turns'; readonly count: number }
  | { readonly type: 'advance'; readonly ms: number }
  /** The wall clock is set. */
  | { readonly type: 'jump'; readonly ms: number }
  | { readonly type: 'weather'; readonly weather: Weather }
  /** A reader from somewhere: 0 is the first entry, 1 the durable end. */
  | { readonly type: 'openReader'; readonly place: number }
  | { readonly type: 'read'; readonly reader: number; readonly frames: number }
  | { readonly type: 'closeReader'; readonly reader: number }
  /** A consumer claims entries, from somewhere on as with readers; `answer` is what it says when it is asked. */
  | {
      readonly type: 'hold';
      readonly holder: number;
      readonly policy: HoldPolicy;
      readonly place: number;
      readonly answer: HoldAnswer | null;
    }
  /** Also back. */
  | { readonly type: 'advanceHold'; readonly holder: number; readonly place: number }
  | { readonly type: 'releaseHold'; readonly holder: number }
  | {
      readonly type: 'restart';
      readonly end: ProcessEnd;
      readonly index: IndexFate;
      /** Turns after which the next opening is cut short, each by a kill or a power cut. */
      readonly interruptions: readonly { readonly turns: number; readonly end: 'kill' | 'powerCut' }[];
      /** Oldest segments that are deleted in between, if there are more. */
      readonly dropOldest: number;
    };

/** Where a consumer says it is, between where it was and the durable end; or that it cannot tell; or nothing. */
export interface HoldAnswer {
  readonly kind: 'offset' | 'none' | 'error';
  readonly place: number;
  readonly delayMs: number;
}

export type ProcessEnd = 'close' | 'kill' | 'powerCut';
/** What becomes of the index while nobody uses it. */
export type IndexFate = 'kept' | 'lost' | 'older' | 'ahead' | 'garbled';

export interface Schedule {
  readonly seed: number;
  readonly limits: Readonly<Record<string, number>>;
  readonly retention: { readonly ageMaxMs: number | null; readonly bytesMax: number | null };
  readonly sectorBytes: number;
  readonly steps: readonly Step[];
}

/** Weights of kinds of steps, and which there are. */
interface Mood {
  readonly restarts: number;
  readonly weathers: number;
  readonly settles: number;
  readonly holds: number;
  readonly hasIndexAhead: boolean;
}

const STEPS_MAX = 110;
const STREAMS = 3;
const READERS = 2;
const HOLDERS = 2;

export function makeSchedule(seed: number): Schedule {
  const random = seededRandom(seed);
  const limits = {
    frameBytesMax: random.pick([200, 400, 2_000]),
    frameEntriesMax: random.pick([1, 4, 16]),
    segmentBytesMax: random.pick([1, 3_000, 6_000, 12_000, 40_000]),
    segmentAgeMaxMs: random.pick([1_000, 600_000]),
    inFlightBytesMax: random.pick([3_000, 1_000_000]),
    diskReserveBytes: random.pick([1, 20_000]),
  };
  const mood: Mood = {
    restarts: random.pick([2, 4, 8]),
    weathers: random.pick([0, 2, 5, 8]),
    settles: random.pick([4, 10]),
    holds: random.pick([0, 2, 6]),
    /** Few, for much of what they bring about is nobody's fault and not checked. */
    hasIndexAhead: random.below(10) === 0,
  };
  // A reader may be there before the first entry is.
  const steps: Step[] = random.below(4) > 0 ? [] : coldStart(random);
  for (let left = 8 + random.below(STEPS_MAX); left > 0; left--)
    steps.push(...(random.below(60) === 0 ? lostSync() : [randomStep(random, mood)]));
  const retention = {
    ageMaxMs: random.pick([null, null, null, 60_000]),
    bytesMax: random.pick([null, null, null, 30_000]),
  };
  return { seed, limits, retention, sectorBytes: random.pick([64, 512, 512, 4_096]), steps };
}

function coldStart(random: Random): Step[] {
  return [
    { type: 'weather', weather: randomWeather(random) },
    { type: 'openReader', place: 0 },
    { type: 'otlp', ...body(random) },
    { type: 'turns', count: 1 + random.below(8) },
    { type: 'read', reader: 0, frames: 1 },
    { type: 'settle' },
    { type: 'weather', weather: FAIR },
  ];
}

/** A frame is refused, and yet found again by the next process: from then on it stays. */
function lostSync(): Step[] {
  const restart = { type: 'restart', index: 'kept', interruptions: [], dropOldest: 0 } as const;
  const faults = { dataSync: 1, truncate: 1 };
  return [
    { type: 'otlp', bytes: 20, looksLikeLog: false, headers: false },
    { type: 'settle' },
    { type: 'weather', weather: { ...FAIR, name: 'no syncs, no cuts', faults } },
    { type: 'otlp', bytes: 100, looksLikeLog: false, headers: false },
    { type: 'settle' },
    { type: 'weather', weather: FAIR },
    { ...restart, end: 'kill' },
    { ...restart, end: 'powerCut' },
  ];
}

/** A step as one line. */
export function stepText(step: Step): string {
  if (step.type === 'weather')
    return `weather ${step.weather.name} ${JSON.stringify({ ...step.weather, name: undefined })}`;
  const { type, ...rest } = step;
  return `${type} ${JSON.stringify(rest, (_key, value: unknown) => (typeof value === 'string' ? shortText(value) : value))}`;
}

function shortText(text: string): string {
  return text.length <= 12 ? text : `${text.slice(0, 8)}…(${text.length})`;
}

function randomStep(random: Random, mood: Mood): Step {
  const kinds: readonly (readonly [number, () => Step])[] = [
    [24, () => ({ type: 'append', stream: random.below(STREAMS), updates: someUpdates(random), ...body(random) })],
    [10, () => ({ type: 'otlp', ...body(random) })],
    [
      4,
      () => ({
        type: 'absorb',
        stream: random.below(STREAMS),
        updates: [randomUpdate(random), ...someUpdates(random)],
      }),
    ],
    [3, () => ({ type: 'closeStream', stream: random.below(STREAMS) })],
    [mood.settles, () => ({ type: 'settle' })],
    [8, () => ({ type: 'turns', count: 1 + random.below(12) })],
    [6, () => ({ type: 'advance', ms: random.pick([1, 20, 110, 110, 1_050, 5_000, 700_000]) })],
    [1, () => ({ type: 'jump', ms: random.pick([-259_200_000, -1_000, 3_600_000, 315_360_000_000]) })],
    [mood.weathers, () => ({ type: 'weather', weather: randomWeather(random) })],
    [3, () => ({ type: 'openReader', place: random.next() })],
    [6, () => ({ type: 'read', reader: random.below(READERS), frames: 1 + random.below(8) })],
    [1, () => ({ type: 'closeReader', reader: random.below(READERS) })],
    [mood.holds, () => randomHold(random)],
    [2 * mood.holds, () => ({ type: 'advanceHold', holder: random.below(HOLDERS), place: random.next() })],
    [mood.holds / 2, () => ({ type: 'releaseHold', holder: random.below(HOLDERS) })],
    [mood.restarts, () => randomRestart(random, mood)],
  ];
  let at = random.below(kinds.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, make] of kinds) {
    if (at < weight) return make();
    at -= weight;
  }
  return { type: 'settle' };
}

function body(random: Random): { bytes: number; looksLikeLog: boolean; headers: boolean } {
  const bytes = random.pick([1, 1, 20, 20, 100, 100, 450, 1_500, 5_000]);
  return { bytes, looksLikeLog: random.below(8) === 0, headers: random.below(4) === 0 };
}

function someUpdates(random: Random): string[] {
  return Array.from({ length: random.pick([0, 0, 0, 1, 1, 2, 3]) }, () => randomUpdate(random));
}

function randomHold(random: Random): Step {
  const answer = (): HoldAnswer => ({
    kind: random.pick(['offset', 'offset', 'offset', 'none', 'error']),
    place: random.pick([0, random.next(), 1]),
    delayMs: random.pick([0, 0, 300, 5_000]),
  });
  return {
    type: 'hold',
    holder: random.below(HOLDERS),
    policy: random.pick(['drop', 'hold']),
    place: random.pick([0, random.next(), random.next(), 1]),
    answer: random.below(2) === 0 ? answer() : null,
  };
}

function randomRestart(random: Random, { hasIndexAhead }: Mood): Step {
  const end = random.pick<ProcessEnd>(['close', 'kill', 'kill', 'powerCut', 'powerCut', 'powerCut']);
  const index = random.pick<IndexFate>([
    'kept',
    'kept',
    'kept',
    'kept',
    'lost',
    'older',
    'older',
    'garbled',
    hasIndexAhead ? 'ahead' : 'kept',
  ]);
  const interruptions = Array.from({ length: random.pick([0, 0, 0, 1, 2]) }, () => ({
    turns: random.below(14),
    end: random.pick<'kill' | 'powerCut'>(['kill', 'powerCut']),
  }));
  return { type: 'restart', end, index, interruptions, dropOldest: random.pick([0, 0, 0, 0, 0, 1, 3]) };
}

const CHANGING: readonly DiskOperation[] = [
  'create',
  'write',
  'dataSync',
  'truncate',
  'remove',
  'rename',
  'syncDirectory',
  'close',
  'openForWriting',
];

function randomWeather(random: Random): Weather {
  const rate = random.pick([0.05, 0.2, 0.5]);
  const failing = (name: string, operations: readonly DiskOperation[], probability = rate): Weather => ({
    ...slowness(random),
    name,
    faults: Object.fromEntries(operations.map((operation) => [operation, probability])),
  });
  switch (random.below(10)) {
    case 0:
      return failing('failing syncs', ['dataSync']);
    case 1:
      return failing('failing syncs and cuts', ['dataSync', 'truncate'], 0.5);
    case 2:
      return failing('failing writes', ['write']);
    case 3:
      return failing('dead', CHANGING, 1);
    case 4:
      return failing('failing', CHANGING);
    case 5:
      return failing('failing names', ['create', 'remove', 'rename', 'syncDirectory']);
    case 6:
      return failing('failing reads', ['read', 'openForReading', 'list']);
    case 7:
      return {
        ...FAIR,
        name: 'full',
        roomBytes: random.pick([0, 500, 3_000, 10_000]),
        tellsRoom: random.below(2) === 0,
      };
    default:
      return { ...slowness(random), name: 'fair' };
  }
}

function slowness(random: Random): Weather {
  const isSlow = random.below(4) === 0;
  return {
    ...FAIR,
    latencyTurns: random.pick([0, 2, 6]),
    slowRate: isSlow ? random.pick([0.05, 0.5]) : 0,
    slowMs: isSlow ? random.pick([50, 1_000, 6_000]) : 0,
  };
}
