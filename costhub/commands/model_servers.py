"""`costhub student-server`, `tuned-server` and `scorer-server`: models of our own, served as an upstream does."""

import argparse
import os
import sys

from costhub.commands.arguments import Commands, count, port, take_data_dir
from costhub.commands.joining import join_stack
from costhub.stack.launch import STUDENTS_PORT
from costhub.stack.ports import HOST


def add_parser(commands: Commands) -> None:
    """Add the commands."""
    students = commands.add_parser(
        "student-server",
        help="answer calls with students, as an upstream does",
        description="Serve every organisation's students in OpenAI's form. COSTHUB_STUDENTS_URL tells the rest of the "
        "stack where this is. On SIGTERM calls under way end first.",
    )
    students.add_argument("--host", default=HOST, help="where it listens (default: %(default)s)")
    students.add_argument("--port", type=port, default=STUDENTS_PORT, help="(default: %(default)s)")
    take_data_dir(students)
    students.set_defaults(do=_serve_students)

    tuned = commands.add_parser(
        "tuned-server",
        help="answer calls with adapters of language models, as an upstream does",
        description="Serve every organisation's tuned models in OpenAI's form, each by a process of llama.cpp. "
        "COSTHUB_TUNED_URL tells the rest of the stack where this is. On SIGTERM calls under way end first.",
    )
    tuned.add_argument("--host", default=HOST, help="where it listens (default: %(default)s)")
    tuned.add_argument("--port", type=port, default=8021, help="(default: %(default)s)")
    tuned.add_argument("--threads", type=count, default=2, help="of the processor, for each model (default: 2)")
    take_data_dir(tuned)
    tuned.set_defaults(do=_serve_tuned)

    scorer = commands.add_parser(
        "scorer-server",
        help="say how likely the tokens of prompts are, as an upstream does",
        description="Serve a small language model as the scorer of a compression policy: completions that echo a prompt "
        "with its log probabilities, in OpenAI's form. Needs the learning extra. COSTHUB_SCORER_CREDENTIAL is what "
        "callers give as their bearer.",
    )
    scorer.add_argument("--model", default="smollm2-135m-instruct", help="(default: %(default)s)")
    scorer.add_argument("--host", default=HOST, help="where it listens (default: %(default)s)")
    scorer.add_argument("--port", type=port, default=8022, help="(default: %(default)s)")
    take_data_dir(scorer)
    scorer.set_defaults(do=_serve_scorer)


def _serve_students(options: argparse.Namespace) -> int:
    """Answer calls with students until a signal comes. Gives 1 where there is no stack."""
    if not join_stack(options.data_dir.absolute()):
        return 1
    from proxy.learning.student_process import run_student_server

    run_student_server(options.host, options.port)
    return 0


def _serve_tuned(options: argparse.Namespace) -> int:
    """Answer calls with tuned models until a signal comes. Gives 1 where there is no stack."""
    if not join_stack(options.data_dir.absolute()):
        return 1
    from proxy.learning.lora.server_process import run_tuned_server

    run_tuned_server(options.host, options.port, threads=options.threads)
    return 0


def _serve_scorer(options: argparse.Namespace) -> int:
    """Say how likely the tokens of prompts are until a signal comes. Gives 1 where there is no such model, or nothing
    that could run it."""
    if not join_stack(options.data_dir.absolute()):
        return 1
    from django.conf import settings

    from proxy.learning.lora.bases import UnknownBase, find_base

    try:
        base = find_base(options.model, settings.BASE_MODELS_DIR)
        from proxy.learning.lora.language_models import UnusableBase
        from proxy.learning.lora.prompt_scorer import PromptScorer
        from proxy.learning.lora.scorer_server import run_scorer_server
    except UnknownBase as error:
        print(error, file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"This needs the learning extra, of which {error.name} is not there.", file=sys.stderr)
        return 1
    try:
        scorer = PromptScorer(base)
    except (UnusableBase, MemoryError) as error:
        print(str(error) or "There is too little memory for this model.", file=sys.stderr)
        return 1
    credential = os.environ.get("COSTHUB_SCORER_CREDENTIAL", "")
    run_scorer_server(options.host, options.port, scorer=scorer, name=options.model, credential=credential)
    return 0
