// What tests/client/test_typescript.py runs: COSTHUB_URL and COSTHUB_ADMIN_TOKEN in, one object of JSON out.
import { connect, rows } from "../../../costhub/client/typescript/index.js";

const client = connect({ url: process.env.COSTHUB_URL, token: process.env.COSTHUB_ADMIN_TOKEN });
const budget = { scope: "organization", period: "day", limit: "10.00" };
const made = await client.POST("/api/v1/budgets", { body: budget });
const edited = await client.PATCH("/api/v1/budgets/{id}", {
  params: { path: { id: made.data.id } },
  body: { limit: "12.50" },
});
for (let number = 0; number < 3; number += 1) await client.POST("/api/v1/keys", { body: { name: `key ${number}` } });
const keys = [];
for await (const key of rows(client, "/api/v1/keys", { query: { limit: 2 } })) keys.push(key.name);
const wrong = await client.POST("/api/v1/budgets", { body: { ...budget, limit: "ten" } });
const missing = await client.GET("/api/v1/keys/{id}", { params: { path: { id: "x" } } });
const nobody = await connect({ url: process.env.COSTHUB_URL, token: "cha_x" }).GET("/api/v1/keys");
let said = "";
try {
  for await (const key of rows(connect({ url: process.env.COSTHUB_URL, token: "cha_x" }), "/api/v1/keys")) keys.push(key);
} catch (error) {
  said = error.message;
}
console.log(
  JSON.stringify({
    limits: [made.data.limit, edited.data.limit],
    keys,
    wrong: [wrong.response.status, wrong.error.errors[0].field],
    missing: [missing.response.status, missing.error.code],
    nobody: [nobody.response.status, said === nobody.error.detail],
  }),
);
