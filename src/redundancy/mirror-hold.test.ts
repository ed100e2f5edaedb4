import { expect, it } from 'vitest';
import { MirrorStore } from '../buffer/mirror-store.ts';
import { START_US } from '../buffer/ring.fixture.ts';
import type { Block } from '../domain/block/block.ts';
import { encodeBlock } from '../domain/block/codec.ts';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import type { TagClass } from '../domain/stream.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { MirrorHold } from './mirror-hold.ts';

const ALARMS = 'a'.repeat(32);
const OTHERS = 'b'.repeat(32);
const CAPACITY_BYTES = 60_000;

function dictionaryOf(name: string, tagClass: TagClass) {
  const tag = { name, station: 'P', class: tagClass, type: 'text', unit: '', formerly: [] } as const;
  return encodeDictionary({ site: 'S', process: 'KomA', tags: [tag] });
}
const ALARM = dictionaryOf('P.alarm', 'alarm');
const OTHER = dictionaryOf('P.flow', 'measurement');

/** A number of about 400 bytes that do not compress. */
function blockOf(streamId: string, sequence: number, dictionaryHash: string): Block {
  const random = createSimulatedRandom(sequence);
  const value = Array.from({ length: 400 }, () => String.fromCharCode(33 + random.below(90))).join('');
  const sample = { tagIndex: 0, sourceTimeUs: START_US + sequence, value, quality: 0, cause: 'change' };
  const place = { streamId, firstSequence: sequence, dictionaryHash, sealedMonotonicUs: sequence };
  return encodeBlock([{ ...sample, cause: 'change' }], place);
}

function stream(streamId: string) {
  const info = { streamId, bootId: 'c'.repeat(32), startedAtUs: START_US, previous: null };
  return { info, ownerInstance: 1, endedAtUs: null, producedTo: 1000 };
}

class Machine {
  readonly clock = new SimulatedClock();
  readonly #main = new SimulatedDisk(this.clock, createSimulatedRandom(1));
  readonly #alarms = new SimulatedDisk(this.clock, createSimulatedRandom(2));

  async hold(hasAlarms: boolean): Promise<MirrorHold> {
    const store = (disk: SimulatedDisk) => {
      const bound = { boundBytes: () => CAPACITY_BYTES, segmentBytes: CAPACITY_BYTES / 10 };
      return MirrorStore.open({ disk, ...bound, clock: this.clock, log: silentLog, ownerInstance: 1 });
    };
    const hold = new MirrorHold({
      main: await store(this.#main),
      alarms: hasAlarms ? await store(this.#alarms) : null,
      ...{ memoryBytes: 20_000, writesAll: true, clock: this.clock },
    });
    hold.dictionaries.put(ALARM.hash, ALARM.bytes);
    hold.dictionaries.put(OTHER.hash, OTHER.bytes);
    return hold;
  }
}

async function afterFlood(hasAlarms: boolean): Promise<{ machine: Machine; hold: MirrorHold }> {
  const machine = new Machine();
  const hold = await machine.hold(hasAlarms);
  hold.tell([stream(ALARMS), stream(OTHERS)]);
  for (let sequence = 1; sequence <= 5; sequence++) hold.take(blockOf(ALARMS, sequence, ALARM.hash), true);
  for (let sequence = 1; sequence <= 1000; sequence++) {
    hold.take(blockOf(OTHERS, sequence, OTHER.hash), true);
    await machine.clock.advance(1);
  }
  await machine.clock.advance(5000);
  return { machine, hold };
}

it('alarms with a mirror of their own are not pushed out by measurements, nor by a restart', async () => {
  const { machine, hold } = await afterFlood(true);
  expect(hold.held(ALARMS)).toEqual([{ first: 1, last: 5 }]);
  const [oldest, ...more] = hold.held(OTHERS);
  expect(oldest?.first, 'what is measured is pushed out').toBeGreaterThan(500);
  expect([oldest?.last, more]).toEqual([1000, []]);
  const closed = hold.close();
  await machine.clock.advance(1000);
  await closed;
  const again = await machine.hold(true);
  expect(again.held(ALARMS)).toEqual([{ first: 1, last: 5 }]);
  const reading = again.read(ALARMS, { first: 1, last: 5 }, 10_000);
  await machine.clock.advance(100);
  expect((await reading).map(({ header }) => header.firstSequence)).toEqual([1, 2, 3, 4, 5]);
});

it('alarms without one share the fate of all', async () => {
  const { hold } = await afterFlood(false);
  expect(hold.held(ALARMS)).toEqual([]);
});
