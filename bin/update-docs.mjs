// Writes what is generated: site.schema.json, the tables of keys in docs/CONFIGURATION.md, and the table of
// events in docs/REDUNDANCY.md.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { roleTable } from '../test/redundancy/role-table.ts';

const kom = (...args) => execFileSync(process.execPath, ['bin/kom.cjs', ...args], { encoding: 'utf8' });

/** Replaces what stands between a mark and the next end mark. */
function fill(path, parts) {
  let text = readFileSync(path, 'utf8');
  for (const [mark, content] of parts) {
    const start = text.indexOf(mark) + mark.length;
    const end = text.indexOf('<!-- end -->', start);
    text = `${text.slice(0, start)}\n${content.trim()}\n${text.slice(end)}`;
  }
  writeFileSync(path, text);
}

kom('schema', '--write', 'site.schema.json');
fill('docs/CONFIGURATION.md', [
  ['<!-- keys of the site file -->', kom('schema', '--tables')],
  ['<!-- keys of the kernel file -->', kom('schema', '--tables', '--kernel')],
]);
fill('docs/REDUNDANCY.md', [['<!-- events and phases -->', roleTable()]]);
