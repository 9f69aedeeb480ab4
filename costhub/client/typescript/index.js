// CostHub's management API. What is below vendor is openapi-fetch; the types are generated: `make client`.
import createClient from "./vendor/openapi-fetch.js";

/** A client of an installation, with an admin token of an organisation. */
export function connect({ url, token, fetch }) {
  // Whoever has the address of the LLM API has that of this one too.
  const baseUrl = url.replace(/\/+$/, "").replace(/\/v1$/, "");
  return createClient({ baseUrl, fetch, headers: { Authorization: `Bearer ${token}` } });
}

/** Every row of a list, page by page: `for await (const key of rows(client, "/api/v1/keys"))`. */
export async function* rows(client, path, params = {}) {
  let cursor;
  do {
    const query = { ...params.query, ...(cursor ? { cursor } : {}) };
    const { data, error } = await client.GET(path, { params: { ...params, query } });
    if (error) throw new Error(error.detail ?? `The API answered with what is no problem of its own: ${error}`);
    yield* data.data;
    cursor = data.next;
  } while (cursor);
}
