/** Names that people choose from when they set how metrics look to Prometheus, and what is chosen for them. */

/** What classic histograms may be in PromQL; the first one is the default. */
export const HISTOGRAM_FORMS = ['classic', 'native'] as const;

/** Prometheus' `translation_strategy`. */
export const TRANSLATION_STRATEGIES = [
  'UnderscoreEscapingWithSuffixes',
  'NoUTF8EscapingWithSuffixes',
  'UnderscoreEscapingWithoutSuffixes',
  'NoTranslation',
] as const;

/** Those of Prometheus' `--enable-feature` that mean something here. */
export const PROMETHEUS_FEATURES = [
  'promql-experimental-functions',
  'promql-extended-range-selectors',
  'promql-binop-fill-modifiers',
  'promql-delayed-name-removal',
  'type-and-unit-labels',
  'use-start-timestamps',
] as const;
export type PrometheusFeature = (typeof PROMETHEUS_FEATURES)[number];

/** Resource attributes that Grafana's otel-lgtm makes labels of every series, so that its dashboards work. */
export const PROMOTED_RESOURCE_ATTRIBUTES: readonly string[] = [
  'service.instance.id',
  'service.name',
  'service.namespace',
  'service.version',
  'cloud.availability_zone',
  'cloud.region',
  'container.name',
  'deployment.environment',
  'deployment.environment.name',
  'k8s.cluster.name',
  'k8s.container.name',
  'k8s.cronjob.name',
  'k8s.daemonset.name',
  'k8s.deployment.name',
  'k8s.job.name',
  'k8s.namespace.name',
  'k8s.node.name',
  'k8s.pod.name',
  'k8s.replicaset.name',
  'k8s.statefulset.name',
  'host.name',
  'postgresql.database.name',
  'postgresql.schema.name',
  'postgresql.table.name',
  'postgresql.index.name',
  'database',
  'kafka.cluster.alias',
];
