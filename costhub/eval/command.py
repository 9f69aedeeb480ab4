"""The command ``costhub eval``: measure, print, and write into the document."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from threadpoolctl import threadpool_limits

from costhub.eval import cache, cascade, compression, distillation, report, routing
from costhub.eval.data import DataMissing
from costhub.eval.near_misses import make_pairs, measure_near_misses
from costhub.eval.report import Report
from costhub.eval.vectors import Vectors

#: every subject, one after the other
ALL: Final = "all"


def evaluate(subject: str, folder: Path, *, vectors: Path | None, as_json: bool, document: Path | None) -> int:
    """Measure one subject on a folder of data, or all of them. Gives 0, or 1 when a file is not there (a sentence on
    stderr); what was measured before that is written all the same."""
    wanted = list(SUBJECTS) if subject == ALL else [subject]
    figures = {}
    for name in wanted:
        try:
            # A core that waits for another core's part of a small product is slower than one alone.
            with threadpool_limits(1):
                made = SUBJECTS[name](folder, Vectors(vectors))
        except DataMissing as error:
            print(f"costhub eval: {error}", file=sys.stderr)
            return 1
        figures[name] = made.figures
        if not as_json:
            print(made.text)
        if document is not None:
            _write(made, name, document)
    if as_json:
        print(json.dumps(figures if subject == ALL else figures[subject], indent=2))
    return 0


def _measure_routing(folder: Path, _: Vectors) -> Report:
    return report.report_routing({name: routing.measure_routing(read(folder)) for name, read in routing.SETS.items()})


def _measure_cascade(folder: Path, _: Vectors) -> Report:
    return report.report_cascade(cascade.measure_gsm8k(folder), cascade.measure_headlines(folder))


def _measure_compression(folder: Path, vectors: Vectors) -> Report:
    return report.report_compression(
        compression.measure_passages(folder, vectors),
        compression.measure_meetings(folder, vectors) | compression.measure_served(folder, vectors),
        compression.measure_words(folder),
        compression.measure_key_values(folder),
        compression.measure_protected(folder),
    )


def _measure_cache(folder: Path, vectors: Vectors) -> Report:
    return report.report_cache(cache.measure_cache(folder, vectors), measure_near_misses(vectors, make_pairs()))


def _measure_distillation(folder: Path, vectors: Vectors) -> Report:
    return report.report_distillation(distillation.measure_distillation(folder, vectors))


#: what can be measured
SUBJECTS: Final[dict[str, Callable[[Path, Vectors], Report]]] = {
    "routing": _measure_routing,
    "cascade": _measure_cascade,
    "compression": _measure_compression,
    "cache": _measure_cache,
    "distillation": _measure_distillation,
}


def _write(made: Report, subject: str, document: Path) -> None:
    """Put the figures between the subject's two marks in the document, and the pictures beside it."""
    images = document.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name, picture in made.pictures.items():
        (images / name).write_text(picture, "utf-8")
    shown = "".join(f"\n![{Path(name).stem}](images/{name})\n" for name in made.pictures)
    start, end = f"<!-- {subject} -->", f"<!-- /{subject} -->"
    block = f"{start}\n{made.text}{shown}{end}"
    text = document.read_text("utf-8") if document.exists() else ""
    if start in text and end in text:
        text = re.sub(re.escape(start) + ".*?" + re.escape(end), lambda _: block, text, flags=re.DOTALL)
    else:
        text = f"{text.rstrip()}\n\n{block}\n".lstrip()
    document.write_text(text, "utf-8")
