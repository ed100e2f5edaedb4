import { describeError, isKomError, KomError } from '../../../domain/errors.ts';

/** Nothing is written beside whoever writes. */
export function readOnlyError(): KomError {
  return new KomError('KOM_ARCHIVE_UNAVAILABLE', 'only questions are answered here');
}

/** Nothing is asked of it any more. */
export function closedError(): KomError {
  return new KomError('KOM_ARCHIVE_UNAVAILABLE', 'it is closed');
}

/** What was known of it does not hold any more. */
export function lostError(): KomError {
  return new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the connection is lost');
}

/** What the database said, as an archive says it. */
export function unavailable(error: unknown): KomError {
  if (isKomError(error)) return error;
  return new KomError('KOM_ARCHIVE_UNAVAILABLE', describeError(error), { cause: error });
}
