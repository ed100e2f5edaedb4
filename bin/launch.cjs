'use strict';
// A Node that is too old starts a newer one, and stays as its parent: it cannot become it, as exec would.
const { spawn } = require('node:child_process');
const { constants } = require('node:os');

/** Process id of who launched; then also of whom it launched, whose children do not take it for theirs. */
const VARIABLE = 'KOM_LAUNCHED';
/** The child looks so often whether its launcher is still there, in milliseconds. */
const WATCH_MS = 500;
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** This process was launched, by this file or by a process that was. */
exports.isLaunched = () => process.env[VARIABLE] !== undefined;

/**
 * Runs a program in a child, and is for others what the child is: signals go on to it, it stands still and
 * goes on with this process, and its end is the end here, with its exit code, or 128 and its signal's number.
 */
exports.launch = (program, args) => {
  const env = { ...process.env, [VARIABLE]: String(process.pid) };
  const child = spawn(program, args, { stdio: 'inherit', env });
  for (const signal of PASSED_ON) process.on(signal, () => child.kill(signal));
  // SIGSTOP cannot be heard: it stops this process and not the child. What a terminal sends can.
  process.on('SIGTSTP', () => {
    child.kill('SIGSTOP');
    process.kill(process.pid, 'SIGSTOP');
  });
  process.on('SIGCONT', () => child.kill('SIGCONT'));
  child.on('error', (error) => {
    process.stderr.write(`${program} does not start: ${error.message}\n`);
    process.exit(70);
  });
  child.on('exit', (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
};

/** In a process that was launched: where its launcher is gone, without a word, it stops as by SIGTERM. */
exports.watchLauncher = () => {
  const [launcher, own] = (process.env[VARIABLE] ?? '').split(' ').map(Number);
  // Once it is known whose launcher that is, it also is behind an exec of this process.
  if (!launcher || (own !== undefined && own !== process.pid)) return;
  process.env[VARIABLE] = `${launcher} ${process.pid}`;
  const timer = setInterval(() => {
    if (process.ppid === launcher) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, WATCH_MS);
  timer.unref();
};
