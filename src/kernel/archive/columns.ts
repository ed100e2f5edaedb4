/** A row of an answer, whatever database gave it. */
type Row = Readonly<Record<string, unknown>>;

/** An integer column, exact below 2^53. */
export function integerOf(row: Row, column: string): number {
  return Number(row[column]);
}

/** An integer column that may be null. */
export function integerOrNull(row: Row, column: string): number | null {
  const value = row[column];
  return value === null || value === undefined ? null : Number(value);
}
