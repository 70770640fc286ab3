import type { BatchFacts, RootColumns } from './canonical.ts';
import { AttributesFiller } from './otlp-attributes.ts';
import { rowNumbers, U32Filler } from './otlp-columns.ts';
import type { OtlpFill } from './otlp-fill.ts';
import { OTLP_ROWS, type OtlpMessage } from './otlp-messages.ts';
import { StringFiller } from './otlp-strings.ts';
import type { OtlpWire } from './otlp-wire.ts';

/** The table whose rows the scopes of a request hold: log records, spans or metrics. */
export interface RootRows {
  readonly rowCount: number;
  /** Reads the row from the wire's position to `end` as the next one. */
  read(end: number): void;
}

/** Field numbers that the group messages of all signals share. */
const REQUEST = { RESOURCES: 1 } as const;
const GROUP = { OWNER: 1, CHILDREN: 2, SCHEMA_URL: 3 } as const;
const RESOURCE = { ATTRIBUTES: 1, DROPPED_ATTRIBUTES_COUNT: 2 } as const;
const SCOPE = { NAME: 1, VERSION: 2, ATTRIBUTES: 3, DROPPED_ATTRIBUTES_COUNT: 4 } as const;

/**
 * Walks the resources and scopes of a request. Each is numbered when it has rows, else left out with its attributes; a resource or
 * scope may come behind its rows and in several pieces, so it is read when its group ends.
 */
export class RootFiller {
  readonly #fill: OtlpFill;
  readonly #wire: OtlpWire;
  readonly #rows: RootRows;
  readonly #resourceId: Uint32Array;
  readonly #resourceSchemaUrl: StringFiller;
  readonly #resourceDropped: U32Filler;
  readonly #scopeId: Uint32Array;
  readonly #scopeName: StringFiller;
  readonly #scopeVersion: StringFiller;
  readonly #scopeDropped: U32Filler;
  readonly #schemaUrl: StringFiller;
  readonly #resourceAttrs: AttributesFiller;
  readonly #scopeAttrs: AttributesFiller;
  #resources = 0;
  #scopes = 0;

  /** `message` is the message of a row. */
  constructor(fill: OtlpFill, message: OtlpMessage, rows: RootRows) {
    const capacity = fill.countOf(message);
    const { bytes } = fill.wire;
    this.#fill = fill;
    this.#wire = fill.wire;
    this.#rows = rows;
    this.#resourceId = new Uint32Array(capacity);
    this.#resourceSchemaUrl = new StringFiller(bytes, capacity);
    this.#resourceDropped = new U32Filler(capacity);
    this.#scopeId = new Uint32Array(capacity);
    this.#scopeName = new StringFiller(bytes, capacity);
    this.#scopeVersion = new StringFiller(bytes, capacity);
    this.#scopeDropped = new U32Filler(capacity);
    this.#schemaUrl = new StringFiller(bytes, capacity);
    this.#resourceAttrs = new AttributesFiller(fill, OTLP_ROWS.resourceAttrs);
    this.#scopeAttrs = new AttributesFiller(fill, OTLP_ROWS.scopeAttrs);
  }

  /** Reads the whole request. */
  readRequest(): void {
    const wire = this.#wire;
    const end = wire.bytes.length;
    wire.at = 0;
    while (wire.at < end) {
      const tag = wire.tag();
      if (tag >>> 3 === REQUEST.RESOURCES) this.#readResourceGroup(wire.valueEnd());
      else wire.skip(tag);
    }
  }

  /** The columns of the root table. `hasChildren` says whether ids are needed. */
  finishColumns(hasChildren: boolean): RootColumns {
    const { rowCount } = this.#rows;
    const { repairs } = this.#fill;
    return {
      rowCount,
      id: hasChildren ? rowNumbers(rowCount) : null,
      resourceId: { values: this.#resourceId.subarray(0, rowCount), validity: null },
      resourceSchemaUrl: this.#resourceSchemaUrl.finishText(rowCount, repairs),
      resourceDroppedAttributesCount: this.#resourceDropped.finish(rowCount),
      scopeId: { values: this.#scopeId.subarray(0, rowCount), validity: null },
      scopeName: this.#scopeName.finishText(rowCount, repairs),
      scopeVersion: this.#scopeVersion.finishText(rowCount, repairs),
      scopeDroppedAttributesCount: this.#scopeDropped.finish(rowCount),
      schemaUrl: this.#schemaUrl.finishText(rowCount, repairs),
    };
  }

  /** The facts of the batch. Call it last: it tells the repairs of all columns that are finished. */
  finishFacts(): Omit<BatchFacts, 'signal'> {
    const resourceAttrs = this.#resourceAttrs.finish();
    const scopeAttrs = this.#scopeAttrs.finish();
    return { resourceAttrs, scopeAttrs, repairedStrings: this.#fill.repairs.repairedStrings };
  }

  #readResourceGroup(end: number): void {
    const wire = this.#wire;
    const start = wire.at;
    const firstRow = this.#rows.rowCount;
    let urlStart = 0;
    let urlEnd = 0;
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case GROUP.CHILDREN:
          this.#readScopeGroup(wire.valueEnd());
          break;
        case GROUP.SCHEMA_URL:
          urlEnd = wire.valueEnd();
          urlStart = wire.at;
          wire.at = urlEnd;
          break;
        default:
          wire.skip(tag);
      }
    }
    const rowCount = this.#rows.rowCount;
    if (rowCount > firstRow) {
      this.#resourceId.fill(this.#resources, firstRow, rowCount);
      this.#resourceSchemaUrl.fill(firstRow, rowCount, urlStart, urlEnd);
      this.#readResource(start, end, firstRow);
      this.#resources++;
    }
    wire.at = end;
  }

  /** Reads all pieces of the resource of the group from `start` to `end`. */
  #readResource(start: number, end: number, firstRow: number): void {
    const wire = this.#wire;
    let dropped = 0;
    wire.at = start;
    while (wire.at < end) {
      const groupTag = wire.tag();
      if (groupTag >>> 3 !== GROUP.OWNER) {
        wire.skip(groupTag);
        continue;
      }
      const resourceEnd = wire.valueEnd();
      while (wire.at < resourceEnd) {
        const tag = wire.tag();
        if (tag >>> 3 === RESOURCE.ATTRIBUTES) this.#resourceAttrs.read(this.#resources);
        else if (tag >>> 3 === RESOURCE.DROPPED_ATTRIBUTES_COUNT) dropped = wire.uint32();
        else wire.skip(tag);
      }
    }
    this.#resourceDropped.fill(firstRow, this.#rows.rowCount, dropped);
  }

  #readScopeGroup(end: number): void {
    const wire = this.#wire;
    const rows = this.#rows;
    const start = wire.at;
    const firstRow = rows.rowCount;
    let urlStart = 0;
    let urlEnd = 0;
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case GROUP.CHILDREN: {
          const rowEnd = wire.valueEnd();
          if (!this.#fill.isRejected(wire.at)) rows.read(rowEnd);
          wire.at = rowEnd;
          break;
        }
        case GROUP.SCHEMA_URL:
          urlEnd = wire.valueEnd();
          urlStart = wire.at;
          wire.at = urlEnd;
          break;
        default:
          wire.skip(tag);
      }
    }
    if (rows.rowCount > firstRow) {
      this.#scopeId.fill(this.#scopes, firstRow, rows.rowCount);
      this.#schemaUrl.fill(firstRow, rows.rowCount, urlStart, urlEnd);
      this.#readScope(start, end, firstRow);
      this.#scopes++;
    }
    wire.at = end;
  }

  /** Reads all pieces of the scope of the group from `start` to `end`. */
  #readScope(start: number, end: number, firstRow: number): void {
    const wire = this.#wire;
    let [nameStart, nameEnd, versionStart, versionEnd, dropped] = [0, 0, 0, 0, 0];
    wire.at = start;
    while (wire.at < end) {
      const groupTag = wire.tag();
      if (groupTag >>> 3 !== GROUP.OWNER) {
        wire.skip(groupTag);
        continue;
      }
      const scopeEnd = wire.valueEnd();
      while (wire.at < scopeEnd) {
        const tag = wire.tag();
        switch (tag >>> 3) {
          case SCOPE.NAME:
            nameEnd = wire.valueEnd();
            nameStart = wire.at;
            wire.at = nameEnd;
            break;
          case SCOPE.VERSION:
            versionEnd = wire.valueEnd();
            versionStart = wire.at;
            wire.at = versionEnd;
            break;
          case SCOPE.ATTRIBUTES:
            this.#scopeAttrs.read(this.#scopes);
            break;
          case SCOPE.DROPPED_ATTRIBUTES_COUNT:
            dropped = wire.uint32();
            break;
          default:
            wire.skip(tag);
        }
      }
    }
    const { rowCount } = this.#rows;
    this.#scopeName.fill(firstRow, rowCount, nameStart, nameEnd);
    this.#scopeVersion.fill(firstRow, rowCount, versionStart, versionEnd);
    this.#scopeDropped.fill(firstRow, rowCount, dropped);
  }
}
