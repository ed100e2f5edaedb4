#!/usr/bin/env node
'use strict';
// LevelDB, zstd and DNS share libuv's thread pool, whose size is read once, at its first use.
// This file is CommonJS because its loader is synchronous: nothing has used the pool yet.
process.env.UV_THREADPOOL_SIZE ??= '8';

const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { isLaunched, launch, watchLauncher } = require('./launch.cjs');

const root = join(__dirname, '..');
const builtEntry = join(root, 'dist', 'main.js');
const sourceEntry = join(root, 'src', 'main.ts');
const [major, minor] = process.versions.node.split('.').map(Number);
// The sources use syntax of Node 24 besides types; an older Node runs what tsc made of them.
const runsTypeScript = major >= 24;
const entry = existsSync(sourceEntry) && runsTypeScript ? sourceEntry : builtEntry;
const runsHere = major > 22 || (major === 22 && minor >= 15);

if (runsHere && existsSync(entry)) {
  watchLauncher();
  import(require('node:url').pathToFileURL(entry).href).catch((error) => {
    process.stderr.write(`${error.stack ?? error}\n`);
    process.exit(70);
  });
} else {
  const bundledNode = join(root, 'node_modules', '.bin', 'node');
  if (!existsSync(bundledNode) || isLaunched()) {
    const needs = `kom needs Node 22.15 or newer (this is ${process.versions.node})`;
    process.stderr.write(`${needs} and found no newer one in node_modules; run npm ci first\n`);
    process.exit(69);
  }
  launch(bundledNode, [__filename, ...process.argv.slice(2)]);
}
