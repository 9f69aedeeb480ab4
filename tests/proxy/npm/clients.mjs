// Whole calls with the official clients, as an application makes them. In: {base_url, root_url, api_key, steps} on
// stdin, where a step names one of those below and what it takes. Out: for each step what came of it, as JSON.
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { toFile } from "openai";

const { base_url, root_url, api_key, steps } = JSON.parse(readFileSync(0, "utf8"));
const openai = new OpenAI({ baseURL: base_url, apiKey: api_key, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: root_url, apiKey: api_key, maxRetries: 0 });

const listAll = async (pages) => {
  const all = [];
  for await (const one of pages) all.push(one);
  return all;
};

const chat = async ({ body, options }) => {
  const { data, response } = await openai.chat.completions.create(body, options).withResponse();
  const [choice] = data.choices;
  const call = choice.message.tool_calls?.[0];
  return {
    text: choice.message.content,
    finish: choice.finish_reason,
    tool: call && { name: call.function.name, input: JSON.parse(call.function.arguments) },
    cost: response.headers.get("x-costhub-cost"),
  };
};

const responses = async ({ body, options }) => {
  const { data, response } = await openai.responses.create(body, options).withResponse();
  const call = data.output.find((item) => item.type === "function_call");
  return {
    text: data.output_text,
    finish: data.status,
    tool: call && { name: call.name, input: JSON.parse(call.arguments) },
    cost: response.headers.get("x-costhub-cost"),
  };
};

const messages = async ({ body, options }) => {
  const { data, response } = await anthropic.messages.create(body, options).withResponse();
  const used = data.content.find((block) => block.type === "tool_use");
  return {
    text: data.content.filter((block) => block.type === "text").map((block) => block.text).join(""),
    finish: data.stop_reason,
    tool: used && { name: used.name, input: used.input },
    cost: response.headers.get("x-costhub-cost"),
  };
};

const embeddings = async ({ body }) => (await openai.embeddings.create(body)).data.map((one) => one.embedding.length);

const models = async () => ({
  openai: (await listAll(openai.models.list())).map((model) => model.id),
  anthropic: (await listAll(anthropic.models.list())).map((model) => model.id),
});

const batch = async ({ lines }) => {
  const content = lines.map((line) => JSON.stringify(line)).join("\n");
  const file = await openai.files.create({ file: await toFile(Buffer.from(content), "calls.jsonl"), purpose: "batch" });
  const made = await openai.batches.create({
    input_file_id: file.id,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
    metadata: { night: "1" },
  });
  const read = await (await openai.files.content(file.id)).text();
  return { id: made.id, file: file.id, status: made.status, is_same: read === content, bytes: file.bytes };
};

const collect = async ({ id, file }) => {
  const over = await openai.batches.retrieve(id);
  const text = await (await openai.files.content(over.output_file_id)).text();
  const listed = (await listAll(openai.batches.list())).map((one) => one.id);
  const { deleted } = await openai.files.delete(file);
  const answers = text.trim().split("\n").map((line) => JSON.parse(line));
  return { status: over.status, counts: over.request_counts, answers, listed, deleted };
};

const cancel = async ({ id }) => (await openai.batches.cancel(id)).status;

const find = (called) => (input) => {
  called.push(input);
  return "found";
};
const SHAPE = { type: "object", properties: { text: { type: "string" } } };

// The loops that each client has, which call a tool and ask again until there is an answer.
const runTools = async ({ model, question }) => {
  const called = [];
  const tool = { name: "find", description: "Finds a text.", parameters: SHAPE, parse: JSON.parse, function: find(called) };
  const runner = openai.chat.completions.runTools({
    model,
    messages: [{ role: "user", content: question }],
    tools: [{ type: "function", function: tool }],
  });
  return { text: await runner.finalContent(), called };
};

const runMessageTools = async ({ model, question }) => {
  const called = [];
  const tool = { name: "find", description: "Finds a text.", input_schema: SHAPE, run: find(called), parse: (input) => input };
  const message = await anthropic.beta.messages.toolRunner({
    model,
    max_tokens: 50,
    messages: [{ role: "user", content: question }],
    tools: [tool],
  });
  return { text: message.content.map((block) => block.text).join(""), called };
};

const messageBatch = async ({ requests }) => {
  const made = await anthropic.messages.batches.create({ requests });
  return { id: made.id, status: made.processing_status, counts: made.request_counts };
};

const messageResults = async ({ id }) => {
  const over = await anthropic.messages.batches.retrieve(id);
  const results = await listAll(await anthropic.messages.batches.results(id));
  const listed = (await listAll(anthropic.messages.batches.list())).map((one) => one.id);
  const { type } = await anthropic.messages.batches.delete(id);
  return { status: over.processing_status, counts: over.request_counts, results, listed, type };
};

const cancelMessages = async ({ id }) => (await anthropic.messages.batches.cancel(id)).processing_status;

const betaMessages = async ({ body }) => (await anthropic.beta.messages.create(body)).content[0].text;

const betaFiles = async () => listAll(anthropic.beta.files.list());

const acts = {
  ...{ chat, responses, messages, embeddings, models, batch, collect, cancel, runTools, runMessageTools },
  ...{ messageBatch, messageResults, cancelMessages, betaMessages, betaFiles },
};
const told = [];
for (const { act, ...given } of steps) {
  try {
    told.push({ came: await acts[act](given), error: null });
  } catch (error) {
    const code = error.code ?? error.error?.error?.code ?? error.error?.error?.type ?? null;
    told.push({ came: null, error: { kind: error.constructor.name, status: error.status ?? null, code } });
  }
}
process.stdout.write(JSON.stringify(told));
