import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createSimulatedRandom } from '../simulated/random.ts';
import { bootId } from './boot.ts';
import { createRandom } from './random.ts';

it.skipIf(!existsSync('/proc/sys/kernel/random/boot_id'))('names the boot the same in every process', () => {
  expect(bootId(createRandom())).toMatch(/^[0-9a-f]{32}$/);
  expect(bootId(createSimulatedRandom(1))).toBe(bootId(createSimulatedRandom(2)));
});

it('mints an identity where the system tells none, or nonsense', () => {
  expect(bootId(createSimulatedRandom(1), '/nowhere/boot_id')).toMatch(/^[0-9a-f]{32}$/);
  expect(bootId(createSimulatedRandom(1), '/dev/null')).not.toBe(
    bootId(createSimulatedRandom(2), '/dev/null'),
  );
});

it('gives bytes and fractions that differ', () => {
  const random = createRandom();
  expect(random.bytes(16)).toHaveLength(16);
  expect(Buffer.from(random.bytes(16)).equals(random.bytes(16))).toBe(false);
  const fraction = random.fraction();
  expect(fraction >= 0 && fraction < 1).toBe(true);
});
