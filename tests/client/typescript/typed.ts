// Compiled by tests/client/test_typescript.py, never run: each line marked as an error must be one, and no other.
import { connect, rows, type Row, type Thing } from "../../../costhub/client/typescript/index.js";

const client = connect({ url: "http://127.0.0.1:8000", token: "cha_x" });

export async function use(): Promise<string> {
  const made = await client.POST("/api/v1/budgets", { body: { scope: "project", period: "day", limit: "10.00" } });
  if (made.error) return made.error.detail;
  const budget: Thing<"BudgetAnswer"> = made.data;
  // @ts-expect-error: there is no such path
  await client.GET("/api/v1/budgetz");
  // @ts-expect-error: the limit is missing
  await client.POST("/api/v1/budgets", { body: { scope: "project", period: "day" } });
  // @ts-expect-error: no budget has this period
  await client.POST("/api/v1/budgets", { body: { scope: "project", period: "fortnight", limit: "1" } });
  for await (const key of rows(client, "/api/v1/keys")) {
    const row: Row<"/api/v1/keys"> = key;
    // @ts-expect-error: money is text, and a prefix is no number
    const prefix: number = row.prefix;
    if (prefix) return row.prefix;
  }
  return budget.limit;
}
