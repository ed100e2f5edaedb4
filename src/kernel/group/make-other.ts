import type { OtherKernel } from '../../config/model/kernel.ts';
import { ClockOffset } from './clock-offset.ts';
import { Giver } from './giver.ts';
import type { GiverOptions } from './giver-options.ts';
import { KernelLink, type KernelLinkOptions } from './kernel-link.ts';
import type { GivingArchive } from './last-known.ts';
import type { Other } from './others.ts';
import { TermGiver } from './term-giver.ts';

export interface OtherOptions
  extends GiverOptions,
    Pick<
      KernelLinkOptions,
      'epoch' | 'identity' | 'left' | 'word' | 'programVersion' | 'transport' | 'random' | 'tls'
    > {
  readonly settings: { readonly name: string };
  readonly archive: GivingArchive;
  /** The taker has more terms than was known. */
  readonly toldTerms: () => void;
  readonly toldWord: KernelLinkOptions['told'];
}

/** What this Kernel needs to deal with another one of the file. */
export function makeOther(described: OtherKernel, options: OtherOptions): Other {
  const { settings, gives, toldTerms, toldWord } = options;
  const giver = new Giver(options);
  const terms = new TermGiver({ ...options, gives: () => gives() !== 'nothing', told: toldTerms });
  const link = new KernelLink({
    ...options,
    ...{ self: settings.name, other: described, giver, terms, told: toldWord },
  });
  return {
    described,
    stop: new AbortController(),
    giver,
    terms,
    link,
    word: null,
    heardMs: null,
    toGet: null,
    clockOffset: new ClockOffset(),
  };
}
