import { describe, expect, it } from 'vitest';
import { KernelClock } from './clock-exchange.ts';

const OFFSET_US = 1_795_000_000_000_000;

/** A question that took its time there and back; the Kernel held it for a while. */
function exchange(
  sentUs: number,
  way: { thereUs: number; heldUs?: number; backUs: number; aheadUs?: number },
) {
  const { thereUs, heldUs = 0, backUs, aheadUs = 0 } = way;
  const kernelReceivedUs = sentUs + thereUs + OFFSET_US + aheadUs;
  return {
    sentUs,
    kernelReceivedUs,
    kernelSentUs: kernelReceivedUs + heldUs,
    receivedUs: sentUs + thereUs + heldUs + backUs,
  };
}

describe("the Kernel's clock", () => {
  it('is not known before an exchange', () => {
    expect(new KernelClock().at(0)).toBeNull();
  });

  it('is known within half of the way there and back, however long the Kernel held the question', () => {
    const clock = new KernelClock();
    clock.note(exchange(1000, { thereUs: 30_000, heldUs: 400_000, backUs: 10_000 }));
    const known = clock.at(441_000);
    expect(known?.uncertaintyUs).toBe(20_000);
    expect(Math.abs((known?.offsetUs ?? 0) - OFFSET_US)).toBeLessThanOrEqual(20_000);
  });

  it('is taken from the quickest of the last eight exchanges', () => {
    const clock = new KernelClock();
    clock.note(exchange(0, { thereUs: 300, backUs: 300 }));
    for (let n = 1; n <= 7; n++) clock.note(exchange(n * 1e6, { thereUs: 90_000, backUs: 1000 }));
    expect(clock.at(7e6)?.offsetUs).toBe(OFFSET_US);
    clock.note(exchange(8e6, { thereUs: 90_000, backUs: 1000 }));
    expect(clock.at(8e6)?.uncertaintyUs).toBeGreaterThan(40_000);
  });

  it('becomes less certain with age: 50 µs in a second', () => {
    const clock = new KernelClock();
    clock.note(exchange(0, { thereUs: 500, backUs: 500 }));
    expect(clock.at(1000)?.uncertaintyUs).toBe(500);
    expect(clock.at(1000 + 3600e6)?.uncertaintyUs).toBe(500 + 180_000);
  });

  it('that was set, or is that of another Kernel, is the new one at once', () => {
    const clock = new KernelClock();
    clock.note(exchange(0, { thereUs: 300, backUs: 300 }));
    clock.note(exchange(1e6, { thereUs: 90_000, backUs: 1000, aheadUs: 3600e6 }));
    expect(Math.abs((clock.at(1.1e6)?.offsetUs ?? 0) - OFFSET_US - 3600e6)).toBeLessThan(46_000);
  });

  it.each([
    [
      'the Kernel answered before it heard',
      { sentUs: 0, kernelReceivedUs: 10, kernelSentUs: 5, receivedUs: 20 },
    ],
    [
      'the answer came before the question',
      { sentUs: 9, kernelReceivedUs: 1, kernelSentUs: 1, receivedUs: 3 },
    ],
    ['it was held longer than it took', { sentUs: 0, kernelReceivedUs: 0, kernelSentUs: 9e6, receivedUs: 5 }],
  ])('is not learnt where %s', (_, each) => {
    const clock = new KernelClock();
    expect(clock.note(each)).toBe(false);
    expect(clock.at(0)).toBeNull();
  });
});
