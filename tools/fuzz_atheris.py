"""Coverage-guided fuzzing with atheris, where it is installed (it is in no lock): `python tools/fuzz_atheris.py`.

Targets: `--target decoder` (default) reads a datagram; `--target engine` lets a whole router have what is made of one.
Options of libFuzzer follow, such as `-runs=1000000` or `-max_total_time=600`. What it
learns is kept in the temporary directory; a crash is written to a file in the current one.
"""

import random
import sys
from importlib import import_module
from pathlib import Path
from tempfile import gettempdir

atheris = import_module("atheris")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

with atheris.instrument_imports(include=["ikescope"]):
    from tools import fuzz
    from tools.fuzz_inputs import HEADER, message


def main(arguments: list[str]) -> None:
    """Fuzz until libFuzzer ends the process."""
    name = "decoder"
    if "--target" in arguments:
        at = arguments.index("--target")
        name = arguments[at + 1]
        del arguments[at : at + 2]
    target = fuzz.TARGETS[name]()

    def one(data: bytes) -> None:
        # A header whose length is wrong is refused at once: what lies deeper is looked for.
        target(data[:24] + len(data).to_bytes(4, "big") + data[28:] if len(data) >= HEADER.size else data)

    corpus = Path(gettempdir(), f"ikescope-corpus-{name}")
    corpus.mkdir(exist_ok=True)
    source = random.Random(7296)
    for number in range(400):
        (corpus / f"true-{number}").write_bytes(message(source))
    atheris.Setup([*arguments, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
