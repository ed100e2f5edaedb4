import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { LogLine } from './log.ts';
import { until } from './until.ts';

const KOM = join(import.meta.dirname, '../../../bin/kom.cjs');

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface KomOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The network namespace that it runs in. */
  readonly namespace?: string;
}

/** A process of the program, as a user starts it. */
export class Kom implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly finished: Promise<Finished>;
  #stdout = '';
  #stderr = '';
  #isOver = false;

  constructor(args: readonly string[], options: KomOptions = {}) {
    const { cwd, env, namespace } = options;
    const command = [process.execPath, KOM, ...args];
    // The program takes the place of ip, with its number.
    const [file = '', ...rest] =
      namespace === undefined ? command : ['ip', 'netns', 'exec', namespace, ...command];
    this.#child = spawn(file, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...env },
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.finished = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#isOver = true;
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stdout(): string {
    return this.#stdout;
  }

  /** Whole lines of standard output; each must be a line of the log. */
  get log(): LogLine[] {
    const whole = this.#stdout.slice(0, this.#stdout.lastIndexOf('\n') + 1);
    const lines = whole.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as LogLine);
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits for a line of the log; the error shows what came instead. */
  async untilLog(message: string, timeoutMs?: number): Promise<void> {
    await this.#until(message, () => this.log.some(({ msg }) => msg === message), timeoutMs);
  }

  /** Waits for a text on standard error, where people are told what a command does. */
  async untilTold(text: string, timeoutMs?: number): Promise<void> {
    await this.#until(text, () => this.#stderr.includes(text), timeoutMs);
  }

  async #until(what: string, holds: () => boolean, timeoutMs?: number): Promise<void> {
    const said = () => `${this.#stdout}${this.#stderr}`;
    await until(
      () => `"${what}" in ${said()}`,
      () => {
        if (this.#isOver) throw new Error(`ended without "${what}": ${said()}`);
        return holds();
      },
      timeoutMs,
    );
  }

  kill(signal: NodeJS.Signals): Promise<Finished> {
    this.#child.kill(signal);
    return this.finished;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) await this.kill('SIGKILL');
  }
}

/** Runs a command to its end. */
export function kom(args: readonly string[], options: KomOptions = {}): Promise<Finished> {
  return new Kom(args, options).finished;
}
