import type {
  ClientSession,
  ClientSessionPublishService,
  ClientSessionRawSubscriptionService,
} from 'node-opcua-client';
import { invariant } from '../../domain/errors.ts';

/**
 * A session with the subscription services as the standard has them. The library's own subscriptions are not
 * used: they re-create themselves and the session after a loss, and hide the sequence numbers.
 */
export type Session = ClientSession & ClientSessionRawSubscriptionService & ClientSessionPublishService;

/** The session of the library, which has these services although its public type leaves them out. */
export function withRawServices(session: ClientSession): Session {
  invariant(hasRawServices(session), 'the library offers createSubscription and publish');
  return session;
}

function hasRawServices(session: ClientSession): session is Session {
  return 'createSubscription' in session && 'createMonitoredItems' in session && 'publish' in session;
}
