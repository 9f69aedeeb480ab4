"""Programs that people point at a gateway, each as its documents say: what they said last, as JSON, by name.

Runs in an environment of its own, with nothing of the product: ``programs.py NAME BASE_URL API_KEY``.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

QUESTION = "one two three"


def chat_with_llm(base_url: str, key: str) -> list[str]:
    """Simon Willison's command line, on the chat API, streamed and not."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        model = {"model_id": "ours", "model_name": "local", "api_base": base_url, "api_key_name": "ours"}
        # JSON is YAML.
        (home / "extra-openai-models.yaml").write_text(json.dumps([model]))
        (home / "keys.json").write_text(json.dumps({"ours": key}))
        program = [str(Path(sys.executable).parent / "llm"), "-m", "ours", "--no-log", QUESTION]
        environment = {**os.environ, "LLM_USER_PATH": folder}
        said = []
        for more in ([], ["--no-stream"]):
            ran = subprocess.run([*program, *more], env=environment, stdout=subprocess.PIPE, text=True, check=True)
            said.append(ran.stdout.strip())
        return said


def run_openais_agents(base_url: str, key: str) -> list[str]:
    """OpenAI's Agents SDK, on Responses, with a tool that it calls and a second turn that goes on from the first."""
    from agents import Agent, Runner, function_tool, set_default_openai_client, set_tracing_disabled
    from openai import AsyncOpenAI

    called: list[str] = []

    @function_tool
    def find(text: str) -> str:
        """Finds what a text speaks of."""
        called.append(text)
        return "found"

    set_tracing_disabled(disabled=True)
    set_default_openai_client(AsyncOpenAI(base_url=base_url, api_key=key), use_for_tracing=False)

    async def run() -> list[str]:
        agent = Agent(name="Ada", instructions="Be short.", model="gpt", tools=[find])
        first = await Runner.run(agent, QUESTION)
        second = await Runner.run(agent, [*first.to_input_list(), {"role": "user", "content": "four"}])
        told = ""
        streamed = Runner.run_streamed(agent, QUESTION)
        async for event in streamed.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                told += event.data.delta
        return [first.final_output, second.final_output, told]

    return [*asyncio.run(run()), f"{len(called)} calls of the tool"]


def run_pydantic_ai(base_url: str, key: str) -> list[str]:
    """Pydantic AI, on Anthropic's Messages, with a tool and streamed."""
    from anthropic import AsyncAnthropic
    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(base_url=base_url.removesuffix("/v1"), api_key=key)
    agent = Agent(
        AnthropicModel("claude", provider=AnthropicProvider(anthropic_client=client)), instructions="Be short."
    )
    called: list[str] = []

    @agent.tool_plain
    def find(text: str) -> str:
        """Finds what a text speaks of."""
        called.append(text)
        return "found"

    async def run() -> list[str]:
        first = await agent.run(QUESTION)
        async with agent.run_stream(QUESTION) as streamed:
            told = await streamed.get_output()
        return [first.output, told]

    return [*asyncio.run(run()), f"{len(called)} calls of the tool"]


def extract_with_instructor(base_url: str, key: str) -> list[str]:
    """Instructor, which makes the model fill in a class: by a tool."""
    import instructor
    from openai import OpenAI
    from pydantic import BaseModel

    class Said(BaseModel):
        text: str

    client = instructor.from_openai(OpenAI(base_url=base_url, api_key=key))
    said = client.chat.completions.create(
        model="local", response_model=Said, messages=[{"role": "user", "content": QUESTION}]
    )
    return [said.text]


def call_with_litellm(base_url: str, key: str) -> list[str]:
    """LiteLLM's library, which many agents are built on, on each of the three."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    asked = [{"role": "user", "content": QUESTION}]
    ours = {"api_base": base_url, "api_key": key}
    claude = {"api_base": base_url.removesuffix("/v1"), "api_key": key}
    whole = litellm.completion(model="openai/local", messages=asked, **ours)
    pieces = litellm.completion(model="openai/local", messages=asked, stream=True, **ours)
    streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    message = litellm.completion(model="anthropic/claude", messages=asked, max_tokens=50, **claude)
    told = litellm.completion(model="anthropic/claude", messages=asked, max_tokens=50, stream=True, **claude)
    words = "".join(piece.choices[0].delta.content or "" for piece in told)
    response = litellm.responses(model="openai/gpt", input=QUESTION, **ours)
    vectors = litellm.embedding(model="openai/local", input=[QUESTION], **ours)
    said = [whole.choices[0].message.content, streamed, message.choices[0].message.content, words]
    return [*said, response.output_text, f"{len(vectors.data)} vectors"]


def run_langchain(base_url: str, key: str) -> list[str]:
    """LangChain's models of both vendors: a tool on Messages, a stream on Responses, a class filled in on chat."""
    from langchain_anthropic import ChatAnthropic
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from pydantic import BaseModel

    @tool
    def find(text: str) -> str:
        """Finds what a text speaks of."""
        return f"found {bool(text)}"

    class Said(BaseModel):
        text: str

    claude = ChatAnthropic(model="claude", base_url=base_url.removesuffix("/v1"), api_key=key, max_tokens=50)
    with_tool = claude.bind_tools([find])
    first = with_tool.invoke(QUESTION)
    given = [find.invoke(call) for call in first.tool_calls]
    second = with_tool.invoke([("user", QUESTION), first, *given])
    told = "".join(piece.text for piece in claude.stream(QUESTION))
    gpt = ChatOpenAI(model="gpt", base_url=base_url, api_key=key, use_responses_api=True)
    streamed = "".join(piece.text for piece in gpt.stream(QUESTION))
    local = ChatOpenAI(model="local", base_url=base_url, api_key=key)
    shaped = local.with_structured_output(Said).invoke(QUESTION)
    return [second.text, told, streamed, shaped.text, *(one.content for one in given)]


PROGRAMS = {
    "llm": chat_with_llm,
    "openai-agents": run_openais_agents,
    "pydantic-ai": run_pydantic_ai,
    "instructor": extract_with_instructor,
    "litellm": call_with_litellm,
    "langchain": run_langchain,
}

if __name__ == "__main__":
    name, base_url, key = sys.argv[1:]
    print(json.dumps(PROGRAMS[name](base_url, key)))
