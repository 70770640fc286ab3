/** Loaded into a real `treasury pull` before its own code: it forgets the state of all streams but the one in use. */
import { LIMITS } from '../../src/base/index.ts';

const SMALL = { decoderStatesBytesMax: 1, streamsMax: 1 } satisfies Partial<Record<keyof typeof LIMITS, number>>;

Object.assign(LIMITS, SMALL);
