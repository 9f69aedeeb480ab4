// Reads streams with the official clients, as an application would. In: {base_url, root_url, api_key, calls} on stdin,
// where a call is {api, body}. Out: for each call what the client made of its stream, as JSON.
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const { base_url, root_url, api_key, calls } = JSON.parse(readFileSync(0, "utf8"));
const openai = new OpenAI({ baseURL: base_url, apiKey: api_key, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: root_url, apiKey: api_key, maxRetries: 0 });

async function readChat(body, seen) {
  for await (const event of await open(openai.chat.completions.create({ ...body, stream: true }), seen)) {
    const choice = event.choices[0];
    seen.text += choice?.delta?.content ?? "";
    seen.arguments += choice?.delta?.tool_calls?.[0]?.function?.arguments ?? "";
    seen.finish = choice?.finish_reason ?? seen.finish;
    seen.usage = event.usage ?? seen.usage;
    seen.costhub = event.costhub ?? seen.costhub;
  }
}

async function readResponse(body, seen) {
  for await (const event of await open(openai.responses.create({ ...body, stream: true }), seen)) {
    if (event.type === "response.output_text.delta") seen.text += event.delta;
    if (event.type === "response.function_call_arguments.delta") seen.arguments += event.delta;
    if (event.response?.usage) seen.usage = event.response.usage;
    if (event.type === "response.completed" || event.type === "response.incomplete") seen.finish = event.response.status;
    seen.costhub = event.costhub ?? seen.costhub;
  }
}

async function readMessage(body, seen) {
  const stream = anthropic.messages.stream(body);
  stream.on("text", (text) => (seen.text += text));
  stream.on("inputJson", (part) => (seen.arguments += part));
  stream.on("streamEvent", (event) => (seen.costhub = event.costhub ?? seen.costhub));
  const message = await stream.finalMessage();
  seen.cache = stream.response?.headers.get("x-costhub-cache") ?? null;
  seen.finish = message.stop_reason;
  seen.usage = message.usage;
}

async function open(promise, seen) {
  const { data, response } = await promise.withResponse();
  seen.cache = response.headers.get("x-costhub-cache");
  return data;
}

const readers = { chat: readChat, responses: readResponse, messages: readMessage };
const told = [];
for (const { api, body } of calls) {
  const seen = { text: "", finish: null, usage: null, costhub: null, cache: null, error: null, arguments: "" };
  try {
    await readers[api](body, seen);
  } catch (error) {
    const is_api_error = error instanceof OpenAI.APIError || error instanceof Anthropic.APIError;
    const code = error.code ?? error.error?.error?.code ?? null;
    seen.error = { is_api_error, status: error.status ?? null, code, message: error.message };
  }
  told.push(seen);
}
process.stdout.write(JSON.stringify(told));
