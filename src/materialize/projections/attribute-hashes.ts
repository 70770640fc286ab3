/** Order-free content hashes of attribute sets: the sum of the hashes of the attributes, so duplicates count and order does not. */
import { type AttributesTable, VALUE_TYPES } from '../../otap/index.ts';
import { columnHashes, type HashLanes, hashText, mixWord, finishHash, restartHash, startHash } from './content-hash.ts';
import type { OwnedAttributes } from './attributes.ts';
import type { Scratch } from './scratch.ts';
import { halves } from './values.ts';

const ATTRIBUTE_TAG = 1;
/** One word for every NaN: their text is the same. */
const NAN_HIGH = 0x7ff80000;

/** Sums by parent row: low and high at 2 p and 2 p + 1. The number of attributes is the size of the parent's group. */
export function sumAttributeHashes(owned: OwnedAttributes, parentCount: number, scratch: Scratch): Uint32Array {
  const sums = scratch.u32(2 * parentCount);
  const { table, parents } = owned;
  if (table === null) return sums;
  const mixValue = createValueMixer(table);
  const keys = columnHashes(table.key);
  const lanes = startHash(ATTRIBUTE_TAG);
  const part = startHash(0);
  for (let row = 0; row < parents.length; row++) {
    const parent = parents[row]!;
    if (parent < 0) continue;
    restartHash(lanes, ATTRIBUTE_TAG + table.type[row]!);
    keys.read(part, row);
    mixWord(lanes, part[0]!);
    mixWord(lanes, part[1]!);
    mixValue(lanes, part, row);
    finishHash(lanes);
    sums[2 * parent]! += lanes[0]!;
    sums[2 * parent + 1]! += lanes[1]!;
  }
  return sums;
}

/** The first attribute row of each parent row whose key is `key`, -1 where there is none. */
export function findAttribute(owned: OwnedAttributes, key: string, parentCount: number, scratch: Scratch): Int32Array {
  const found = scratch.i32(parentCount).fill(-1);
  if (owned.table === null) return found;
  const [low, high] = hashText(key);
  const keys = columnHashes(owned.table.key);
  const part = startHash(0);
  for (let row = owned.parents.length - 1; row >= 0; row--) {
    const parent = owned.parents[row]!;
    if (parent < 0) continue;
    keys.read(part, row);
    if (part[0] === low && part[1] === high) found[parent] = row;
  }
  return found;
}

/** Takes in the value of a row. A null value counts as the default of its type, as everywhere. */
function createValueMixer(table: AttributesTable): (lanes: HashLanes, part: HashLanes, row: number) => void {
  const { type, int, double, bool } = table;
  const strings = columnHashes(table.str);
  const byteStrings = columnHashes(table.bytes);
  const sers = columnHashes(table.ser);
  const ints = int === null ? null : halves(int.values);
  const doubles = double === null ? null : halves(double.values);
  const mixPart = (lanes: HashLanes, part: HashLanes) => {
    mixWord(lanes, part[0]!);
    mixWord(lanes, part[1]!);
  };
  return (lanes, part, row) => {
    switch (type[row]) {
      case VALUE_TYPES.STR:
        strings.read(part, row);
        mixPart(lanes, part);
        break;
      case VALUE_TYPES.INT:
        mixWord(lanes, ints === null ? 0 : ints[2 * row]!);
        mixWord(lanes, ints === null ? 0 : ints[2 * row + 1]!);
        break;
      case VALUE_TYPES.DOUBLE: {
        const isNaN = double !== null && Number.isNaN(double.values[row]);
        mixWord(lanes, doubles === null || isNaN ? 0 : doubles[2 * row]!);
        mixWord(lanes, isNaN ? NAN_HIGH : doubles === null ? 0 : doubles[2 * row + 1]!);
        break;
      }
      case VALUE_TYPES.BOOL:
        mixWord(lanes, bool !== null && bool.values[row] !== 0 ? 1 : 0);
        break;
      case VALUE_TYPES.BYTES:
        byteStrings.read(part, row);
        mixPart(lanes, part);
        break;
      case VALUE_TYPES.MAP:
      case VALUE_TYPES.SLICE:
        sers.read(part, row);
        mixPart(lanes, part);
        break;
      default:
    }
  };
}
