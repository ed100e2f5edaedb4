import type { Moment } from './observe.ts';

const WIDTH = 760;
const HEIGHT = 300;
const LEFT = 64;
const RIGHT = 64;
const TOP = 34;
const BOTTOM = 40;
const RED = '#d1242f';
const BROWN = '#9a6700';
const BLUE = '#1f6feb';

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
      .map((moment, at) => `${at === 0 ? 'M' : 'L'}${round(x(moment.atMs))} ${round(y(value(moment)))}`)
      .join('');
  const backlog = path(({ backlogSamples }) => backlogSamples / backlogMax);
  const age = path(({ liveAgeMs }) => (liveAgeMs ?? 0) / ageMaxMs);
  const underBacklog = `${backlog}L${round(x(endMs))} ${y(0)}L${LEFT} ${y(0)}Z`;
  const cuts = stretches(moments, ({ isCut }) => isCut).flatMap(({ from, to }) => [
    element('rect', {
      x: x(from),
      y: TOP,
      width: x(to) - x(from),
      height: y(0) - TOP,
      fill: RED,
      opacity: 0.12,
    }),
    label('link cut', { x: (x(from) + x(to)) / 2, y: TOP + 16, 'text-anchor': 'middle', fill: RED }),
  ]);
  const ticks = Array.from({ length: Math.floor(endMs / 5000) + 1 }, (_, step) =>
    label(`${step * 5} s`, { x: x(step * 5000), y: y(0) + 18, 'text-anchor': 'middle' }),
  );
  const left = { x: LEFT - 8, 'text-anchor': 'end', fill: BROWN };
  const right = { x: WIDTH - RIGHT + 8, fill: BLUE };
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}"`,
    '  font-family="sans-serif" font-size="12" fill="#444">',
    element('rect', { width: WIDTH, height: HEIGHT, fill: '#fff' }),
    ...cuts,
    ...ticks,
    element('path', { d: `M${LEFT} ${y(0)}L${WIDTH - RIGHT} ${y(0)}`, stroke: '#999' }),
    label(String(backlogMax), { ...left, y: y(1) + 4 }),
    label('0', { ...left, y: y(0) + 4 }),
    label(`${ageMaxMs / 1000} s`, { ...right, y: y(1) + 4 }),
    label('0', { ...right, y: y(0) + 4 }),
    element('path', { d: underBacklog, fill: '#d4a72c', opacity: 0.35 }),
    element('path', { d: backlog, fill: 'none', stroke: BROWN, 'stroke-width': 2 }),
    element('path', { d: age, fill: 'none', stroke: BLUE, 'stroke-width': 2 }),
    label('backlog at the agent, samples', { x: LEFT, y: 20, fill: BROWN }),
    label('age of the newest live value at the Kernel', {
      ...right,
      x: WIDTH - RIGHT,
      y: 20,
      'text-anchor': 'end',
    }),
    label(caption, { x: WIDTH / 2, y: HEIGHT - 6, 'text-anchor': 'middle', fill: '#777' }),
    '</svg>',
    '',
  ].join('\n');
}

type Attributes = Readonly<Record<string, string | number>>;

function attributesOf(attributes: Attributes): string {
  return Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${typeof value === 'number' ? round(value) : value}"`)
    .join('');
}

function element(name: string, attributes: Attributes): string {
  return `<${name}${attributesOf(attributes)}/>`;
}

function label(text: string, attributes: Attributes): string {
  return `<text${attributesOf(attributes)}>${text}</text>`;
}

function round(value: number): string {
  return String(Math.round(value * 100) / 100);
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
