import { formatDuration, formatSize } from '../../domain/units.ts';
import { type Output, write } from '../output.ts';
import type { Moment } from './observe.ts';

const BAR_WIDTH = 32;
const PLAIN_EVERY_MS = 1000;

/** Shows the demo as it goes on. */
export interface View {
  /** A new scene begins. */
  scene(title: string): void;
  show(moment: Moment): void;
  /** Leaves the screen as it is and gives it back. */
  close(): void;
}

/**
 * A picture that is painted again and again on a terminal, one line a second elsewhere, nothing for
 * `quiet`.
 */
export function createView(
  output: Output,
  options: { readonly quiet: boolean; readonly keys?: string },
): View {
  if (options.quiet) return { scene() {}, show() {}, close() {} };
  return output.isTerminal ? new TerminalView(output, options.keys) : new PlainView(output);
}

class PlainView implements View {
  readonly #output: Output;
  #shownMs = Number.NEGATIVE_INFINITY;

  constructor(output: Output) {
    this.#output = output;
  }

  scene(title: string): void {
    this.#output.line(`== ${title}`);
    this.#shownMs = Number.NEGATIVE_INFINITY;
  }

  show(moment: Moment): void {
    if (moment.atMs - this.#shownMs < PLAIN_EVERY_MS) return;
    this.#shownMs = moment.atMs;
    const seconds = (moment.atMs / 1000).toFixed(0).padStart(3);
    this.#output.line(
      `${seconds} s  ${describeState(moment).padEnd(9)}` +
        ` backlog ${String(moment.backlogSamples).padStart(6)} samples` +
        `  ring ${formatSize(moment.ringBytes).padStart(9)}  live age ${describeAge(moment).padStart(7)}` +
        `  served ${moment.servedValues}`,
    );
  }

  close(): void {}
}

class TerminalView implements View {
  readonly #output: Output;
  readonly #keys: string | undefined;
  #title = '';
  #paintedLines = 0;
  #backlogMax = 1;
  #ringMax = 1;

  constructor(output: Output, keys: string | undefined) {
    this.#output = output;
    this.#keys = keys;
    write(1, '\x1b[?25l');
  }

  scene(title: string): void {
    this.#title = title;
  }

  show(moment: Moment): void {
    this.#backlogMax = Math.max(this.#backlogMax, moment.backlogSamples);
    this.#ringMax = Math.max(this.#ringMax, moment.ringBytes);
    const ageMs = moment.liveAgeMs ?? 0;
    const link = moment.isCut ? '\x1b[31m──✂──\x1b[0m' : '\x1b[32m═════\x1b[0m';
    const kernel = moment.isKernelUp ? 'Kernel' : '\x1b[31mKernel (killed)\x1b[0m';
    const segments = moment.ringSegments === 1 ? '1 segment' : `${moment.ringSegments} segments`;
    const ring = `${formatSize(moment.ringBytes)} on disk, ${segments}`;
    const live = `${describeAge(moment)} (${moment.liveTags} tags)`;
    const lines = [
      `\x1b[1m${this.#title}\x1b[0m  (${(moment.atMs / 1000).toFixed(0)} s)`,
      '',
      `  devices ═════ agent ${link} ${kernel}      uplink: ${colourState(moment)}`,
      '',
      `  backlog   ${bar(moment.backlogSamples / this.#backlogMax, 33)} ${moment.backlogSamples} samples`,
      `  ring      ${bar(moment.ringBytes / this.#ringMax, 36)} ${ring}`,
      `  live age  ${bar(ageMs / 12_000, ageMs > 2000 ? 31 : 32)} ${live}`,
      `  served    ${moment.servedValues} values, by the simulators' own record`,
      moment.linesDown.length === 0 ? '' : `  \x1b[31mdown: ${moment.linesDown.join(', ')}\x1b[0m`,
    ];
    if (this.#keys !== undefined) lines.push('', `  ${this.#keys}`);
    const back = this.#paintedLines === 0 ? '' : `\x1b[${this.#paintedLines}A`;
    write(1, `${back}${lines.map((line) => `\x1b[2K${line}\n`).join('')}`);
    this.#paintedLines = lines.length;
  }

  close(): void {
    write(1, '\x1b[?25h');
    this.#output.line('');
  }
}

function bar(share: number, colour: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);
  return `\x1b[${colour}m${'█'.repeat(filled)}\x1b[90m${'░'.repeat(BAR_WIDTH - filled)}\x1b[0m`;
}

function describeState(moment: Moment): string {
  return moment.state ?? 'no answer';
}

function colourState(moment: Moment): string {
  const colours = { online: 32, 'catch-up': 33, outage: 31 } as const;
  return moment.state === null ? 'no answer' : `\x1b[${colours[moment.state]}m${moment.state}\x1b[0m`;
}

function describeAge(moment: Moment): string {
  return moment.liveAgeMs === null ? 'none' : formatDuration(moment.liveAgeMs);
}
