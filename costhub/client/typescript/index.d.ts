import type { Client } from "./vendor/openapi-fetch.js";
import type { components, paths } from "./schema.js";

export type { components, paths };

/** What went wrong, and what to do: the `error` of every answer that is not a good one. */
export type Problem = components["schemas"]["Problem"];

/** An object of the API by its name: `Thing<"BudgetAnswer">`. */
export type Thing<Name extends keyof components["schemas"]> = components["schemas"][Name];

export type CostHub = Client<paths>;

export interface Options {
  /** where CostHub is, such as http://127.0.0.1:8000; with or without /v1 */
  url: string;
  /** an admin token of the organisation */
  token: string;
  /** in place of the global one */
  fetch?: (input: Request) => Promise<Response>;
}

export function connect(options: Options): CostHub;

/** The paths that give rows page by page. */
export type ListPath = {
  [Path in keyof paths]: paths[Path] extends {
    get: { responses: { 200: { content: { "application/json": { data: unknown[]; next: string | null } } } } };
  }
    ? Path
    : never;
}[keyof paths];

export type Row<Path extends ListPath> = paths[Path] extends {
  get: { responses: { 200: { content: { "application/json": { data: (infer One)[] } } } } };
}
  ? One
  : never;

/** Every row of a list, page by page. Throws an Error with the problem's sentence. */
export function rows<Path extends ListPath>(
  client: CostHub,
  path: Path,
  params?: { query?: Record<string, unknown>; path?: Record<string, string> },
): AsyncGenerator<Row<Path>>;
