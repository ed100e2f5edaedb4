import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isKomError } from '../domain/errors.ts';
import {
  allOf,
  blockOf,
  DICTIONARY,
  HASH,
  STREAM,
  sampleOf,
  streamOf,
  transactionOf,
} from './archive.fixture.ts';
import type { Archive } from './archive.ts';
import type { RoleSession, SharedArchive } from './shared-archive.ts';

/** A shared archive under test. */
export interface SharedFixture {
  /** The same archive, as another Kernel has it. */
  readonly shared: () => SharedArchive;
  /** The session of this Kernel ends without a word. */
  readonly vanish: (name: string) => Promise<void>;
  readonly dispose: () => Promise<void>;
}

const UNAVAILABLE = expect.objectContaining({ code: 'KOM_ARCHIVE_UNAVAILABLE' });
const STANDBY = expect.objectContaining({ code: 'KOM_KERNEL_STANDBY' });

const codeOf = (error: unknown): string => (isKomError(error) ? error.code : String(error));

/** What every archive does that several Kernels share. */
export function sharedArchiveContract(name: string, make: () => Promise<SharedFixture>): void {
  describe(`shared archive contract: ${name}`, () => {
    let fixture: SharedFixture;
    let one: SharedArchive;
    let two: SharedArchive;
    const sessions: RoleSession[] = [];
    const archives: Archive[] = [];
    const reigns: AbortController[] = [];

    beforeEach(async () => {
      fixture = await make();
      one = fixture.shared();
      two = fixture.shared();
      await one.prepare();
      await two.prepare();
    });
    afterEach(async () => {
      for (const archive of archives.splice(0)) await archive.close();
      for (const session of sessions.splice(0)) await session.close();
      await fixture.dispose();
    });

    const enter = async (shared: SharedArchive, kernel: string): Promise<RoleSession> => {
      const session = await shared.openSession(kernel);
      sessions.push(session);
      return session;
    };
    const claimed = async (session: RoleSession, above = 0): Promise<number> => {
      const epoch = await session.claim(above);
      if (epoch === null) throw new Error('another Kernel has the lock');
      return epoch;
    };
    const ruling = async (shared: SharedArchive, epoch: number): Promise<Archive> => {
      const reign = new AbortController();
      reigns.push(reign);
      const archive = await shared.rule({ epoch, signal: reign.signal });
      archives.push(archive);
      return archive;
    };
    const prepared = async (archive: Archive): Promise<void> => {
      await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
      await archive.commit(transactionOf({ streams: [streamOf()] }));
    };
    const put = (archive: Archive, sequence: number): Promise<void> =>
      archive.commit(transactionOf({ blocks: [blockOf(sequence, [sampleOf(sequence * 1000, sequence)])] }));

    test('whoever has the lock raises the epoch, and nobody else gets it', async () => {
      const [a, b] = [await enter(one, 'A'), await enter(two, 'B')];
      const both = [
        { name: 'A', isPresent: true },
        { name: 'B', isPresent: true },
      ];
      expect(await a.look()).toEqual({ epoch: 0, hot: '', next: '', holder: 'nobody', kernels: both });
      expect(await a.claim(0)).toBe(1);
      expect(await b.claim(0)).toBeNull();
      expect(await a.look()).toEqual({ epoch: 1, hot: 'A', next: '', holder: 'self', kernels: both });
      expect(await b.look()).toEqual({ epoch: 1, hot: 'A', next: '', holder: 'other', kernels: both });
    });

    test('the lock goes with its session; the epoch and who had it stay', async () => {
      const [a, b] = [await enter(one, 'A'), await enter(two, 'B')];
      await a.claim(0);
      await a.close();
      const left = await b.look();
      expect(left).toMatchObject({ epoch: 1, hot: 'A', holder: 'nobody' });
      expect(left.kernels).toEqual([{ name: 'B', isPresent: true }]);
      expect(await b.claim(6)).toBe(7);
      await fixture.vanish('B');
      const again = await enter(one, 'A');
      const seen = await again.look();
      expect(seen).toMatchObject({ epoch: 7, hot: 'B', holder: 'nobody' });
      expect(seen.kernels.find((kernel) => kernel.name === 'B')).toEqual({ name: 'B', isPresent: false });
      expect(await again.claim(2)).toBe(8);
    });

    test('a session that is over is of no use, and says so', async () => {
      const a = await enter(one, 'A');
      await a.claim(0);
      await fixture.vanish('A');
      await expect(a.look()).rejects.toEqual(UNAVAILABLE);
      expect(a.isAlive).toBe(false);
      for (const use of [() => a.look(), () => a.claim(0), () => a.hand('B'), () => a.depose()]) {
        await expect(use()).rejects.toEqual(UNAVAILABLE);
      }
      await a.close();
    });

    test('two Kernels of one name are not there at once', async () => {
      const first = await enter(one, 'A');
      const taken = { code: 'KOM_ALREADY_RUNNING', from: expect.any(String) };
      await expect(two.openSession('A')).rejects.toMatchObject(taken);
      await first.close();
      expect((await (await enter(two, 'A')).look()).kernels).toEqual([{ name: 'A', isPresent: true }]);
    });

    test('the lock is handed to one Kernel, until somebody takes it', async () => {
      const [a, b] = [await enter(one, 'A'), await enter(two, 'B')];
      await a.claim(0);
      await a.hand('B');
      expect(await a.look()).toMatchObject({ hot: 'A', next: 'B', holder: 'nobody' });
      expect(await b.claim(0)).toBe(2);
      expect(await a.look()).toMatchObject({ hot: 'B', next: '', holder: 'other' });
      expect(a.isAlive).toBe(true);
    });

    test('the session that has the lock is ended for another Kernel', async () => {
      const [a, b] = [await enter(one, 'A'), await enter(two, 'B')];
      await a.claim(0);
      await b.depose();
      expect(await claimedSoon(b)).toBe(2);
      await expect(a.look()).rejects.toEqual(UNAVAILABLE);
      expect(await (await enter(one, 'A')).look()).toMatchObject({ hot: 'B', holder: 'other', epoch: 2 });
      await b.depose();
      expect(await b.look()).toMatchObject({ hot: 'B', next: '', holder: 'self', epoch: 2 });
    });

    test('of a lower epoch nothing is written any more', async () => {
      const [a, b] = [await enter(one, 'A'), await enter(two, 'B')];
      const former = await ruling(one, await claimed(a));
      await prepared(former);
      await put(former, 1);
      await a.close();
      const epoch = await claimed(b);
      // Nobody has told the former one.
      const term = { site: 'S', process: 'P', term: 1, holder: 1 };
      await expect(put(former, 2)).rejects.toEqual(STANDBY);
      await expect(former.raiseTerm(term)).rejects.toEqual(STANDBY);
      await expect(former.putDictionary('other', new Uint8Array(), DICTIONARY)).rejects.toEqual(STANDBY);
      await expect(ruling(one, epoch - 1)).rejects.toEqual(STANDBY);
      const present = await ruling(two, epoch);
      expect(await present.coverage(STREAM)).toEqual([{ first: 1, last: 1, state: 'data' }]);
      expect(await present.terms()).toEqual([]);
      expect(await present.dictionary('other')).toBeUndefined();
      await expect(put(former, 2)).rejects.toEqual(STANDBY);
      // And the former one ended no session of the present one.
      await put(present, 2);
      expect((await present.samples(allOf('P1.a'))).map(({ sequence }) => sequence)).toEqual([1, 2]);
    });

    test('a reign that ends in the middle of its transactions writes nothing in the next one', async () => {
      const [a, b] = [await enter(one, 'A'), await enter(two, 'B')];
      const former = await ruling(one, await claimed(a));
      await prepared(former);
      let last = 0;
      const writing = (async () => {
        for (let sequence = 1; ; sequence++) {
          await put(former, sequence);
          last = sequence;
        }
      })().catch((error: unknown) => error);
      while (last < 3) await put(former, 1);
      await a.close();
      const present = await ruling(two, await claimed(b));
      const begun = await present.coverage(STREAM);
      const error = await writing;
      expect(['KOM_KERNEL_STANDBY', 'KOM_ARCHIVE_UNAVAILABLE']).toContain(codeOf(error));
      // What it was told is there; the last one may be there too.
      expect(begun[0]?.last).toBeGreaterThanOrEqual(last);
      const kept = (await present.samples(allOf('P1.a'))).map(({ sequence }) => sequence);
      expect(kept.at(-1)).toBe(begun[0]?.last);
      await expect(put(former, last + 2)).rejects.toEqual(STANDBY);
      expect(await present.coverage(STREAM)).toEqual(begun);
    });

    test('a reign that is over here writes nothing, whoever is hot', async () => {
      const a = await enter(one, 'A');
      const archive = await ruling(one, await claimed(a));
      await prepared(archive);
      reigns.at(-1)?.abort();
      await expect(put(archive, 1)).rejects.toEqual(STANDBY);
      const next = await ruling(one, await claimed(a));
      expect(await next.coverage(STREAM)).toEqual([]);
      await put(next, 1);
    });

    test('each reign has what the one before it wrote, names and all', async () => {
      const [a, b] = [await enter(one, 'A'), await enter(two, 'B')];
      let session = a;
      let sequence = 0;
      for (const [shared, next] of [
        [one, b],
        [two, a],
        [one, b],
      ] as const) {
        const archive = await ruling(shared, await claimed(session));
        await prepared(archive);
        await put(archive, ++sequence);
        await archive.raiseTerm({ site: 'S', process: 'P', term: sequence, holder: 1 });
        await session.hand(next === a ? 'A' : 'B');
        session = next;
      }
      const archive = await ruling(two, await claimed(session));
      expect(await archive.coverage(STREAM)).toEqual([{ first: 1, last: 3, state: 'data' }]);
      expect(await archive.terms()).toEqual([{ site: 'S', process: 'P', term: 3, holder: 1 }]);
      expect((await archive.samples(allOf('P1.a'))).map(({ value }) => value)).toEqual([1, 2, 3]);
      expect(await archive.tags('S')).toHaveLength(DICTIONARY.tags.length);
    });

    test('a follower answers with what is there, and writes nothing', async () => {
      const follower = two.follow();
      archives.push(follower);
      const a = await enter(one, 'A');
      const archive = await ruling(one, await claimed(a));
      await prepared(archive);
      for (const sequence of [1, 2]) {
        await put(archive, sequence);
        await expect
          .poll(() => follower.coverage(STREAM), { timeout: 3000 })
          .toEqual([{ first: 1, last: sequence, state: 'data' }]);
        expect(await follower.samples(allOf('P1.a'))).toHaveLength(sequence);
      }
      await expect(put(follower, 3)).rejects.toEqual(UNAVAILABLE);
      expect(await archive.coverage(STREAM)).toEqual([{ first: 1, last: 2, state: 'data' }]);
    });

    /** A session that is ended takes a moment to let go. */
    async function claimedSoon(session: RoleSession): Promise<number> {
      let epoch: number | null = null;
      await expect
        .poll(
          async () => {
            epoch ??= await session.claim(0);
            return epoch;
          },
          { timeout: 3000, interval: 20 },
        )
        .not.toBeNull();
      return epoch ?? 0;
    }
  });
}
