import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';

/*
 * Without the package `long`, protobufjs reads 64-bit fields as plain numbers. That is what we want: every
 * uint64 of the contract is below 2^53, and the codec refuses what is not.
 */
Reflect.set(protobuf.util, 'Long', undefined);
protobuf.configure();

const root = protobuf
  .parse(readFileSync(new URL('./kernel.proto', import.meta.url), 'utf8'))
  .root.resolveAll();

/** The message Frame, compiled from `kernel.proto`. */
export const FrameType = root.lookupType('kom.Frame');

/** The message BlockHeader; the domain writes it by hand, a test compares. */
export const BlockHeaderType = root.lookupType('kom.BlockHeader');
