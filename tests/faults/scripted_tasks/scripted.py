"""A unit that does what a test has written down: `init.py` or `unit.py` in the folder `control`.

What is there sees the unit's arguments as variables, and sets `output`. It is read when the unit
runs, so that a test can mend what was wrong before a retry.
"""

import argparse
import json
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--args-json", required=True)
    parser.add_argument("--out-json", required=True)
    options = parser.parse_args()
    args = json.loads(Path(options.args_json).read_text())
    script = Path(args["control"]) / ("init.py" if "zarr_urls" in args else "unit.py")
    variables: dict[str, Any] = {**args, "output": None}
    exec(compile(script.read_text(), script.name, "exec"), variables)
    Path(options.out_json).write_text(json.dumps(variables["output"]))


if __name__ == "__main__":
    main()
