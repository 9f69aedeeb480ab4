"""The public data sets, read from a folder into plain values. Where they come from is written in docs/quality.md."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fastparquet
import numpy as np
from numpy.typing import NDArray


class DataMissing(Exception):
    """A file that a measurement needs is not in the folder. The message names it."""


@dataclass(frozen=True, slots=True)
class RoutingSet:
    """Prompts that a weak and a strong model have both answered."""

    prompts: list[str]
    tasks: list[str]
    #: how right each model's answers were, from 0 to 1
    weak: NDArray[np.float64]
    strong: NDArray[np.float64]
    #: what a call of each model costs on average, in dollars
    weak_price: float
    strong_price: float
    weak_answers: list[str]


@dataclass(frozen=True, slots=True)
class Passages:
    """A question, the passage that answers it, and what it answers."""

    question: str
    answers: list[str]
    title: str
    gold: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """A long dialogue, and questions with the turns that hold what answers them."""

    turns: list[str]
    questions: list[tuple[str, frozenset[int]]]


MIXTRAL: Final = "mistralai/Mixtral-8x7B-Instruct-v0.1"
GPT4: Final = "gpt-4-1106-preview"
#: dollars for a million tokens in and out, as the makers listed them when the answers were made (2024)
_MIXTRAL_PRICE: Final = (0.6, 0.6)
_GPT4_PRICE: Final = (10.0, 30.0)
_FLASH_PRICE: Final = (0.075, 0.30)
_PRO_PRICE: Final = (1.25, 5.0)


def read_mmlu(folder: Path) -> RoutingSet:
    """RouteLLM's MMLU without the prompts that its routers were trained on: 57 tasks."""
    contaminated = _contaminated(folder, "mmlu")
    rows = [
        row
        for row in _parquet(folder / "routing/routellm/mmlu_responses_all57.parquet")
        if row["prompt"] not in contaminated
    ]
    prompts = [row["prompt"] for row in rows]
    # One letter is answered, so the question is what costs.
    tokens = _guess_tokens(prompts)
    return RoutingSet(
        prompts=prompts,
        tasks=[row["domain"] for row in rows],
        weak=_floats(row["mixtral_8x7b_instruct_correct"] for row in rows),
        strong=_floats(row["gpt4_1106_preview_correct"] for row in rows),
        weak_price=_dollars(_MIXTRAL_PRICE, tokens, 1),
        strong_price=_dollars(_GPT4_PRICE, tokens, 1),
        weak_answers=[],
    )


def read_gsm8k(folder: Path) -> RoutingSet:
    """RouteLLM's GSM8K with the weak model's answers: one task."""
    contaminated = _contaminated(folder, "gsm8k")
    path = folder / "routing/routellm/gsm8k__gsm8k_responses.csv"
    rows = [row for row in csv.DictReader(io.StringIO(_text(path))) if row["prompt"] not in contaminated]
    prompts = [row["prompt"] for row in rows]
    tokens = _guess_tokens(prompts)
    return RoutingSet(
        prompts=prompts,
        tasks=["gsm8k"] * len(rows),
        weak=_floats(row[MIXTRAL] == "True" for row in rows),
        strong=_floats(row[GPT4] == "True" for row in rows),
        weak_price=_dollars(_MIXTRAL_PRICE, tokens, _guess_tokens([row[f"{MIXTRAL}_response"] for row in rows])),
        strong_price=_dollars(_GPT4_PRICE, tokens, _guess_tokens([row[f"{GPT4}_response"] for row in rows])),
        weak_answers=[row[f"{MIXTRAL}_response"] for row in rows],
    )


def read_mmlu_pro(folder: Path, weak: str, strong: str) -> RoutingSet:
    """MMLU-Pro for two of its models, where both have answered: 14 tasks."""
    rows = [
        row
        for row in _parquet(folder / "routing/mmlu_pro/mmlu_pro_16models.parquet")
        if _is_number(row[f"{weak}__correct"]) and _is_number(row[f"{strong}__correct"])
    ]
    tokens = float(np.mean([row["prompt_tokens_cl100k"] for row in rows]))
    prices = (_FLASH_PRICE, _PRO_PRICE) if "gemini" in weak else ((0.18, 0.18), (0.88, 0.88))
    return RoutingSet(
        prompts=[f"{row['question']}\n" + "\n".join(json.loads(row["options"])) for row in rows],
        tasks=[row["category"] for row in rows],
        weak=_floats(row[f"{weak}__correct"] for row in rows),
        strong=_floats(row[f"{strong}__correct"] for row in rows),
        weak_price=_dollars(prices[0], tokens, _mean_number(row[f"{weak}__out_tokens"] for row in rows)),
        strong_price=_dollars(prices[1], tokens, _mean_number(row[f"{strong}__out_tokens"] for row in rows)),
        weak_answers=[],
    )


def read_llmrouter(
    folder: Path,
    weak: str = "qwen2.5-7b-instruct",
    strong: str = "llama-3.1-nemotron-51b-instruct",
) -> RoutingSet:
    """LLMRouter's scores for two of its models, each question once: 14 tasks."""
    rows = {
        (row["task"], row["question"]): row
        for row in _parquet(folder / "routing/llmrouter/llmrouter_scores_9models.parquet")
        if _is_number(row[f"score__{weak}"]) and _is_number(row[f"score__{strong}"])
    }
    kept = list(rows.values())
    prices = json.loads(_text(folder / "routing/llmrouter/default_llm_prices.json"))
    tokens = float(np.mean([row["prompt_tokens_cl100k"] for row in kept]))

    def price(model: str) -> float:
        # How long the answers were is not in the data.
        return _dollars((prices[model]["input_price"], prices[model]["output_price"]), tokens, 100)

    return RoutingSet(
        prompts=[row["question"] for row in kept],
        tasks=[row["task"] for row in kept],
        weak=_floats(row[f"score__{weak}"] for row in kept),
        strong=_floats(row[f"score__{strong}"] for row in kept),
        weak_price=price(weak),
        strong_price=price(strong),
        weak_answers=[],
    )


def read_clinc(folder: Path) -> list[tuple[str, str]]:
    """CLINC150: every request with its intent; ``oos`` where it has none."""
    parts = json.loads(_text(folder / "semantic_cache/clinc150/data_full.json"))
    return [(text, intent) for part in sorted(parts) for text, intent in parts[part]]


def read_headlines(folder: Path, part: str) -> list[tuple[str, str]]:
    """FrugalGPT's HEADLINES, ``train`` or ``test``: the headline and where the price of gold goes."""
    rows = csv.reader(io.StringIO(_text(folder / f"cascade/headlines/HEADLINES__{part}.csv")))
    return [(row[0].removeprefix("Q: ").removesuffix("\nA:"), row[1]) for row in rows]


def read_frugal_curve(folder: Path) -> list[tuple[str, float, float]]:
    """What FrugalGPT's authors print for HEADLINES: method, dollars a question, accuracy."""
    path = folder / "cascade/headlines/summary__summary_HEADLINES_e8_full_2024.csv"
    rows = csv.DictReader(io.StringIO(_text(path)))
    return [(row["Method"], float(row["Test_cost"]), float(row["Test_acc"])) for row in rows]


def read_passages(folder: Path) -> list[Passages]:
    """Natural Questions as in "Lost in the Middle": a question and its gold passage."""
    found = []
    for row in _parquet(folder / "compression/lost_in_the_middle/nq-open-oracle.parquet"):
        gold = json.loads(row["ctxs"])[0]
        found.append(Passages(row["question"], json.loads(row["answers"]), gold["title"], gold["text"]))
    return found


def read_key_values(folder: Path) -> list[list[list[str]]]:
    """The pairs of names and values of "Lost in the Middle", which a prompt spells as JSON."""
    rows = _parquet(folder / "compression/lost_in_the_middle/kv-retrieval-75_keys.parquet")
    return [json.loads(row["ordered_kv_records"]) for row in rows]


def read_meetings(folder: Path) -> list[Meeting]:
    """QMSum's test meetings with their specific questions."""
    meetings = []
    for line in _text(folder / "compression/qmsum/test.jsonl").splitlines():
        row = json.loads(line)
        turns = [f"{turn['speaker']}: {turn['content']}" for turn in row["meeting_transcripts"]]
        questions = [
            (query["query"], frozenset(_spans(query["relevant_text_span"], len(turns))))
            for query in row["specific_query_list"]
        ]
        meetings.append(Meeting(turns, questions))
    return meetings


def _spans(spans: list[list[str]], turns: int) -> Iterator[int]:
    for first, last in spans:
        yield from range(int(first), min(int(last), turns - 1) + 1)


def _contaminated(folder: Path, name: str) -> set[str]:
    lines = _text(folder / f"routing/routellm/{name}__contaminated_prompts.jsonl").splitlines()
    return {json.loads(line)["eval_prompt"] for line in lines}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise DataMissing(f"{path} cannot be read: {error.strerror}.") from error


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataMissing(f"{path} cannot be read: {error.strerror}.") from error
    rows: list[dict[str, Any]] = fastparquet.ParquetFile(io.BytesIO(content)).to_pandas().to_dict("records")
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))


def _floats(values: Any) -> NDArray[np.float64]:
    return np.array([float(value) for value in values])


def _mean_number(values: Any) -> float:
    return float(np.mean([value for value in values if _is_number(value)]))


def _guess_tokens(texts: list[str]) -> float:
    """Four characters a token, the usual rule for English."""
    return float(np.mean([len(text) for text in texts])) / 4


def _dollars(price: tuple[float, float], tokens_in: float, tokens_out: float) -> float:
    return (price[0] * tokens_in + price[1] * tokens_out) / 1e6
