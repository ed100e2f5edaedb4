import { KomError } from '../../domain/errors.ts';
import type { ArchiveTransaction } from '../archive.ts';

/** Streams by id and dictionaries by hash that were made known. */
export interface Known {
  readonly streams: { has(streamId: string): boolean };
  readonly dictionaries: { has(hash: string): boolean };
}

/** @throws KomError KOM_PROTOCOL_STATE if a transaction names what was never made known */
export function checkKnown(
  { streams, blocks, gaps, observed, ended, clockFixes = [] }: ArchiveTransaction,
  known: Known,
): void {
  const started = new Set(streams.map((stream) => stream.streamId));
  const named = [...blocks.map(({ block }) => block.header), ...gaps, ...observed, ...ended, ...clockFixes];
  for (const { streamId } of named) {
    if (started.has(streamId) || known.streams.has(streamId)) continue;
    throw new KomError('KOM_PROTOCOL_STATE', `stream ${streamId} was never started`);
  }
  for (const { block } of blocks) {
    if (known.dictionaries.has(block.header.dictionaryHash)) continue;
    throw new KomError('KOM_PROTOCOL_STATE', `dictionary ${block.header.dictionaryHash} was never stored`);
  }
}
