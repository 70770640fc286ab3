import type { Signal } from '../base/index.ts';

/** ArrowPayloadType of arrow_service.proto. The names in lower case are the table names of schema `normalized`. */
export const PAYLOAD_TYPES = {
  RESOURCE_ATTRS: 1,
  SCOPE_ATTRS: 2,
  UNIVARIATE_METRICS: 10,
  NUMBER_DATA_POINTS: 11,
  SUMMARY_DATA_POINTS: 12,
  HISTOGRAM_DATA_POINTS: 13,
  EXP_HISTOGRAM_DATA_POINTS: 14,
  NUMBER_DP_ATTRS: 15,
  SUMMARY_DP_ATTRS: 16,
  HISTOGRAM_DP_ATTRS: 17,
  EXP_HISTOGRAM_DP_ATTRS: 18,
  NUMBER_DP_EXEMPLARS: 19,
  HISTOGRAM_DP_EXEMPLARS: 20,
  EXP_HISTOGRAM_DP_EXEMPLARS: 21,
  NUMBER_DP_EXEMPLAR_ATTRS: 22,
  HISTOGRAM_DP_EXEMPLAR_ATTRS: 23,
  EXP_HISTOGRAM_DP_EXEMPLAR_ATTRS: 24,
  MULTIVARIATE_METRICS: 25,
  METRIC_ATTRS: 26,
  LOGS: 30,
  LOG_ATTRS: 31,
  SPANS: 40,
  SPAN_ATTRS: 41,
  SPAN_EVENTS: 42,
  SPAN_LINKS: 43,
  SPAN_EVENT_ATTRS: 44,
  SPAN_LINK_ATTRS: 45,
} as const;

export type PayloadName = keyof typeof PAYLOAD_TYPES;
export type PayloadType = (typeof PAYLOAD_TYPES)[PayloadName];

const NAMES = new Map<number, PayloadName>(
  (Object.entries(PAYLOAD_TYPES) as [PayloadName, PayloadType][]).map(([name, type]) => [type, name]),
);

/** The name of a payload type's number, or undefined for a number that the protocol does not define. */
export function payloadName(type: number): PayloadName | undefined {
  return NAMES.get(type);
}

/** The payload types that a batch of a signal may hold; the first one is its root. */
export const SIGNAL_PAYLOADS: Readonly<Record<Signal, readonly PayloadName[]>> = {
  logs: ['LOGS', 'LOG_ATTRS', 'RESOURCE_ATTRS', 'SCOPE_ATTRS'],
  traces: [
    'SPANS',
    'SPAN_ATTRS',
    'SPAN_EVENTS',
    'SPAN_LINKS',
    'SPAN_EVENT_ATTRS',
    'SPAN_LINK_ATTRS',
    'RESOURCE_ATTRS',
    'SCOPE_ATTRS',
  ],
  metrics: [
    'UNIVARIATE_METRICS',
    'METRIC_ATTRS',
    'NUMBER_DATA_POINTS',
    'SUMMARY_DATA_POINTS',
    'HISTOGRAM_DATA_POINTS',
    'EXP_HISTOGRAM_DATA_POINTS',
    'NUMBER_DP_ATTRS',
    'SUMMARY_DP_ATTRS',
    'HISTOGRAM_DP_ATTRS',
    'EXP_HISTOGRAM_DP_ATTRS',
    'NUMBER_DP_EXEMPLARS',
    'HISTOGRAM_DP_EXEMPLARS',
    'EXP_HISTOGRAM_DP_EXEMPLARS',
    'NUMBER_DP_EXEMPLAR_ATTRS',
    'HISTOGRAM_DP_EXEMPLAR_ATTRS',
    'EXP_HISTOGRAM_DP_EXEMPLAR_ATTRS',
    'RESOURCE_ATTRS',
    'SCOPE_ATTRS',
  ],
};
