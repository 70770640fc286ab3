/** Requests of the client commands to a running server. */
import { errorMessage, TreasuryError } from '../base/index.ts';

/**
 * Asks the server. Throws TreasuryError with what the server said, or that it cannot be reached; retryable when a server that starts again
 * may answer.
 */
export async function ask(server: string, path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(server + path, init);
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const message = `Cannot reach ${server}: ${errorMessage(cause)}`;
    throw new TreasuryError('TREASURY_CONFIG', message, { cause: error, retryable: true });
  }
  if (!response.ok) {
    const retryable = UNAVAILABLE_STATUSES.includes(response.status);
    throw new TreasuryError('TREASURY_CONFIG', await refusal(response), { retryable });
  }
  return response;
}

/** Its own, and those of proxies before it. */
const UNAVAILABLE_STATUSES = [502, 503, 504];

async function refusal(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error: { message: string } };
    return error.message;
  } catch {
    return `The server answered ${response.status}: ${text}`;
  }
}
