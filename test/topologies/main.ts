import { runCommand } from '../command/run.ts';
import { TOPOLOGIES } from './command.ts';
import { defaultPlace, FIGURES, type Outcome, runFigure } from './run.ts';

interface Failed {
  readonly number: number;
  readonly title: string;
  readonly error: string;
}

await runCommand(TOPOLOGIES, async ({ figure: asked, loopback, json }) => {
  const place = loopback ? 'loopback' : defaultPlace();
  const rows: (Outcome | Failed)[] = [];
  for (const figure of FIGURES) {
    const { number, title } = figure;
    if (asked.length > 0 && !asked.includes(String(number))) continue;
    if (!json) process.stderr.write(`figure ${number}: ${title} …\n`);
    try {
      rows.push(await runFigure(figure, place));
    } catch (error) {
      rows.push({ number, title, error: String(error) });
    }
    if (json) process.stdout.write(`${JSON.stringify(rows.at(-1))}\n`);
  }
  if (!json) process.stdout.write(table(rows));
  return rows.every((row) => !('error' in row) && row.holds) ? 0 : 1;
});

function table(rows: readonly (Outcome | Failed)[]): string {
  const cells = [
    [
      '',
      'architecture',
      'where',
      'what went wrong',
      'archive',
      'values',
      'declared',
      'lost',
      'doubled',
      'holds',
    ],
  ];
  for (const row of rows) {
    const names = [String(row.number), row.title];
    if ('error' in row) {
      cells.push([...names, '', 'it did not go as it must, see below', '', '', '', '', 'NO']);
      continue;
    }
    // What is the same for all archives of a figure is said once.
    let first = [...names, row.place, row.happened];
    for (const [kernel, { produced, declared, lost, duplicates, ok }] of Object.entries(row.proofs)) {
      const figures = [produced, declared, lost, duplicates].map(String);
      cells.push([...first, kernel, ...figures, ok ? 'yes' : 'NO']);
      first = first.map(() => '');
    }
  }
  const widths = (cells[0] ?? []).map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const line = (row: readonly string[]) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ');
  return [...cells.map((row) => line(row).trimEnd()), ...rows.flatMap(why)]
    .map((text) => `${text}\n`)
    .join('');
}

/** Why a figure did not hold, below the table. */
function why(row: Outcome | Failed): string[] {
  if ('error' in row) return ['', `figure ${row.number}: ${row.error}`];
  return Object.entries(row.proofs).flatMap(([kernel, { ok, findings }]) =>
    ok ? [] : ['', `figure ${row.number}, ${kernel}:`, ...findings.map((finding) => `  ${finding}`)],
  );
}
