import { expect, test } from 'vitest';
import { SerialQueue } from './serial-queue.ts';

/** Jobs by name that end when they are told to. */
function setUp() {
  const queue = new SerialQueue();
  const order: string[] = [];
  const ends = new Map<string, () => void>();
  const job = (name: string) => async () => {
    order.push(name);
    await new Promise<void>((resolve) => ends.set(name, resolve));
  };
  const end = async (name: string) => {
    ends.get(name)?.();
    for (let turn = 0; turn < 40; turn += 1) await null;
  };
  return { queue, order, job, end };
}

test('an urgent job goes ahead of what waits, never of what runs', async () => {
  const { queue, order, job, end } = setUp();
  for (const name of ['a', 'b']) void queue.run(job(name));
  await end('');
  void queue.runFirst(job('urgent'));
  for (const name of ['a', 'urgent', 'b']) await end(name);
  expect(order).toEqual(['a', 'urgent', 'b']);
});

test('who waits for an urgent job gets the next one in before any other', async () => {
  const { queue, order, job, end } = setUp();
  const twice = async () => {
    await queue.runFirst(job('first'));
    await queue.runFirst(job('second'));
  };
  void twice();
  void queue.run(job('other'));
  await end('');
  for (const name of ['first', 'second', 'other']) await end(name);
  expect(order).toEqual(['first', 'second', 'other']);
});

test('urgent jobs without end let another one pass now and then', async () => {
  const queue = new SerialQueue();
  let isThrough = false;
  let count = 0;
  const again = async (): Promise<void> => {
    while (!isThrough && count < 100) {
      await queue.runFirst(async () => {
        count += 1;
      });
    }
  };
  void queue.run(async () => {});
  const urgent = again();
  await queue.run(async () => {
    isThrough = true;
  });
  await urgent;
  expect(count).toBeLessThan(20);
});

test('a job that fails fails for its caller only', async () => {
  const queue = new SerialQueue();
  await expect(queue.run(() => Promise.reject(new Error('this one')))).rejects.toThrow('this one');
  expect(await queue.run(async () => 7)).toBe(7);
});
