import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKeptHeader, isSecretHeader } from '../../src/otap/header-policy.ts';

const SECRET =
  `authorization Authorization proxy-authorization authorization-bin x-auth x-auth-token x-forwarded-authorization www-authenticate
  cookie set-cookie Cookie2 api-key x-api-key apikey x-apikey api_key dd-api-key DD-APPLICATION-KEY x-honeycomb-team lightstep-access-token
  x-sf-token x-amz-security-token x-amz-credential x-amz-signature x-client-secret password x-passwd x-csrf-token x-xsrf-token x-license-key
  x-access-key private-key x-jwt x-goog-iap-jwt-assertion x-session-id sessionid x-vault-token x-hub-signature-256 x-forwarded-client-cert
  x-user-credentials bearer x-github-otp x_key vendor.key x_session.id`.split(/\s+/);

const KEPT =
  `otlp-pdata-size grpc-timeout Grpc-Timeout user-agent traceparent tracestate x-scope-orgid X-Scope-OrgID x-tenant-id content-type
  content-encoding grpc-encoding x-request-id x-tenant`.split(/\s+/);

const NEITHER =
  'baggage :authority :path :method :scheme host te accept grpc-accept-encoding x-forwarded-for keep-alive x-monkey author'.split(
    ' ',
  );

test('isSecretHeader finds credentials under their many names, in any case', () => {
  for (const name of SECRET) assert.equal(isSecretHeader(name), true, name);
});

test('isSecretHeader leaves harmless names alone', () => {
  for (const name of [...KEPT, ...NEITHER]) assert.equal(isSecretHeader(name), false, name);
});

test('isKeptHeader keeps its list and nothing secret or unknown', () => {
  for (const name of KEPT) assert.equal(isKeptHeader(name), true, name);
  for (const name of [...SECRET, ...NEITHER]) assert.equal(isKeptHeader(name), false, name);
});
