import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const document = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../../docs', name), 'utf8');
const POSTGRESQL = document('POSTGRESQL.md');
const ARCHIVE = document('ARCHIVE.md');

/** The statements behind a mark of the manual. */
export function manualSql(mark: string): string {
  return marked(POSTGRESQL, mark, 'sql');
}

/** The commands behind a mark of the manual of PostgreSQL. */
export function manualCommands(mark: string): string {
  return marked(POSTGRESQL, mark, 'sh');
}

/** The commands behind a mark of the manual of the embedded archive. */
export function archiveCommands(mark: string): string {
  return marked(ARCHIVE, mark, 'sh');
}

function marked(text: string, mark: string, language: string): string {
  const found = new RegExp(`<!-- ${mark} -->\\n\`\`\`${language}\\n([^\`]+)\`\`\``).exec(text);
  if (found?.[1] === undefined) throw new Error(`the manual has no ${mark}`);
  return found[1];
}
