import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadSite } from '../config/load.ts';
import { SiteReader } from './site-reader.ts';

const TAGS = Object.fromEntries(
  Array.from({ length: 10 }, (_, at) => [`t${at}`, { address: 2 * at, type: 'float32' }]),
);

let file: string;

beforeEach(() => {
  file = join(mkdtempSync(join(tmpdir(), 'kom-reader-')), 'site.json');
});

afterEach(() => {
  rmSync(join(file, '..'), { recursive: true });
});

/** A site of so many tags. */
function write(tags: number, change: object = {}): void {
  const line = (first: number) => ({
    ...{ driver: 'modbus-tcp', address: '127.0.0.1' },
    stations: Object.fromEntries(
      Array.from({ length: 20 }, (_, at) => [`P${first + at}`, { unit: at + 1, tags: TAGS }]),
    ),
  });
  const lines = Array.from({ length: tags / 200 }, (_, at) => [`plc${at}`, line(20 * at)] as const);
  const site = {
    ...{ site: 'Test', kernels: [{ address: '127.0.0.1' }], servers: { A: { instance: 1 } } },
    processes: { KomA: { lines: Object.fromEntries(lines) } },
    ...change,
  };
  writeFileSync(file, JSON.stringify(site));
}

/** In its place, and in a thread of its own. */
const SIZES = [200, 4000] as const;

it.each(SIZES)('of %s tags it tells where the Kernels are', async (tags) => {
  write(tags);
  const reader = new SiteReader(file, 'A', await loadSite(file, { server: 'A' }));
  write(tags, { kernels: [{ address: '127.0.0.1:7000', localAddress: { A: '127.0.0.9' } }] });
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  const { places, problems } = await reader.read();
  clearInterval(timer);
  expect(places).toMatchObject({
    kernels: [{ port: 7000, localAddresses: { A: '127.0.0.9' } }],
    waiting: [],
  });
  expect(problems).toEqual([]);
  // A large one does not keep anybody waiting.
  if (tags > 1000) expect(turns).toBeGreaterThan(20);
});

it.each(SIZES)('of %s tags it tells what is wrong in the words of the loader', async (tags) => {
  write(tags);
  const reader = new SiteReader(file, 'A', await loadSite(file, { server: 'A' }));
  write(tags, { clock: 'sun' });
  const said = await loadSite(file, { server: 'A' }).catch((error: Error) => error.message);
  await expect(reader.read()).rejects.toMatchObject({ code: 'KOM_CONFIG_INVALID', message: said });
});
