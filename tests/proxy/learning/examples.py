"""Examples to learn from, small enough to be read."""

from collections.abc import Sequence

from proxy.learning.conversations import Example, Message

WORDS = {
    "refund": ["I want my money back for {}", "please refund my order of {}", "how do I get a refund for {}"],
    "delivery": ["where is my parcel with {}", "when will {} be delivered", "my {} has not arrived yet"],
    "invoice": ["send me the invoice for {}", "I need a bill with VAT for {}", "the invoice of {} is wrong"],
}
THINGS = "shoes lamp kettle bicycle tent camera sofa guitar toaster blender scarf drone carpet mirror ladder".split()


def make_example(question: str, answer: str, *, at_ms: int = 0, source: str = "", system: str = "") -> Example:
    """One question and its answer."""
    prompt = ([Message("system", system)] if system else []) + [Message("user", question)]
    return Example(source or f"{at_ms:08d}", at_ms, tuple(prompt), answer)


def make_support(count: int) -> list[Example]:
    """Questions to a shop, with what they are about; a second apart."""
    labels = list(WORDS)
    return [
        make_example(
            WORDS[labels[number % 3]][number // 3 % 3].format(THINGS[number // 9 % len(THINGS)]),
            labels[number % 3],
            at_ms=number * 1000,
        )
        for number in range(count)
    ]


def sources(examples: Sequence[Example], places: Sequence[int]) -> list[str]:
    """Where the chosen ones come from."""
    return [examples[place].source for place in places]
