"""A first call to paste: the same question by curl, by Python and by Node."""

import json
import shlex
from dataclasses import dataclass
from typing import Final

#: what stands where a key has to be put in
YOUR_KEY: Final = "YOUR_API_KEY"
_QUESTION: Final = "What is the capital of France?"


@dataclass(frozen=True, slots=True)
class Snippet:
    """``text`` runs as it stands, once ``needs`` is there."""

    name: str
    label: str
    needs: str
    text: str


def make_snippets(base_url: str, model: str, key: str = YOUR_KEY) -> list[Snippet]:
    """The call in each language. ``base_url`` ends in /v1."""
    return [
        Snippet("curl", "curl", "", _write_curl(base_url, model, key)),
        Snippet("python", "Python", "pip install openai", _write_python(base_url, model, key)),
        Snippet("node", "Node", "npm install openai, in a file that ends in .mjs", _write_node(base_url, model, key)),
    ]


def _write_curl(base_url: str, model: str, key: str) -> str:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": _QUESTION}]})
    return "\n".join(
        [
            f"curl {base_url}/chat/completions \\",
            f"  -H 'Authorization: Bearer {key}' \\",
            "  -H 'Content-Type: application/json' \\",
            f"  -d {shlex.quote(body)}",
        ]
    )


def _quote(text: str) -> str:
    """A string of JSON is one of JavaScript, and without escapes of surrogates of Python too."""
    return json.dumps(text, ensure_ascii=False)


def _write_python(base_url: str, model: str, key: str) -> str:
    return "\n".join(
        [
            "from openai import OpenAI",
            "",
            f"client = OpenAI(base_url={_quote(base_url)}, api_key={_quote(key)})",
            "answer = client.chat.completions.create(",
            f"    model={_quote(model)},",
            f'    messages=[{{"role": "user", "content": {_quote(_QUESTION)}}}],',
            ")",
            "print(answer.choices[0].message.content)",
        ]
    )


def _write_node(base_url: str, model: str, key: str) -> str:
    return "\n".join(
        [
            'import OpenAI from "openai";',
            "",
            f"const client = new OpenAI({{ baseURL: {_quote(base_url)}, apiKey: {_quote(key)} }});",
            "const answer = await client.chat.completions.create({",
            f"  model: {_quote(model)},",
            f'  messages: [{{ role: "user", content: {_quote(_QUESTION)} }}],',
            "});",
            "console.log(answer.choices[0].message.content);",
        ]
    )
