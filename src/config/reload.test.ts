import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigProblems, loadSite } from './load.ts';
import { changesForRestart, reloadSite } from './reload.ts';
import { type Json, load, site } from './site.fixture.ts';

type Change = Parameters<typeof site>[0];

/** A site with what may change, and two Kernels. */
const first: Change = (raw) => {
  raw['kernels'] = [{ address: '10.1.0.5' }, { address: '10.2.0.5', localAddress: { A: '10.2.0.1' } }];
  raw['tls'] = {};
  const { processes } = raw as unknown as { processes: { KomA: Json } };
  processes.KomA['uplink'] = { listen: { address: '10.1.0.1', allowFrom: ['10.1.0.5'] } };
};

/** Places that an agent which runs with the first site refuses. */
function placesOf(change: NonNullable<Change>, files: [string, string] = ['', '']): string[] {
  const [before, after] = files;
  const running = load(site(first), { readFile: () => before });
  const next = site((raw) => {
    first?.(raw);
    change(raw);
  });
  return changesForRestart(running, load(next, { readFile: () => after })).map(({ path }) => path);
}

const komA = (raw: Json) => (raw['processes'] as { KomA: { uplink: { listen: Json } } & Json }).KomA;

describe('a site file that is read anew', () => {
  it('may say something else of the Kernels, and of where they dial from', () => {
    expect(placesOf(() => {})).toEqual([]);
    const other: Change = (raw) => {
      raw['kernels'] = [
        { address: '10.2.0.5', localAddress: { A: '10.2.0.2' } },
        { address: '10.3.0.7:4000' },
      ];
      komA(raw).uplink.listen['allowFrom'] = ['10.3.0.0/24'];
    };
    expect(placesOf(other as NonNullable<Change>)).toEqual([]);
  });

  it('is the same with comments, other spacing and defaults written out', () => {
    const wordy: NonNullable<Change> = (raw) => {
      raw['$comment'] = 'moved';
      raw['$schema'] = './site.schema.json';
      raw['clock'] = 'system';
    };
    expect(placesOf(wordy)).toEqual([]);
  });

  it('is refused for everything else, each at its place', () => {
    const changed: NonNullable<Change> = (raw) => {
      raw['clock'] = 'kernel';
      raw['kernels'] = [];
      komA(raw)['buffer'] = { capacity: '3GB' };
      komA(raw).uplink.listen['address'] = '10.1.0.2';
      raw.servers['B'] = { instance: 2 };
      (raw.lines['plc'] as { stations: { P1: Json } }).stations.P1['unit'] = 2;
    };
    expect(placesOf(changed).sort()).toEqual([
      '$.clock',
      '$.processes.KomA.buffer.capacity',
      '$.processes.KomA.lines.plc.stations.P1.unit',
      '$.processes.KomA.uplink.listen.address',
      '$.servers.B',
    ]);
  });

  it('is refused for another order of lines: tags are numbered by it', () => {
    const two = (order: string[]) =>
      load(
        site((raw) => {
          const { plc } = raw.lines;
          delete raw.lines['plc'];
          for (const name of order) raw.lines[name] = { ...(plc as Json), stations: { [name]: { unit: 1 } } };
        }),
      );
    const places = changesForRestart(two(['one', 'two']), two(['two', 'one'])).map(({ path }) => path);
    expect(places).toEqual(['$.processes.KomA.lines']);
  });

  it('is refused where another file that it names changed, without a word of what that says', () => {
    const running = (secret: string) =>
      load(
        site((raw) => {
          raw.lines['opcua'] = {
            ...{
              driver: 'opcua',
              endpoint: 'opc.tcp://10.0.0.7:4840',
              user: { name: 'kom', password: { env: 'P' } },
            },
            stations: { R1: { tags: { level: { nodeId: 'ns=1;s=L', type: 'float64' } } } },
          };
        }),
        { environment: () => secret },
      );
    const changes = changesForRestart(running('former'), running('latter'));
    expect(changes).toEqual([
      {
        path: '$.processes.KomA.lines.opcua.user.password',
        message: 'changed outside this file',
        hint: expect.stringContaining('restart'),
      },
    ]);
  });

  it('is loaded as at the start: with mistakes it is refused with all of them', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kom-reload-'));
    try {
      const file = join(directory, 'site.json');
      const write = (raw: Json) => writeFileSync(file, JSON.stringify(raw));
      write(site());
      const running = await loadSite(file, { server: 'A' });
      write({ ...site(), kernels: [{ address: '127.0.0.1:70000' }], clock: 'sun' });
      const mistakes = await reloadSite(file, running, { server: 'A' }).catch((error: unknown) => error);
      expect((mistakes as ConfigProblems).problems.map(({ path }) => path)).toEqual([
        '$.kernels[0].address',
        '$.clock',
      ]);
      write({ ...site(), clock: 'kernel' });
      const refused = await reloadSite(file, running, { server: 'A' }).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(ConfigProblems);
      expect((refused as Error).message).toContain(
        '1 problem in site.json\n  $.clock: changed; a reload takes',
      );
      write({ ...site(), kernels: [{ address: '127.0.0.1:7000' }] });
      const { places } = await reloadSite(file, running, { server: 'A' });
      expect(places).toMatchObject({ kernels: [{ port: 7000 }], waiting: [] });
      expect(places.siteHash).not.toBe(running.site.hash);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
