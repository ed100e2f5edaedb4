import { parseArgs } from 'node:util';
import { defaultPlace, FIGURES, type Outcome, runFigure } from './run.ts';

const HELP = `npm run topologies [-- options]

Runs every architecture of examples/architectures with real processes, with what goes wrong in it, and holds
each archive against what the simulated devices say that they served. Exit code 0 only if all of them hold.

  --figure <number>  only this one; may be given several times
  --loopback         on addresses of the loopback, even where network namespaces can be had
  --json             one JSON line for each
  --help
`;

interface Failed {
  readonly number: number;
  readonly title: string;
  readonly error: string;
}

const { values } = parseArgs({
  options: {
    figure: { type: 'string', multiple: true, default: [] },
    loopback: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(HELP);
else process.exitCode = await main();

async function main(): Promise<number> {
  const asked = values.figure.map(Number);
  const unknown = asked.filter((number) => !FIGURES.some((figure) => figure.number === number));
  if (unknown.length > 0) {
    process.stderr.write(`there is no figure ${unknown.join(', ')}\n`);
    return 2;
  }
  const place = values.loopback ? 'loopback' : defaultPlace();
  const rows: (Outcome | Failed)[] = [];
  for (const figure of FIGURES) {
    if (asked.length > 0 && !asked.includes(figure.number)) continue;
    const { number, title } = figure;
    if (!values.json) process.stderr.write(`figure ${number}: ${title} …\n`);
    try {
      rows.push(await runFigure(figure, place));
    } catch (error) {
      rows.push({ number, title, error: String(error) });
    }
    if (values.json) process.stdout.write(`${JSON.stringify(rows.at(-1))}\n`);
  }
  if (!values.json) process.stdout.write(table(rows));
  return rows.every((row) => !('error' in row) && row.holds) ? 0 : 1;
}

function table(rows: readonly (Outcome | Failed)[]): string {
  const cells = [
    ['', 'architecture', 'where', 'what went wrong', 'archive', 'values', 'lost', 'doubled', 'holds'],
  ];
  for (const row of rows) {
    if ('error' in row) {
      cells.push([String(row.number), row.title, '', row.error.split('\n')[0] ?? '', '', '', '', '', 'NO']);
      continue;
    }
    for (const [kernel, { produced, lost, duplicates, ok }] of Object.entries(row.proofs)) {
      const figures = [produced, lost, duplicates].map(String);
      cells.push([
        String(row.number),
        row.title,
        row.place,
        row.happened,
        kernel,
        ...figures,
        ok ? 'yes' : 'NO',
      ]);
    }
  }
  const widths = (cells[0] ?? []).map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  return cells
    .map(
      (row) =>
        `${row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
