import type { BytesColumn, CanonicalBatch, RootColumns } from './canonical.ts';
import { idAt } from './child-rows.ts';
import { putText, putUint32, tagOf, TextSource } from './otlp-encode-fields.ts';
import { AttributesEncoder } from './otlp-encode-values.ts';
import type { BackwardOutput } from './protobuf-backward-output.ts';
import { bytesColumnRowsEqual } from './row-equality.ts';
import type { RowEquality } from './transport-ids.ts';

/** Fields that the messages of all signals share. */
const REQUEST = { RESOURCES: tagOf(1, 'BYTES') } as const;
const GROUP = { OWNER: tagOf(1, 'BYTES'), CHILDREN: tagOf(2, 'BYTES'), SCHEMA_URL: tagOf(3, 'BYTES') } as const;
const RESOURCE = { ATTRIBUTES: tagOf(1, 'BYTES'), DROPPED_ATTRIBUTES_COUNT: tagOf(2, 'VARINT') } as const;
const SCOPE = {
  NAME: tagOf(1, 'BYTES'),
  VERSION: tagOf(2, 'BYTES'),
  ATTRIBUTES: tagOf(3, 'BYTES'),
  DROPPED_ATTRIBUTES_COUNT: tagOf(4, 'VARINT'),
} as const;

/**
 * Writes a whole request: the rows of the root table under their scopes and resources. Rows of one resource (id, schema URL, dropped
 * attributes) come together, and in it those of one scope; groups come in the order of their first rows, and rows keep theirs.
 * `putRow` writes the content of a row. Returns the attributes of resources and scopes that no row has.
 */
export function putGroups(
  output: BackwardOutput,
  batch: CanonicalBatch,
  root: RootColumns,
  putRow: (row: number) => void,
): number {
  const groups = groupRows(root);
  const resourceAttributes = AttributesEncoder.of(output, batch.resourceAttrs);
  const scopeAttributes = AttributesEncoder.of(output, batch.scopeAttrs);
  const resourceSchemaUrl = TextSource.of(root.resourceSchemaUrl);
  const scopeName = TextSource.of(root.scopeName);
  const scopeVersion = TextSource.of(root.scopeVersion);
  const schemaUrl = TextSource.of(root.schemaUrl);

  function putScope(scope: number): void {
    const scopeStart = output.length;
    const first = groups.scopeLastRow[scope]!;
    putText(output, GROUP.SCHEMA_URL, schemaUrl, first);
    for (let row = first; row >= 0; row = groups.previousRow[row]!) {
      const rowStart = output.length;
      putRow(row);
      output.close(rowStart, GROUP.CHILDREN);
    }
    const ownerStart = output.length;
    putUint32(output, SCOPE.DROPPED_ATTRIBUTES_COUNT, root.scopeDroppedAttributesCount, first);
    scopeAttributes?.put(SCOPE.ATTRIBUTES, idAt(root.scopeId, first));
    putText(output, SCOPE.VERSION, scopeVersion, first);
    putText(output, SCOPE.NAME, scopeName, first);
    output.close(ownerStart, GROUP.OWNER);
    output.close(scopeStart, GROUP.CHILDREN);
  }

  for (let resource = groups.resourceLastScope.length - 1; resource >= 0; resource--) {
    const resourceStart = output.length;
    const last = groups.resourceLastScope[resource]!;
    const row = groups.scopeLastRow[last]!;
    putText(output, GROUP.SCHEMA_URL, resourceSchemaUrl, row);
    for (let scope = last; scope >= 0; scope = groups.previousScope[scope]!) putScope(scope);
    const ownerStart = output.length;
    putUint32(output, RESOURCE.DROPPED_ATTRIBUTES_COUNT, root.resourceDroppedAttributesCount, row);
    resourceAttributes?.put(RESOURCE.ATTRIBUTES, idAt(root.resourceId, row));
    output.close(ownerStart, GROUP.OWNER);
    output.close(resourceStart, REQUEST.RESOURCES);
  }
  return (resourceAttributes?.orphanRows ?? 0) + (scopeAttributes?.orphanRows ?? 0);
}

/** Rows in scopes and scopes in resources, each a list from its last to its first member that ends with -1. */
interface RowGroups {
  readonly resourceLastScope: readonly number[];
  readonly previousScope: readonly number[];
  readonly scopeLastRow: readonly number[];
  readonly previousRow: Int32Array;
}

function groupRows(root: RootColumns): RowGroups {
  const resourceLastScope: number[] = [];
  const previousScope: number[] = [];
  const scopeLastRow: number[] = [];
  const previousRow = new Int32Array(root.rowCount);
  const resources = new Map<string, number>();
  const scopes = new Map<string, number>();
  const isSameGroup = allEqual(root);
  let scope = -1;
  for (let row = 0; row < root.rowCount; row++) {
    if (row > 0 && isSameGroup(row, row - 1)) {
      previousRow[row] = row - 1;
      scopeLastRow[scope] = row;
      continue;
    }
    const resourceKey = keyOf(row, root.resourceId, root.resourceDroppedAttributesCount, [root.resourceSchemaUrl]);
    let resource = resources.get(resourceKey);
    if (resource === undefined) {
      resource = resourceLastScope.length;
      resources.set(resourceKey, resource);
      resourceLastScope.push(-1);
    }
    const texts = [root.scopeName, root.scopeVersion, root.schemaUrl];
    const scopeKey = `${resource}/${keyOf(row, root.scopeId, root.scopeDroppedAttributesCount, texts)}`;
    const found = scopes.get(scopeKey);
    if (found === undefined) {
      scope = scopeLastRow.length;
      scopes.set(scopeKey, scope);
      previousScope.push(resourceLastScope[resource]!);
      resourceLastScope[resource] = scope;
      scopeLastRow.push(-1);
    } else {
      scope = found;
    }
    previousRow[row] = scopeLastRow[scope]!;
    scopeLastRow[scope] = row;
  }
  return { resourceLastScope, previousScope, scopeLastRow, previousRow };
}

type Numbers = { readonly values: Uint16Array | Uint32Array; readonly validity: Uint8Array | null };

function keyOf(
  row: number,
  id: RootColumns['resourceId'],
  dropped: RootColumns['resourceDroppedAttributesCount'],
  texts: readonly (BytesColumn | null)[],
): string {
  let key = `${idAt(id, row)}/${dropped?.values[row] ?? 0}`;
  for (const column of texts) {
    const text = textOf(column, row);
    key += `/${text.length}/${text}`;
  }
  return key;
}

/** The bytes of a string, a character each. */
function textOf(column: BytesColumn | null, row: number): string {
  const source = TextSource.of(column);
  const entry = source === null ? -1 : source.entry(row);
  if (entry < 0) return '';
  const { bytes, offsets } = source!;
  const start = offsets[entry]!;
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, offsets[entry + 1]! - start).toString('latin1');
}

/** Whether two rows are of one resource and one scope. */
function allEqual(root: RootColumns): RowEquality {
  const comparisons: RowEquality[] = [];
  for (const column of [
    root.resourceId,
    root.scopeId,
    root.resourceDroppedAttributesCount,
    root.scopeDroppedAttributesCount,
  ]) {
    if (column !== null) comparisons.push(numberRowsEqual(column));
  }
  for (const column of [root.resourceSchemaUrl, root.scopeName, root.scopeVersion, root.schemaUrl]) {
    if (column !== null) comparisons.push(bytesColumnRowsEqual(column));
  }
  return (row, other) => {
    for (const equal of comparisons) if (!equal(row, other)) return false;
    return true;
  };
}

/** Null is not 0: an id of 0 has attributes. */
function numberRowsEqual({ values, validity }: Numbers): RowEquality {
  if (validity === null) return (row, other) => values[row] === values[other];
  return (row, other) => values[row] === values[other] && (validity[row] !== 0) === (validity[other] !== 0);
}
