/** Requests of the client commands to a running server. */
import { errorMessage, TreasuryError } from '../base/index.ts';

/** Asks the server. Throws TreasuryError with what the server said, or that it cannot be reached. */
export async function ask(server: string, path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(server + path, init);
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new TreasuryError('TREASURY_CONFIG', `Cannot reach ${server}: ${errorMessage(cause)}`, { cause: error });
  }
  if (!response.ok) throw new TreasuryError('TREASURY_CONFIG', await refusal(response));
  return response;
}

async function refusal(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error: { message: string } };
    return error.message;
  } catch {
    return `The server answered ${response.status}: ${text}`;
  }
}
