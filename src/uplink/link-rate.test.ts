import { expect, it } from 'vitest';
import { LinkRate, WAITING_BYTES_MAX, WAITING_BYTES_MIN } from './link-rate.ts';

interface Line {
  readonly bytesPerS: number;
  /** There and back. */
  readonly tripMs: number;
}

interface Outcome {
  readonly bytesPerS: number;
  readonly waitedMaxMs: number;
}

/** Keeps a link as full as its bound allows for 30 s; what it carried, and how long bytes waited. */
function drive(link: LinkRate, line: Line): Outcome {
  const reports: { readonly atMs: number; readonly total: number }[] = [];
  let freeMs = 0;
  let sent = 0;
  let arrived = 0;
  let waitedMaxMs = 0;
  for (let nowMs = 0; nowMs < 30_000; nowMs++) {
    while ((reports[0]?.atMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
      arrived = reports.shift()?.total ?? arrived;
      link.arrived(arrived, nowMs);
    }
    const isProbe = link.isProbeDue(nowMs);
    if (isProbe && link.waitingBytes > 0) continue;
    const bytes = isProbe ? 40 : Math.min(16_384, link.messageBytesMax);
    if (sent - arrived > 0 && sent - arrived + bytes > link.waitingBytesMax) continue;
    sent += bytes;
    link.sent(sent, nowMs);
    freeMs = Math.max(freeMs, nowMs) + (bytes / line.bytesPerS) * 1000;
    if (nowMs > 5000) waitedMaxMs = Math.max(waitedMaxMs, freeMs - nowMs);
    reports.push({ atMs: freeMs + line.tripMs, total: sent });
  }
  return { bytesPerS: arrived / 30, waitedMaxMs };
}

for (const line of [
  { bytesPerS: 1200, tripMs: 200 },
  { bytesPerS: 8000, tripMs: 40 },
  { bytesPerS: 8000, tripMs: 700 },
  { bytesPerS: 125_000, tripMs: 600 },
  { bytesPerS: 12_500_000, tripMs: 2 },
]) {
  it(`keeps a link of ${line.bytesPerS} B/s and ${line.tripMs} ms busy and little on the way`, () => {
    const { bytesPerS, waitedMaxMs } = drive(new LinkRate(), line);
    // Over a satellite it takes seconds to find out, and an empty way every ten seconds costs a trip.
    expect(bytesPerS).toBeGreaterThan((line.tripMs > 500 ? 0.4 : 0.7) * line.bytesPerS);
    // The smallest bound alone takes its time on a very slow link.
    const floorMs = (WAITING_BYTES_MIN / line.bytesPerS) * 1000;
    expect(waitedMaxMs).toBeLessThan(1.5 * (300 + line.tripMs) + floorMs);
  });
}

it('knows nothing at first, and begins with little', () => {
  const link = new LinkRate();
  expect(link.bytesPerS).toBeNull();
  expect(link.waitingBytesMax).toBeLessThanOrEqual(4096);
  link.sent(5000, 0);
  expect(link.waitingBytes, 'a side that reports nothing holds up nothing').toBe(0);
});

it('does not believe what is impossible', () => {
  const link = new LinkRate();
  link.sent(1000, 0);
  link.arrived(1_000_000_000, 1);
  expect(link.bytesPerS).toBeNull();
  link.arrived(1000, 10);
  link.arrived(500, 20);
  expect(link.waitingBytes).toBe(0);
});

it('never asks for more than its bound', () => {
  const link = new LinkRate();
  for (let at = 1; at < 100; at++) {
    link.sent(at * 1e8, at);
    link.arrived(at * 1e8, at + 0.5);
  }
  expect(link.waitingBytesMax).toBe(WAITING_BYTES_MAX);
});
