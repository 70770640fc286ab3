/**
 * Goal: our parser takes what Prometheus' takes, and refuses the rest: upstream's own cases, and every expression and series of its test scripts.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FULL_SYNTAX } from '../../../../src/api/query/promql/parse-options.ts';
import { parseExpression } from '../../../../src/api/query/promql/parser.ts';
import { printExpression } from '../../../../src/api/query/promql/printer.ts';
import { checkParserCases, readParserCases } from '../../../conformance/parser-cases.ts';
import { parseScript } from '../../../conformance/script.ts';
import { sharedPromqlFiles } from '../../../conformance/shared-files.ts';

const lists = sharedPromqlFiles('parser_cases.json');
const scripts = sharedPromqlFiles('.test');

test("verdicts are upstream's", { skip: lists === undefined && "Prometheus' cases are not beside the project" }, () => {
  for (const path of lists!) {
    const { passed, failures, disputed } = checkParserCases(readParserCases(path));
    assert.deepEqual(failures, [], path);
    assert.ok(passed > 250 && disputed.length <= 6, `${path}: ${passed} passed, ${disputed.length} disputed`);
  }
});

test("expressions of upstream's scripts are taken, and print as themselves", {
  skip: scripts === undefined && "Prometheus' scripts are not beside the project",
}, () => {
  let count = 0;
  for (const path of scripts!) {
    for (const command of parseScript(readFileSync(path, 'utf8'))) {
      if (command.kind !== 'eval') continue;
      const line = printExpression(parseExpression(command.text, FULL_SYNTAX));
      assert.equal(printExpression(parseExpression(line, FULL_SYNTAX)), line, command.text);
      count += 1;
    }
  }
  assert.ok(count > 1000, `${count} expressions`);
});
