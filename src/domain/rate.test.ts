import { describe, expect, it } from 'vitest';
import { BufferPacer, RateMeter } from './rate.ts';

describe('rate meter', () => {
  it('says nothing before it knows', () => {
    const meter = new RateMeter(60_000);
    expect(meter.perSecond).toBeNull();
    meter.note(0, 5);
    meter.note(500, 10);
    expect(meter.perSecond).toBeNull();
  });

  it('gives the rate of the window, not of the whole past', () => {
    const meter = new RateMeter(60_000);
    for (let second = 0; second <= 600; second++) {
      meter.note(second * 1000, second < 300 ? second * 1000 : 300_000 + (second - 300) * 10);
    }
    expect(meter.perSecond).toBeCloseTo(10, 5);
  });

  it('keeps its bound whatever the pace of the readings', () => {
    const meter = new RateMeter(60_000);
    for (let at = 0; at < 100_000; at++) meter.note(at * 10, at);
    expect(meter.perSecond).toBeCloseTo(100, 0);
  });

  it('begins anew where the counter went back', () => {
    const meter = new RateMeter(60_000);
    meter.note(0, 1000);
    meter.note(10_000, 0);
    meter.note(20_000, 50);
    expect(meter.perSecond).toBe(5);
  });
});

/** A ring in which nothing waits. */
const EMPTY = { segmentBytes: 100_000, ringSamples: 0, ringBytes: 0 };

describe('pace of a buffer', () => {
  it('says when the ring is full and when it is empty', () => {
    const pacer = new BufferPacer();
    for (let second = 0; second <= 20; second++) {
      const acceptedSamples = second * 100;
      const counters = { acceptedSamples, acceptedBytes: acceptedSamples * 3 };
      pacer.note(second * 1000, { ...counters, deliveredSamples: second * 600 });
    }
    const pace = pacer.pace({ ...EMPTY, freeBytes: 300 * 3600, waitingSamples: 10_000 });
    expect(pace).toMatchObject({ samplesPerS: 100, bytesPerS: 300, deliveredPerS: 600 });
    expect(pace.fullInMs).toBe(3_600_000);
    expect(pace.drainedInMs).toBe(20_000);
  });

  it('sees no end where as much comes as goes', () => {
    const pacer = new BufferPacer();
    for (let second = 0; second <= 20; second++) {
      const samples = second * 100;
      pacer.note(second * 1000, { acceptedSamples: samples, acceptedBytes: 0, deliveredSamples: samples });
    }
    expect(pacer.pace({ ...EMPTY, freeBytes: 1, waitingSamples: 10 })).toMatchObject({
      drainedInMs: null,
      fullInMs: null,
    });
  });

  describe('where 10 samples of 40 bytes come in a second, and 1 MB is free', () => {
    const SECOND = 400;
    function fullInS(held: { readonly ringSamples: number; readonly ringBytes: number }): number {
      const pacer = new BufferPacer();
      for (let second = 0; second <= 20; second++) {
        const counters = { acceptedSamples: second * 10, acceptedBytes: second * SECOND };
        pacer.note(second * 1000, { ...counters, deliveredSamples: 0 });
      }
      const { fullInMs } = pacer.pace({ ...EMPTY, ...held, freeBytes: 1_000_000, waitingSamples: 1 });
      return (fullInMs ?? Number.NaN) / 1000;
    }

    it('joined blocks that wait tell what a sample will take, but for the last segment', () => {
      const held = { ringSamples: 100_000, ringBytes: 800_000 };
      expect(fullInS(held)).toBeCloseTo(900_000 / 80 + 100_000 / SECOND, 6);
    });

    it('is told as it comes in before anything waits, and where what waits takes no less', () => {
      expect(fullInS({ ringSamples: 0, ringBytes: 0 })).toBeCloseTo(1_000_000 / SECOND, 6);
      // A segment of which little waits still.
      expect(fullInS({ ringSamples: 10, ringBytes: 100_000 })).toBeCloseTo(1_000_000 / SECOND, 6);
    });
  });
});
