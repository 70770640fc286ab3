/** Requests to an empty store, and how a Prometheus answers them. */

const RANGE = 'query=up&start=1&end=2';

/** Errors of type bad_data by request. */
export const REFUSED: Readonly<Record<string, string>> = {
  '/query': 'invalid parameter "query": unknown position: parse error: no expression found in input',
  '/query?query=foo%20bar': 'invalid parameter "query": 1:5: parse error: unexpected identifier "bar"',
  '/query?query=up&limit=-1': 'invalid parameter "limit": limit must be non-negative',
  '/query?query=up&limit=a': 'invalid parameter "limit": strconv.Atoi: parsing "a": invalid syntax',
  '/query?query=1&time=zz': `invalid parameter "time": invalid time value for 'time': cannot parse "zz" to a valid timestamp`,
  '/query?query=up&timeout=x': 'invalid parameter "timeout": cannot parse "x" to a valid duration',
  '/query?query=up&timeout=1e30':
    'invalid parameter "timeout": cannot parse "1e30" to a valid duration. It overflows int64',
  '/query?query=up&lookback_delta=x': 'error parsing lookback delta duration: cannot parse "x" to a valid duration',
  '/query_range?query=up': 'invalid parameter "start": cannot parse "" to a valid timestamp',
  '/query_range?query=up&start=1': 'invalid parameter "end": cannot parse "" to a valid timestamp',
  [`/query_range?${RANGE}`]: 'invalid parameter "step": cannot parse "" to a valid duration',
  [`/query_range?${RANGE}&step=0`]:
    'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer',
  '/query?query=1&timeout=-Inf':
    'invalid parameter "timeout": cannot parse "-Inf" to a valid duration. It overflows int64',
  '/query?query=1%zz': 'invalid parameter "query": unknown position: parse error: no expression found in input',
  '/query?query=1;time=1': 'invalid parameter "query": unknown position: parse error: no expression found in input',
  '/query?query=%22%FF%22': 'invalid parameter "query": 1:1: parse error: invalid UTF-8 rune',
  '/query_range?query=up&start=1&end=60&step=0.0009':
    'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)',
  '/query_range?query=up&start=2&end=1&step=1': 'invalid parameter "end": end timestamp must not be before start time',
  '/query_range?query=up&start=0&end=11001&step=1':
    'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)',
  '/query_range?query=up%5B5m%5D&start=1&end=2&step=1':
    'invalid parameter "query": invalid expression type "range vector" for range query, must be Scalar or instant Vector',
  '/query_exemplars?query=up&start=2&end=1': 'end timestamp must not be before start timestamp',
  '/query_exemplars?query=sum(': '1:5: parse error: unclosed left parenthesis',
  '/series': 'no match[] parameter provided',
  '/series?match[]=': 'invalid parameter "match[]": unknown position: parse error: unexpected end of input',
  '/series?match[]=up%20offset%205m': 'invalid parameter "match[]": 1:4: parse error: unexpected <offset>',
  '/series?match[]=%7Ba%3D%22%22%7D':
    'invalid parameter "match[]": match[] must contain at least one non-empty matcher',
  '/series?match[]=%zz': 'error parsing form values: invalid URL escape "%zz"',
  '/series?match[]=up&a=1;b=2': 'error parsing form values: invalid semicolon separator in query',
  '/label/%FF/values': 'invalid label name: "\\xff"',
  '/label/U__/values': 'invalid label name: ""',
  '/labels?match[]=up%7B': '1:4: parse error: unexpected end of input inside braces',
  '/label/a/values?start=5&end=x': `invalid parameter "end": invalid time value for 'end': cannot parse "x" to a valid timestamp`,
  '/metadata?limit=x': 'limit must be a number',
  '/metadata?limit_per_metric=x': 'limit_per_metric must be a number',
  '/status/tsdb?limit=0': 'limit must be a positive number',
  '/status/tsdb?limit=10001': 'limit must not exceed 10000',
  '/format_query?query=foo%20bar': 'invalid parameter "query": 1:5: parse error: unexpected identifier "bar"',
  '/parse_query': 'invalid parameter "query": unknown position: parse error: no expression found in input',
  '/rules?type=x': 'invalid parameter "type": not supported value "x"',
  '/rules?match[]=%7B': '1:2: parse error: unexpected end of input inside braces',
  '/rules?group_limit=0': 'invalid parameter "group_limit": group_limit needs to be greater than 0',
  '/rules?group_limit=9223372036854775807':
    'invalid parameter "group_limit": group_limit needs to be a valid number: strconv.ParseInt: parsing "9223372036854775807": value out of range',
  '/rules?group_next_token=a':
    'invalid parameter "group_next_token": group_limit needs to be present in order to paginate over the groups',
  '/scrape_pools/config': 'no scrapePool parameter provided',
  '/scrape_pools/config?scrapePool=x': 'error retrieving scrape config: scrape pool "x" not found',
  '/targets/metadata?limit=x': 'limit must be a number',
};

/** Data by request. */
export const EMPTY: Readonly<Record<string, unknown>> = {
  '/alerts': { alerts: [] },
  '/alertmanagers': { activeAlertmanagers: [], droppedAlertmanagers: [] },
  '/rules?type=alert': { groups: [] },
  '/targets': { activeTargets: [], droppedTargets: [], droppedTargetCounts: {} },
  '/targets?state=active': { activeTargets: [], droppedTargets: [], droppedTargetCounts: null },
  '/targets/metadata?match_target=%7Bjob%3D%22a%22%7D': [],
  '/scrape_pools': { scrapePools: [] },
  '/notifications': [],
  '/status/walreplay': { min: 0, max: 0, current: 0 },
  '/metadata': {},
  '/status/tsdb/blocks': { blocks: [] },
  '/labels': [],
  '/labels?match[]=a;b&limit=%zz': [],
  '/series?match[]=up': [],
  '/query_exemplars?query=1': [],
  '/query?query=up': { resultType: 'vector', result: [] },
  '/query?query=time()&time=1_0.5': { resultType: 'scalar', result: [10.5, '10.5'] },
  '/query?query=time()&time=0x1.8p4': { resultType: 'scalar', result: [24, '24'] },
  '/query?query=1&time=2&query=3&time=4': { resultType: 'scalar', result: [2, '1'] },
  [`/query_range?${RANGE}&step=1s`]: { resultType: 'matrix', result: [] },
  '/format_query?query=sum(a)by(b)': 'sum by (b) (a)',
  '/parse_query?query=1': { type: 'numberLiteral', val: '1' },
  '/status/tsdb': {
    headStats: { numSeries: 0, numLabelPairs: 0 },
    seriesCountByMetricName: [],
    labelValueCountByLabelName: [],
    memoryInBytesByLabelName: [],
    seriesCountByLabelValuePair: [],
  },
};
