/** Columns of Delta tables over releases: a table may have more or fewer than this release writes, but none in another type. */
import { TreasuryError } from '../base/index.ts';
import type { DeltaField, DeltaType } from './batch-columns.ts';

/** A field as a table has it, by whoever made it. */
interface TableField {
  readonly name: string;
  readonly type: DeltaType;
  readonly nullable: boolean;
  readonly metadata: Readonly<Record<string, unknown>>;
}

interface StructType {
  readonly type: 'struct';
  readonly fields: readonly TableField[];
}

export function schemaText(fields: readonly DeltaField[]): string {
  return JSON.stringify({ type: 'struct', fields });
}

/**
 * The schema of a table with the columns that it lacks behind its own, as text; the same text when it lacks none. Columns that are not in
 * `fields` stay: new files do not have them, and they are null there. Throws TREASURY_STORE with the column that does not fit.
 */
export function widerSchema(directory: string, text: string, fields: readonly DeltaField[]): string {
  const refuse = (reason: string): TreasuryError =>
    new TreasuryError('TREASURY_STORE', `Cannot add to the Delta table ${directory}: ${reason}; use another folder`, {
      facts: { directory },
    });
  let schema: StructType;
  try {
    schema = JSON.parse(text) as StructType;
  } catch {
    throw refuse('its schema is no JSON');
  }
  const fault = { reason: null as string | null };
  const wider = mergedFields(schema.fields, fields, '', fault);
  if (fault.reason !== null) throw refuse(fault.reason);
  return sameJson(wider, schema.fields) ? text : JSON.stringify({ ...schema, fields: wider });
}

interface Fault {
  /** The first thing that does not fit. */
  reason: string | null;
}

function mergedFields(
  theirs: readonly TableField[],
  ours: readonly TableField[],
  path: string,
  fault: Fault,
): readonly TableField[] {
  const byName = new Map(ours.map((field) => [field.name.toLowerCase(), field]));
  const merged = theirs.map((field): TableField => {
    const own = byName.get(field.name.toLowerCase());
    byName.delete(field.name.toLowerCase());
    const column = `${path}${field.name}`;
    const bound = Object.keys(field.metadata).find((name) => name.startsWith('delta.'));
    if (bound !== undefined) fault.reason ??= `its column ${column} has ${bound}, which this release does not know`;
    else if (!field.nullable) fault.reason ??= `its column ${column} takes no null`;
    if (own === undefined) return field;
    // Names of columns are told apart without case by some readers, by others with it.
    if (own.name !== field.name) fault.reason ??= `its column ${column} is written ${own.name} by this release`;
    return { ...field, type: mergedType(field.type, own.type, column, fault) };
  });
  return [...merged, ...byName.values()];
}

function mergedType(theirs: DeltaType, ours: DeltaType, column: string, fault: Fault): DeltaType {
  if (typeof theirs === 'object' && typeof ours === 'object') {
    if (theirs.type === 'array' && ours.type === 'array' && theirs.containsNull) {
      return { ...theirs, elementType: mergedType(theirs.elementType, ours.elementType, `${column}.element`, fault) };
    }
    if (theirs.type === 'map' && ours.type === 'map' && theirs.valueContainsNull) {
      mergedType(theirs.keyType, ours.keyType, `${column}.key`, fault);
      return { ...theirs, valueType: mergedType(theirs.valueType, ours.valueType, `${column}.value`, fault) };
    }
    if (theirs.type === 'struct' && ours.type === 'struct') {
      const fields = mergedFields(theirs.fields, ours.fields, `${column}.`, fault);
      return { ...theirs, fields: fields as readonly DeltaField[] };
    }
  }
  if (!sameJson(theirs, ours)) {
    fault.reason ??= `its column ${column} is ${typeName(theirs)}, and this release writes ${typeName(ours)}`;
  }
  return theirs;
}

function typeName(type: DeltaType): string {
  return typeof type === 'string' ? type : type.type;
}

function sameJson(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
