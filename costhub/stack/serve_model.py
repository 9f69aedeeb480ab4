"""A child process: llama.cpp's own HTTP server around one GGUF file, with an adapter or without, until it is told."""

import argparse
import os
import signal
import sys

# Its threads wait for each other asleep, and not in a loop: where others want the processor, too, the loop takes it
# from the thread that is waited for, and an answer of a tenth of a second takes ten. Read when the library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import xllamacpp


def main() -> int:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--host", default="127.0.0.1", help="an address, or the path of a Unix socket that ends with .sock"
    )
    parser.add_argument("--adapter", default="", help="a GGUF file of a LoRA adapter")
    parser.add_argument(
        "--chat-template", default="", help="what conversations are written with; empty: what the file itself says"
    )
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--tokens-per-slot", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()

    parameters = xllamacpp.CommonParams()
    parameters.model.path = options.file
    parameters.model_alias = {options.name}
    parameters.hostnames = [options.host]
    parameters.port = options.port
    parameters.n_parallel = options.slots
    parameters.n_ctx = options.slots * options.tokens_per_slot
    parameters.cpuparams.n_threads = options.threads
    parameters.cpuparams_batch.n_threads = options.threads
    parameters.use_jinja = True
    parameters.chat_template = options.chat_template
    parameters.cache_ram_mib = 0
    parameters.cache_idle_slots = False
    parameters.ui = False
    parameters.endpoint_slots = False
    if options.adapter:
        parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(options.adapter, 1.0)]

    server = xllamacpp.Server(parameters)
    print(f"{options.name} answers on {server.listening_address}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
