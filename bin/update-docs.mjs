// Writes what is generated: site.schema.json and the tables of keys in docs/CONFIGURATION.md.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const kom = (...args) => execFileSync(process.execPath, ['bin/kom.cjs', ...args], { encoding: 'utf8' });

kom('schema', '--write', 'site.schema.json');
let text = readFileSync('docs/CONFIGURATION.md', 'utf8');
for (const [mark, args] of [
  ['<!-- keys of the site file -->', ['schema', '--tables']],
  ['<!-- keys of the kernel file -->', ['schema', '--tables', '--kernel']],
]) {
  const start = text.indexOf(mark) + mark.length;
  const end = text.indexOf('<!-- end -->', start);
  text = `${text.slice(0, start)}\n${kom(...args).trim()}\n${text.slice(end)}`;
}
writeFileSync('docs/CONFIGURATION.md', text);
