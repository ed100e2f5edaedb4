import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadSite } from './load.ts';

it('names of tags that no Kernel would take together are a problem of the file', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kom-names-'));
  try {
    const tags = Object.fromEntries(
      Array.from({ length: 100 }, (_, at) => [`t${at}`, { address: at, type: 'uint16' }]),
    );
    const stations = Object.fromEntries(
      Array.from({ length: 150 }, (_, at) => [`${'S'.repeat(40)}${at}`, { unit: 1, template: 'wide' }]),
    );
    const file = join(directory, 'site.json');
    const line = { driver: 'modbus-tcp', address: '127.0.0.1:502', stations };
    writeFileSync(
      file,
      JSON.stringify({
        ...{
          site: 'S',
          nameTemplate: `${'{station}'.repeat(60)}.{tag}`,
          kernels: [],
          servers: { A: { instance: 1 } },
          templates: { wide: { tags } },
        },
        processes: { KomA: { lines: { one: line } } },
      }),
    );
    await expect(loadSite(file)).rejects.toThrow(/names of the tags are too long, all together/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
