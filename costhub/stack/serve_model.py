"""The child process of model_server.py: llama.cpp's own HTTP server around one GGUF file, until it is signalled."""

import argparse
import signal
import sys
from typing import Final

import xllamacpp

# The template inside the file adds a system message that spoils answers of so small a model: plain ChatML does not.
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{{ message['content'] if message['content'] is string else '' }}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def main() -> int:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--tokens-per-slot", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()

    parameters = xllamacpp.CommonParams()
    parameters.model.path = options.file
    parameters.model_alias = {options.name}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = options.port
    parameters.n_parallel = options.slots
    parameters.n_ctx = options.slots * options.tokens_per_slot
    parameters.cpuparams.n_threads = options.threads
    parameters.cpuparams_batch.n_threads = options.threads
    parameters.use_jinja = True
    parameters.chat_template = CHAT_TEMPLATE
    parameters.cache_ram_mib = 0
    parameters.cache_idle_slots = False
    parameters.ui = False
    parameters.endpoint_slots = False

    server = xllamacpp.Server(parameters)
    print(f"{options.name} answers on {server.listening_address}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
