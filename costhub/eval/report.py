"""A measurement as three things: an object for programs, a table for a document, and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from costhub.eval.cache import GPTCACHE_DEFAULT, CacheResult
from costhub.eval.cascade import CascadeResult, HeadlinesResult
from costhub.eval.compression import Point
from costhub.eval.distillation import DistillationResult
from costhub.eval.near_misses import NearMisses
from costhub.eval.picture import draw_curves
from costhub.eval.routing import FEW_LABELS, RoutingResult


@dataclass(frozen=True, slots=True)
class Report:
    """What one measurement says."""

    figures: dict[str, Any]
    #: Markdown
    text: str
    #: SVG by file name
    pictures: dict[str, str] = field(default_factory=dict)


def report_routing(results: Mapping[str, RoutingResult]) -> Report:
    """The sets' APGR beside every control, and the curves."""
    controls = list(next(iter(results.values())).controls)
    rows = []
    pictures = {}
    for name, result in results.items():
        low, high = result.difference
        rows.append(
            [
                name,
                f"**{result.apgr:.3f}**",
                *(f"{result.controls[control]:.3f}" for control in controls),
                f"{result.apgr - result.controls[result.best_control]:+.3f} [{low:+.3f}, {high:+.3f}]",
                f"{result.cpt50:.1%}",
                f"{result.cpt80:.1%}",
                f"{result.saved_at_equal:.1%}",
            ]
        )
        shares = [step / (len(result.curve) - 1) for step in range(len(result.curve))]
        pictures[f"quality-routing-{name}.svg"] = draw_curves(
            {
                "learned router": list(zip(shares, result.curve, strict=True)),
                result.best_control: list(zip(shares, result.control_curve, strict=True)),
                "random": [(0.0, 0.0), (1.0, 1.0)],
            },
            x="share of calls to the strong model",
            y="part of the difference kept",
        )
    heads = ["set", "APGR", *controls, "against the best control", "CPT50", "CPT80", "dollars saved at equal quality"]
    figures = {
        name: {
            "apgr": result.apgr,
            "best_control": result.controls[result.best_control],
            "difference": list(result.difference),
            "cpt50": result.cpt50,
            "cpt80": result.cpt80,
            "saved_at_equal": result.saved_at_equal,
            "controls": result.controls,
            "few_labels": {str(labels): list(found) for labels, found in result.few.items()},
            "unseen_tasks": list(result.unseen) if result.unseen is not None else None,
            "ends": asdict(result.ends),
        }
        for name, result in results.items()
    }
    more = [
        [
            name,
            *(_few(result.few.get(labels)) for labels in FEW_LABELS),
            *(f"{area:.3f}" for area in result.unseen or ()),
            *([""] * 2 if result.unseen is None else []),
        ]
        for name, result in results.items()
    ]
    heads_of_more = [
        "set",
        *(f"{labels} labels, against the task mean: mean (least)" for labels in FEW_LABELS),
        "unseen task: APGR of the heuristic",
        "of the length",
    ]
    ends = [
        [
            name,
            f"{result.ends.weak:.3f}",
            f"{result.ends.strong:.3f}",
            f"{result.ends.oracle:.3f}",
            f"{result.ends.oracle_share:.1%}",
            f"{result.ends.oracle_saved:.1%}",
        ]
        for name, result in results.items()
    ]
    heads_of_ends = [
        *("set", "right, always weak", "always strong", "oracle"),
        *("of its calls to the strong model", "dollars saved by it against always strong"),
    ]
    tables = (_table(heads, rows), _table(heads_of_ends, ends), _table(heads_of_more, more))
    return Report(figures, "\n".join(tables), pictures)


def _few(found: tuple[float, float] | None) -> str:
    return f"{found[0]:+.3f} ({found[1]:+.3f})" if found is not None else ""


def report_cascade(gsm8k: CascadeResult, headlines: HeadlinesResult) -> Report:
    """How sure the cascade is, and what that saves."""
    low, high = gsm8k.difference
    rows = [
        ["AUROC of the confidence", f"{gsm8k.auroc:.3f}"],
        ["APGR; of routing on the same folds", f"**{gsm8k.apgr:.3f}**; {gsm8k.routing_apgr:.3f}"],
        ["difference", f"{gsm8k.apgr - gsm8k.routing_apgr:+.3f} [{low:+.3f}, {high:+.3f}]"],
        ["ECE; before calibration", f"{gsm8k.ece:.3f}; {gsm8k.ece_before:.3f}"],
        ["dollars saved at the strong model's accuracy", f"{gsm8k.saved_at_equal:.1%}"],
        ["HEADLINES: accuracy of the strong model (simulated)", f"{headlines.strong_accuracy:.3f}"],
    ]
    heads = [
        [name, f"{head.accuracy:.3f}", f"{head.saved:.1%}", f"{head.least:.1%}", f"{head.most:.1%}"]
        for name, head in headlines.heads.items()
    ]
    shares = [step / (len(gsm8k.curve) - 1) for step in range(len(gsm8k.curve))]
    pictures = {
        "quality-cascade-gsm8k.svg": draw_curves(
            {
                "cascade": list(zip(shares, gsm8k.curve, strict=True)),
                "linear interpolation": [(0.0, 0.0), (1.0, 1.0)],
            },
            x="share of calls that are escalated",
            y="part of the difference kept",
        )
    }
    points = [[f"{cost:.6f}", f"{reached:.4f}"] for cost, reached in dict.fromkeys(headlines.frugal)]
    text = _table(["GSM8K, Mixtral to GPT-4", ""], rows)
    text += "\n" + _table(
        ["HEADLINES, head of 500 labels", "its accuracy", "saved at the strong model's accuracy", "least", "most"],
        heads,
    )
    text += f"\nThe strong model of HEADLINES costs {headlines.strong_price:.6f} dollars a question. FrugalGPT's own curve:\n\n"
    text += _table(["dollars a question", "accuracy"], points)
    figures = {
        "gsm8k": {
            "auroc": gsm8k.auroc,
            "apgr": gsm8k.apgr,
            "routing_apgr": gsm8k.routing_apgr,
            "difference": list(gsm8k.difference),
            "ece": gsm8k.ece,
            "ece_before": gsm8k.ece_before,
            "saved_at_equal": gsm8k.saved_at_equal,
        },
        "headlines": {
            "strong_accuracy": headlines.strong_accuracy,
            "heads": {name: asdict(head) for name, head in headlines.heads.items()},
        },
    }
    return Report(figures, text, pictures)


def report_compression(
    passages: Mapping[str, Sequence[Point]],
    meetings: Mapping[str, Sequence[Point]],
    words: Sequence[Point],
    key_values: tuple[int, int],
    survived: tuple[int, int],
) -> Report:
    """What each method keeps at the ratio that it reached."""
    parts = {"passages": passages, "meetings": meetings, "words": {"words by rule": words}}
    rows = [
        [kind, method, f"{point.achieved:.2f}x", f"{point.kept:.3f}", f"[{point.low:.3f}, {point.high:.3f}]"]
        for kind, methods in parts.items()
        for method, points in methods.items()
        for point in points
    ]
    text = _table(["text", "method", "reached", "kept", "95 % interval"], rows)
    text += f"\nJSON prompts equal byte for byte: {key_values[0]} of {key_values[1]}.\n"
    text += (
        f"\nProtected spans (code, tables, numbers, names, quotations, negations) that stand after pruning to 2x as they"
        f" did, in their order: {survived[0]:,} of {survived[1]:,}.\n"
    )
    best = {"nq": next(iter(passages.values())), "qmsum": next(iter(meetings.values())), "words": words}
    figures: dict[str, Any] = {
        name: {f"{point.aimed:g}": point.kept for point in points} for name, points in best.items()
    }
    figures["kv"] = {"byte_equal": key_values[0], "prompts": key_values[1]}
    figures["protected"] = {"survived": survived[0], "spans": survived[1]}
    pictures = {
        f"quality-compression-{kind}.svg": draw_curves(
            {
                method: [(point.achieved, point.kept) for point in points]
                for method, points in methods.items()
                if len(points) > 1  # one alone is no curve
            },
            x="times shorter",
            y="share of what answers that is kept",
        )
        for kind, methods in (("passages", passages), ("meetings", meetings))
    }
    return Report(figures, text, pictures)


def report_cache(results: Sequence[CacheResult], near_misses: Sequence[NearMisses] = ()) -> Report:
    """Hits and errors by seed, with and without the guards' veto, beside plain thresholds of the same error; and what
    became of questions that are all but equal."""
    rows = []
    for result in results:
        for name, run in (("gate", result.gated), ("gate and guards", result.guarded)):
            rows.append(
                [
                    str(result.seed),
                    name,
                    f"{run.hit_rate:.1%}",
                    f"{run.error_rate:.2%}",
                    f"{run.error_upper:.2%}",
                    f"{run.rechecked / run.requests:.1%}",
                    f"{result.static_at(run.error_rate):.1%}",
                ]
            )
        rows += [
            [
                str(result.seed),
                f"cosine from {threshold:.2f} on" + (", GPTCache's default" if threshold == GPTCACHE_DEFAULT else ""),
                f"{run.hit_rate:.1%}",
                f"{run.error_rate:.2%}",
                f"{run.error_upper:.2%}",
                "",
                "",
            ]
            for threshold, run in result.static
        ]
    heads = ["seed", "method", "hits", "errors", "95 % bound", "re-checked", "hits of a plain threshold at that error"]
    figures = {
        "clinc150": {
            "seeds": [
                {
                    "hit_rate": result.gated.hit_rate,
                    "error_rate": result.gated.error_rate,
                    "error_upper": result.gated.error_upper,
                    "rechecked": result.gated.rechecked / result.gated.requests,
                    "guarded_hit_rate": result.guarded.hit_rate,
                    "guarded_error_rate": result.guarded.error_rate,
                    "guarded_error_upper": result.guarded.error_upper,
                    "guarded_rechecked": result.guarded.rechecked / result.guarded.requests,
                    "static": {str(threshold): [run.hit_rate, run.error_rate] for threshold, run in result.static},
                }
                for result in results
            ]
        },
        "static_at_equal_error": [result.static_at(result.gated.error_rate) for result in results],
    }
    first = results[0]
    pictures = {
        "quality-cache-hits.svg": draw_curves(
            {
                "gate": [(requests, hits) for requests, hits, _ in first.gated.curve],
                "gate and guards": [(requests, hits) for requests, hits, _ in first.guarded.curve],
            },
            x="requests served",
            y="share of hits so far",
        ),
        "quality-cache-errors.svg": draw_curves(
            {
                "gate": [(requests, errors) for requests, _, errors in first.gated.curve],
                "gate and guards": [(requests, errors) for requests, _, errors in first.guarded.curve],
            },
            x="requests served",
            y="share of wrong answers so far",
        ),
        "quality-cache-trade.svg": draw_curves(
            {
                # GPTCache's default lies so far outside that nothing else could be told apart.
                "plain thresholds": [
                    (run.error_rate, run.hit_rate) for threshold, run in first.static if threshold != GPTCACHE_DEFAULT
                ],
                "gate, three seeds": [(result.gated.error_rate, result.gated.hit_rate) for result in results],
                "gate and guards": [(result.guarded.error_rate, result.guarded.hit_rate) for result in results],
            },
            x="wrong answers among all requests",
            y="hits",
        ),
    }
    text = _table(heads, rows)
    if near_misses:
        figures["near_misses"] = {one.kind: [one.pairs, one.near, len(one.served)] for one in near_misses}
        text += "\n" + _table(
            ["what differs", "pairs", "near enough without guards", "served"],
            [[one.kind, str(one.pairs), str(one.near), str(len(one.served))] for one in near_misses],
        )
    return Report(figures, text, pictures)


def report_distillation(results: Mapping[str, DistillationResult]) -> Report:
    """The students beside who has learned nothing, and what they may answer."""
    heads = [
        *("set", "learned from", "labels", "agrees with the teacher", "nearest example", "commonest label"),
        *("floor", "answers", "of these agrees", "right: student, teacher", "s of training"),
    ]
    rows, figures = [], {}
    for name, result in results.items():
        made = result.evaluation
        rows.append(
            [
                name,
                f"{result.trained_on:,}",
                str(result.labels),
                f"**{made.agreement.found / made.agreement.of:.1%}** [{made.agreement.low:.1%}, {made.agreement.high:.1%}]",
                f"{made.near.found / made.near.of:.1%}",
                f"{made.base.found / made.base.of:.1%}",
                f"{result.floor:.0%}",
                f"{made.answered.found / made.answered.of:.1%}",
                f"{made.right.found / max(1, made.right.of):.1%} [{made.right.low:.1%}, {made.right.high:.1%}]",
                f"{result.student_truth:.1%}, {result.teacher_truth:.1%}",
                f"{result.seconds:.0f}",
            ]
        )
        figures[name] = made.dump() | {
            "trained_on": result.trained_on,
            "dropped": result.dropped,
            "student_truth": result.student_truth,
            "teacher_truth": result.teacher_truth,
            "seconds": result.seconds,
        }
    return Report(figures, _table(heads, rows))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
