/** Goal: names look as Prometheus' own OTLP receiver makes them. Method: examples for every rule and strategy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labelName } from '../../../../src/api/query/prometheus/label-name.ts';
import { metricName, type NamedMetric } from '../../../../src/api/query/prometheus/metric-name.ts';
import type { TranslationStrategy } from '../../../../src/api/query/prometheus/translation.ts';
import { unitName } from '../../../../src/api/query/prometheus/unit-name.ts';

function named(
  metric: Partial<NamedMetric>,
  strategy: TranslationStrategy = 'UnderscoreEscapingWithSuffixes',
): string | undefined {
  return metricName({ name: 'a.b', unit: '', kind: 'other', ...metric }, strategy);
}

test('metric names get unit, ratio and total as words', () => {
  assert.equal(named({ name: 'http.server.duration', unit: 's' }), 'http_server_duration_seconds');
  assert.equal(named({ name: 'requests', kind: 'monotonic-sum' }), 'requests_total');
  assert.equal(named({ name: 'requests', unit: '{request}', kind: 'monotonic-sum' }), 'requests_total');
  assert.equal(named({ name: 'system.io', unit: 'By', kind: 'monotonic-sum' }), 'system_io_bytes_total');
  assert.equal(named({ name: 'utilization', unit: '1', kind: 'gauge' }), 'utilization_ratio');
  assert.equal(named({ name: 'utilization', unit: '1', kind: 'other' }), 'utilization');
  assert.equal(named({ name: 'speed', unit: 'm/s', kind: 'gauge' }), 'speed_meters_per_second');
  assert.equal(named({ name: 'events', unit: '{event}/s' }), 'events_per_second');
  assert.equal(named({ name: 'load', unit: '%' }), 'load_percent');
  assert.equal(named({ name: 'odd', unit: 'foo bar' }), 'odd_foo_bar');
  assert.equal(named({ name: 'sizes', unit: 'kBy' }), 'sizes_kBy');
});

test('metric names say no word twice', () => {
  assert.equal(named({ name: 'duration.seconds', unit: 's' }), 'duration_seconds');
  assert.equal(named({ name: 'total.requests', kind: 'monotonic-sum' }), 'requests_total');
  assert.equal(named({ name: 'ratio_of_x', unit: '1', kind: 'gauge' }), 'of_x_ratio');
});

test('metric names hold only what Prometheus allowed before names of any character', () => {
  assert.equal(named({ name: 'my metric/№1' }), 'my_metric_1');
  assert.equal(named({ name: '3d.points' }), '_3d_points');
  assert.equal(named({ name: '  a..b__c ' }), 'a_b_c');
  assert.equal(named({ name: '...' }), undefined);
  assert.equal(named({ name: 'job:rate:5m' }), 'job:rate:5m');
});

test('metric names of the other strategies', () => {
  const metric = { name: 'http.bytes', unit: 'By/s', kind: 'monotonic-sum' } as const;
  assert.equal(named(metric, 'NoTranslation'), 'http.bytes');
  assert.equal(named(metric, 'UnderscoreEscapingWithoutSuffixes'), 'http_bytes');
  assert.equal(named(metric, 'NoUTF8EscapingWithSuffixes'), 'http.bytes_per_second_total');
  assert.equal(
    named({ name: 'a_total', unit: 's', kind: 'monotonic-sum' }, 'NoUTF8EscapingWithSuffixes'),
    'a_seconds_total',
  );
  assert.equal(named({ name: 'a__b' }, 'UnderscoreEscapingWithoutSuffixes'), 'a__b');
  assert.equal(named({ name: '1.a' }, 'UnderscoreEscapingWithoutSuffixes'), '_1_a');
});

test('units as one word', () => {
  assert.equal(unitName('s', true), 'seconds');
  assert.equal(unitName('m/s', true), 'meters_per_second');
  assert.equal(unitName('/s', true), 'per_second');
  assert.equal(unitName('{thing}', true), '');
  assert.equal(unitName('a-b', true), 'a_b');
  assert.equal(unitName('a-b', false), 'a-b');
});

test('label names hold letters, digits and _, and begin with no digit and no single _', () => {
  assert.equal(labelName('http.method', true), 'http_method');
  assert.equal(labelName('a..b', true), 'a__b');
  assert.equal(labelName('a__b', true), 'a__b');
  assert.equal(labelName('a.', true), 'a_');
  assert.equal(labelName('404', true), 'key_404');
  assert.equal(labelName('_private', true), 'key_private');
  assert.equal(labelName('.hidden', true), 'key_hidden');
  assert.equal(labelName('__kept', true), '__kept');
  assert.equal(labelName('__name.x__', true), '__name_x__');
  assert.equal(labelName('é', true), 'key_');
  assert.equal(labelName('ключ', true), undefined);
  assert.equal(labelName('', true), undefined);
  assert.equal(labelName('http.method', false), 'http.method');
  assert.equal(labelName('___', false), undefined);
});
