import type { Moment } from './observe.ts';

const WIDTH = 760;
const HEIGHT = 300;
const LEFT = 64;
const RIGHT = 64;
const TOP = 34;
const BOTTOM = 40;

interface ChartOptions {
  readonly moments: readonly Moment[];
  readonly caption: string;
}

/** An SVG of the backlog and the age of the live values over the demo, with the outage marked. */
export function drawChart({ moments, caption }: ChartOptions): string {
  const endMs = Math.max(1, moments.at(-1)?.atMs ?? 1);
  const backlogMax = niceMax(Math.max(1, ...moments.map(({ backlogSamples }) => backlogSamples)));
  const ageMaxMs = niceMax(Math.max(1, ...moments.map(({ liveAgeMs }) => liveAgeMs ?? 0)));
  const x = (ms: number): number => LEFT + (ms / endMs) * (WIDTH - LEFT - RIGHT);
  const y = (share: number): number => HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
  const path = (value: (moment: Moment) => number): string =>
    moments
      .map(
        (moment, at) => `${at === 0 ? 'M' : 'L'}${x(moment.atMs).toFixed(1)} ${y(value(moment)).toFixed(1)}`,
      )
      .join('');
  const bands = stretches(moments, ({ isCut }) => isCut).map(
    ({ from, to }) =>
      `<rect x="${x(from).toFixed(1)}" y="${TOP}" width="${(x(to) - x(from)).toFixed(1)}" height="${HEIGHT - TOP - BOTTOM}" fill="#d1242f" opacity="0.12"/>` +
      `<text x="${((x(from) + x(to)) / 2).toFixed(1)}" y="${TOP + 16}" text-anchor="middle" fill="#d1242f">link cut</text>`,
  );
  const ticks = Array.from({ length: Math.floor(endMs / 5000) + 1 }, (_, step) => step * 5000).map(
    (ms) =>
      `<text x="${x(ms).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${ms / 1000} s</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#444">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...bands,
    ...ticks,
    `<line x1="${LEFT}" y1="${y(0)}" x2="${WIDTH - RIGHT}" y2="${y(0)}" stroke="#999"/>`,
    `<text x="${LEFT - 8}" y="${y(1) + 4}" text-anchor="end" fill="#9a6700">${backlogMax}</text>`,
    `<text x="${LEFT - 8}" y="${y(0) + 4}" text-anchor="end" fill="#9a6700">0</text>`,
    `<text x="${WIDTH - RIGHT + 8}" y="${y(1) + 4}" fill="#1f6feb">${(ageMaxMs / 1000).toFixed(0)} s</text>`,
    `<text x="${WIDTH - RIGHT + 8}" y="${y(0) + 4}" fill="#1f6feb">0</text>`,
    `<path d="${path(({ backlogSamples }) => backlogSamples / backlogMax)}L${x(endMs).toFixed(1)} ${y(0)}L${LEFT} ${y(0)}Z" fill="#d4a72c" opacity="0.35"/>`,
    `<path d="${path(({ backlogSamples }) => backlogSamples / backlogMax)}" fill="none" stroke="#9a6700" stroke-width="2"/>`,
    `<path d="${path(({ liveAgeMs }) => (liveAgeMs ?? 0) / ageMaxMs)}" fill="none" stroke="#1f6feb" stroke-width="2"/>`,
    `<text x="${LEFT}" y="20" fill="#9a6700">backlog at the agent, samples</text>`,
    `<text x="${WIDTH - RIGHT}" y="20" text-anchor="end" fill="#1f6feb">age of the newest live value at the Kernel</text>`,
    `<text x="${WIDTH / 2}" y="${HEIGHT - 6}" text-anchor="middle" fill="#777">${caption}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function stretches(
  moments: readonly Moment[],
  holds: (moment: Moment) => boolean,
): { readonly from: number; readonly to: number }[] {
  const found: { from: number; to: number }[] = [];
  let from: number | null = null;
  for (const moment of moments) {
    if (holds(moment)) from ??= moment.atMs;
    else if (from !== null) {
      found.push({ from, to: moment.atMs });
      from = null;
    }
  }
  return found;
}

/** The next of 1, 2, 5, 10, 20, 50 … */
function niceMax(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}
