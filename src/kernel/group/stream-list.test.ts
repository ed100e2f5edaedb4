import { describe, expect, it } from 'vitest';
import type { Archive, ArchivedStream, ArchivedTag } from '../../world/archive.ts';
import { StreamList } from './stream-list.ts';

function streamOf(at: number, change: Partial<ArchivedStream> = {}): ArchivedStream {
  return {
    ...{ streamId: `stream ${at}`, bootId: 'boot', startedAtUs: at, previous: null },
    ...{ site: 'S', process: 'KomA', instance: 1, coverage: [{ first: 1, last: 5, state: 'data' }] },
    ...{ observedUntilUs: 1000, endedAtUs: null, endedSequence: null, ...change },
  };
}

/** An archive of one process, whose streams are what is given. */
function listOf(streams: ArchivedStream[]): StreamList {
  const tag = { site: 'S', process: 'KomA' } as ArchivedTag;
  const archive: Pick<Archive, 'streams' | 'tags'> = {
    tags: () => Promise.resolve([tag]),
    streams: () => Promise.resolve([...streams]),
  };
  return new StreamList(archive);
}

const idsOf = (list: StreamList): string[] => list.untold().map(({ streamId }) => streamId);

describe('the streams that a taker is told of', () => {
  it('are all of them once, then those of which there is more to say', async () => {
    const streams = [streamOf(1), streamOf(2), streamOf(3)];
    const list = listOf(streams);
    await list.load(true);
    expect(idsOf(list)).toEqual(['stream 1', 'stream 2', 'stream 3']);
    list.told(list.untold());
    await list.load(false);
    expect(idsOf(list)).toEqual([]);
    streams[0] = streamOf(1, { endedAtUs: 9, endedSequence: 5 });
    streams[1] = streamOf(2, { observedUntilUs: 2000 });
    streams[2] = streamOf(3, { coverage: [{ first: 1, last: 6, state: 'data' }] });
    await list.load(false);
    expect(list.untold()).toMatchObject([
      { ended: { atUs: 9, lastSequence: 5 } },
      { observedUntilUs: 2000 },
      { observedSequence: 6 },
    ]);
  });

  it('are all of them again where the connection is a new one, 500 at a time', async () => {
    const list = listOf(Array.from({ length: 1200 }, (_, at) => streamOf(at)));
    await list.load(true);
    for (const round of ['first', 'second']) {
      const named: number[] = [];
      for (let untold = list.untold(); untold.length > 0; untold = list.untold()) {
        list.told(untold);
        for (const { streamId } of untold) list.answered(streamId);
        named.push(untold.length);
      }
      expect(named, round).toEqual([500, 500, 200]);
      expect(list.isAnswered).toBe(true);
      list.forget();
      expect(list.isAnswered).toBe(false);
    }
  });
});
