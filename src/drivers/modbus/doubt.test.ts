import { describe, expect, it } from 'vitest';
import { dataBytes, LateAnswers, type ReadRequest } from './doubt.ts';

const request: ReadRequest = { unit: 1, table: 'holding-register', address: 10, count: 4 };

describe('late answers on RTU', () => {
  it('asks for a marker of another length than anything outstanding', () => {
    const late = new LateAnswers(1000);
    expect(late.markerFor(request, 0)).toBeNull();
    const seen = new Set([dataBytes(request)]);
    late.unanswered(request, 0);
    for (let round = 0; round < 5; round++) {
      const marker = late.markerFor(request, 0);
      if (marker === null) throw new Error('no marker');
      expect(seen.has(dataBytes(marker))).toBe(false);
      seen.add(dataBytes(marker));
      late.unanswered(marker, 0);
    }
  });

  it('finds a marker for the shortest reads', () => {
    for (const shortest of [
      { ...request, count: 1 },
      { ...request, table: 'coil' as const, count: 3 },
    ]) {
      const late = new LateAnswers(1000);
      late.unanswered(shortest, 0);
      const marker = late.markerFor(shortest, 0);
      expect(marker).not.toBeNull();
      expect(marker === null ? 0 : dataBytes(marker)).not.toBe(dataBytes(shortest));
    }
  });

  it('ends with an answer, or with time; other units are not concerned', () => {
    const late = new LateAnswers(1000);
    late.unanswered(request, 0);
    expect(late.markerFor({ ...request, unit: 2 }, 0)).toBeNull();
    late.resolved(1);
    expect(late.markerFor(request, 1)).toBeNull();
    late.unanswered(request, 10);
    expect(late.markerFor(request, 1009)).not.toBeNull();
    expect(late.markerFor(request, 1010)).toBeNull();
  });
});
