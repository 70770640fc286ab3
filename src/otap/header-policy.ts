/**
 * Which request headers may reach the disk. Names are compared in lower case. A header that is neither secret nor kept stays in the
 * stored message of its batch, but is not copied into the entry's headers.
 */

/**
 * Names that hold a credential, and why they are not caught by a word below. Wrongly listing a harmless one costs a header that
 * nobody reads; missing one puts a credential on the disk.
 */
const SECRET_NAMES: ReadonlyMap<string, string> = new Map([
  ['x-honeycomb-team', 'the API key of that vendor'],
  ['x-forwarded-client-cert', 'the identity of a mutual TLS client, taken as proof behind a proxy'],
  ['x-goog-iap-jwt-assertion', 'a signed identity'],
]);

/** Parts of a name (between `-`, `_` and `.`) that say that its value is a credential, with an example each. */
const SECRET_WORDS: ReadonlyMap<string, string> = new Map([
  ['auth', 'x-auth: bearer or basic credentials under another name'],
  ['authentication', 'www-authentication-info: may hold a session proof'],
  ['authenticate', 'www-authenticate: Negotiate answers hold tickets'],
  ['credential', 'x-amz-credential: part of a signature'],
  ['credentials', 'x-user-credentials'],
  ['jwt', 'x-jwt: a bearer token'],
  ['key', 'x-access-key, license-key, dd-application-key: vendor keys are named by many first words'],
  ['otp', 'x-github-otp: a one-time password'],
  ['pat', 'x-pat: a personal access token'],
  ['pwd', 'x-pwd'],
  ['saml', 'x-saml-assertion: a signed identity'],
  ['session', 'x-session-id: replays a login'],
  ['sessionid', 'sessionid: replays a login'],
  ['sid', 'x-sid: replays a login'],
  ['sig', 'x-sig: a signature'],
  ['signature', 'x-hub-signature: a signature over a shared secret'],
]);

/** Texts that make a name secret wherever they stand in it. */
const SECRET_PARTS: ReadonlyMap<string, string> = new Map([
  ['apikey', 'apikey, x-apikey: without a separator'],
  ['api-key', 'api-key, dd-api-key'],
  ['api_key', 'api_key'],
  ['authorization', 'authorization, proxy-authorization, x-goog-iam-authorization-token'],
  ['bearer', 'x-bearer: a bearer token'],
  ['cookie', 'cookie, set-cookie, cookie2: session credentials'],
  ['passw', 'password, passwd'],
  ['secret', 'x-client-secret'],
  ['token', 'x-amz-security-token, x-sf-token, lightstep-access-token, x-csrf-token'],
]);

/** Whether a header's value must not be stored. `name` may have any case. */
export function isSecretHeader(name: string): boolean {
  const lower = name.toLowerCase();
  if (SECRET_NAMES.has(lower)) return true;
  for (const part of SECRET_PARTS.keys()) if (lower.includes(part)) return true;
  return lower.split(/[-_.]/).some((word) => SECRET_WORDS.has(word));
}

/** Names that are stored beside the entry: they explain a batch and say nothing about its user. */
const KEPT_NAMES: ReadonlyMap<string, string> = new Map([
  ['otlp-pdata-size', 'bytes of the batch as OTLP'],
  ['grpc-timeout', 'how long the exporter waits'],
  ['grpc-encoding', 'how the message was compressed'],
  ['content-type', 'says how the bytes of an OTLP request are to be read'],
  ['content-encoding', 'how the body was compressed'],
  ['user-agent', 'which exporter and version'],
  ['traceparent', "the exporter's own trace: W3C trace context, identifiers only"],
  ['tracestate', 'the same'],
  ['x-request-id', 'joins proxy logs with entries'],
  ['x-scope-orgid', 'tenant, as in Loki, Mimir and Tempo'],
  ['x-tenant', 'tenant'],
  ['x-tenant-id', 'tenant'],
]);

/** Whether a header belongs into the headers of its log entry. `name` may have any case. Never true for a secret one. */
export function isKeptHeader(name: string): boolean {
  return KEPT_NAMES.has(name.toLowerCase());
}
