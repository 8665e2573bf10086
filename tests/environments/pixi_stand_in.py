"""Stands in for pixi, which needs channels of conda: behaves as its documentation says.

What it has of it: `install` and `shell-hook` with `--manifest-path`, `--environment`, `--frozen`,
`--concurrent-solves`, `--concurrent-downloads` and `--shell`; pixi.toml and pyproject.toml;
pixi.lock; `.pixi/config.toml`; the variables `PIXI_HOME`, `PIXI_CACHE_DIR`.

Packages are wheels in the folder that is the project's only channel. If that has a file `closed`,
solving waits until it has gone. The Python of an environment is the one that runs this. What it
was called with is noted in `calls`, beside its `bin`.
"""

import hashlib
import json
import os
import sys
import tomllib
import venv
import zipfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from time import sleep
from typing import NoReturn
from urllib.parse import unquote, urlsplit

VARIABLES = ("PIXI_HOME", "PIXI_CACHE_DIR", "TOKIO_WORKER_THREADS", "PIXI_NO_PROGRESS")


def fail(words: str) -> NoReturn:
    sys.exit(f"Error:   × {words}")


def main() -> None:
    parser = ArgumentParser(prog="pixi")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("install", "shell-hook"):
        options = verbs.add_parser(verb, allow_abbrev=False)
        options.add_argument("--manifest-path", type=Path, required=True)
        options.add_argument("--environment", "-e", default="default")
        options.add_argument("--frozen", action="store_true")
        options.add_argument("--locked", action="store_true")
        options.add_argument("--concurrent-solves", type=int)
        options.add_argument("--concurrent-downloads", type=int)
    options.add_argument("--shell", "-s", choices=["bash", "zsh", "fish"])
    asked = parser.parse_args()
    note(asked)
    project = Project(asked.manifest_path)
    if asked.environment not in project.environments:
        fail(f"unknown environment '{asked.environment}' in {asked.manifest_path}")
    project.install(asked.environment, frozen=asked.frozen, locked=asked.locked)
    if asked.verb == "shell-hook":
        prefix = project.prefix(asked.environment)
        print(f'export PATH="{prefix}/bin:$PATH"')
        print(f'export CONDA_PREFIX="{prefix}"')
        print(f'export PIXI_ENVIRONMENT_NAME="{asked.environment}"')
    else:
        print(f"✔ The {asked.environment} environment has been installed.", file=sys.stderr)


def note(asked: Namespace) -> None:
    facts = {**vars(asked), "manifest_path": str(asked.manifest_path)}
    facts["variables"] = {name: os.environ.get(name) for name in VARIABLES}
    facts["manifest"] = asked.manifest_path.read_text()
    with Path(sys.argv[0]).parents[1].joinpath("calls").open("a") as file:
        file.write(json.dumps(facts) + "\n")


class Project:
    def __init__(self, manifest: Path) -> None:
        self.folder = manifest.parent
        document = tomllib.loads(manifest.read_text())
        if manifest.name == "pyproject.toml":
            document = document["tool"]["pixi"]
        workspace = document.get("workspace") or document["project"]
        if "linux-64" not in workspace["platforms"]:
            fail("the workspace is not configured for your current platform")
        for target in document.get("target", {}):
            if target not in workspace["platforms"]:
                fail(f"'{target}' is not a platform of the workspace")
        self.channel = Path(unquote(urlsplit(workspace["channels"][0]).path))
        self.wanted = document["pypi-dependencies"]
        self.platforms = workspace["platforms"]
        self.environments = {"default": [], **document.get("environments", {})}
        self.lock = self.folder / "pixi.lock"

    def prefix(self, environment: str) -> Path:
        config = self.folder / ".pixi" / "config.toml"
        settings = tomllib.loads(config.read_text()) if config.exists() else {}
        # as if the machine's administrator had chosen another place
        detached = settings.get("detached-environments", True)
        top = Path("/var/tmp/detached") if detached else self.folder / ".pixi"
        return top / "envs" / environment

    def install(self, environment: str, *, frozen: bool, locked: bool) -> None:
        if (frozen or locked) and not self.lock.exists():
            fail(f"the lock-file {self.lock} is missing")
        if not self.lock.exists():
            self.lock.write_text(self.solved())
        if locked and self.lock.read_text() != self.solved():
            fail("lock-file not up-to-date with the workspace")
        prefix = self.prefix(environment)
        if (prefix / "conda-meta").exists():
            return
        venv.create(prefix, symlinks=True, with_pip=False)
        site = next(prefix.glob("lib/python*/site-packages"))
        for line in self.lock.read_text().splitlines():
            if line.startswith("- pypi: "):
                self.unpack(line.removeprefix("- pypi: "), site)
        (prefix / "conda-meta").mkdir()
        (prefix / "conda-meta" / "pixi").write_text(json.dumps({"environment_name": environment}))

    def solved(self) -> str:
        self.wait_for_the_channel()
        lines = ["version: 6", "environments:"]
        lines += [f"  {name}: {self.platforms}" for name in self.environments]
        lines.append("packages:")
        for name, version in self.wanted.items():
            stem = f"{name.replace('-', '_')}-{version.removeprefix('==').replace('*', '')}"
            found = sorted(self.channel.glob(f"{stem}*.whl"))
            if not found:
                fail(f"No candidates were found for {name} {version}.")
            digest = hashlib.sha256(found[-1].read_bytes()).hexdigest()
            lines.append(f"- pypi: {found[-1].as_uri()}#sha256={digest}")
        return "\n".join([*lines, ""])

    def wait_for_the_channel(self) -> None:
        (self.channel / "asked").touch()
        while (self.channel / "closed").exists():
            sleep(0.02)

    def unpack(self, source: str, site: Path) -> None:
        url, _, wanted = source.partition("#sha256=")
        wheel = Path(unquote(urlsplit(url).path))
        if not wheel.exists():
            fail(f"failed to fetch {url}")
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != wanted:
            fail(f"hash mismatch for {url}: expected {wanted}, found {found}")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


if __name__ == "__main__":
    main()
