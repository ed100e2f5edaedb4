import type { OpcuaLine, OpcuaStation, OpcuaTag } from '../../config/model.ts';
import { KomError } from '../../domain/errors.ts';
import { isUsable, Quality } from '../../domain/quality.ts';
import type { Reading } from '../../domain/sample.ts';
import type { OpcuaLibrary } from './library.ts';
import type { ServerFacts } from './node-ids.ts';
import type { Session } from './session.ts';

/** One station is one subscription. */
export class Subscription {
  readonly station: OpcuaStation;
  readonly id: number;
  /** As the server revised them. */
  readonly keepAliveMs: number;
  readonly #opcua: OpcuaLibrary;
  readonly #session: Session;
  readonly #tags = new Map<number, OpcuaTag>();
  #refused: readonly OpcuaTag[] = [];
  #slowestSamplingMs = 0;

  constructor(where: Where, station: OpcuaStation, revised: { id: number; keepAliveMs: number }) {
    this.#opcua = where.opcua;
    this.#session = where.session;
    this.station = station;
    this.id = revised.id;
    this.keepAliveMs = revised.keepAliveMs;
  }

  /** The tag of a client handle. */
  tagOf(clientHandle: number): OpcuaTag | undefined {
    return this.#tags.get(clientHandle);
  }

  get hasRefused(): boolean {
    return this.#refused.length > 0;
  }

  /** A change younger than this may not have been sampled yet. */
  get slowestSamplingMs(): number {
    return this.#slowestSamplingMs;
  }

  /** Monitors every tag; gives bad readings for those that the server refuses. */
  monitorAll(facts: ServerFacts, nowUs: number): Promise<Reading[]> {
    return this.#monitor(this.station.tags, facts, nowUs);
  }

  /** Tries the refused tags again; gives bad readings for those still refused. */
  monitorRefused(facts: ServerFacts, nowUs: number): Promise<Reading[]> {
    return this.#monitor(this.#refused, facts, nowUs);
  }

  async #monitor(tags: readonly OpcuaTag[], facts: ServerFacts, nowUs: number): Promise<Reading[]> {
    const bad: Reading[] = [];
    const refused: OpcuaTag[] = [];
    const refuse = (tag: OpcuaTag, quality: number): void => {
      refused.push(tag);
      bad.push({ tagIndex: tag.index, sourceTimeUs: nowUs, value: null, quality });
    };
    for (let start = 0; start < tags.length; start += facts.itemsPerCall) {
      await this.#monitorSome(tags.slice(start, start + facts.itemsPerCall), facts, refuse);
    }
    this.#refused = refused;
    return bad;
  }

  async #monitorSome(
    tags: readonly OpcuaTag[],
    facts: ServerFacts,
    refuse: (tag: OpcuaTag, quality: number) => void,
  ): Promise<void> {
    const { AttributeIds, MonitoringMode, TimestampsToReturn } = this.#opcua;
    const asked = tags.flatMap((tag) => {
      const nodeId = facts.resolver.resolve(tag.nodeId);
      if (nodeId !== undefined) return { tag, nodeId };
      refuse(tag, Quality.badNodeIdUnknown);
      return [];
    });
    if (asked.length === 0) return;
    // The values may be notified before this call returns.
    for (const { tag } of asked) this.#tags.set(tag.index, tag);
    const response = await this.#session.createMonitoredItems({
      subscriptionId: this.id,
      timestampsToReturn: TimestampsToReturn.Both,
      itemsToCreate: asked.map(({ tag, nodeId }) => ({
        itemToMonitor: { nodeId, attributeId: AttributeIds.Value },
        monitoringMode: MonitoringMode.Reporting,
        requestedParameters: {
          clientHandle: tag.index,
          samplingInterval: tag.samplingIntervalMs,
          queueSize: tag.queueSize,
          discardOldest: true,
        },
      })),
    });
    for (const [position, { tag }] of asked.entries()) {
      const result = response.results?.[position];
      const quality = result?.statusCode.value ?? Quality.bad;
      if (result !== undefined && isUsable(quality)) {
        this.#slowestSamplingMs = Math.max(this.#slowestSamplingMs, result.revisedSamplingInterval);
      } else {
        refuse(tag, quality);
      }
    }
  }
}

/** Where subscriptions are made. */
export interface Where {
  readonly opcua: OpcuaLibrary;
  readonly session: Session;
  readonly line: OpcuaLine;
}

/** Bound on the values of one notification message; a server with more sends several. */
const NOTIFICATIONS_PER_PUBLISH_MAX = 10_000;

/** @throws KomError KOM_DEVICE_REJECTED if the server gives no subscription */
export async function createSubscription(where: Where, station: OpcuaStation): Promise<Subscription> {
  const { session, line } = where;
  const response = await session.createSubscription({
    requestedPublishingInterval: line.publishingIntervalMs,
    requestedMaxKeepAliveCount: line.keepAliveCount,
    requestedLifetimeCount: Math.max(line.lifetimeCount, 3 * line.keepAliveCount),
    maxNotificationsPerPublish: NOTIFICATIONS_PER_PUBLISH_MAX,
    publishingEnabled: true,
    priority: 1,
  });
  const { subscriptionId: id, revisedPublishingInterval, revisedMaxKeepAliveCount } = response;
  if (!(id > 0)) {
    throw new KomError('KOM_DEVICE_REJECTED', `a subscription for station ${station.name}`, {
      got: response.responseHeader.serviceResult.toString(),
    });
  }
  return new Subscription(where, station, {
    id,
    keepAliveMs: revisedPublishingInterval * revisedMaxKeepAliveCount,
  });
}
