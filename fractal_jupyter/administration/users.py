"""Who a user is: what stands for the placeholders in documents of an administrator."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fractal_jupyter.administration.reading import read_object, refuse
from fractal_jupyter.errors import InvalidDocument
from fractal_jupyter.models.problems import Problem
from fractal_jupyter.runner.users import current_user

HUB_USER_VARIABLE = "JUPYTERHUB_USER"


def placeholder_values(mappings: Iterable[Path], problems: list[str]) -> Mapping[str, str]:
    """What stands for `{user}`, `{slurm_user}` and `{home}`.

    Args:
        mappings: Files with SLURM users by users of the hub; the first that has a user counts.
        problems: Gets what is wrong with them; the SLURM user is not known then.
    """
    user = os.environ.get(HUB_USER_VARIABLE) or current_user()
    values = {"user": user, "slurm_user": user, "home": os.path.expanduser("~")}  # noqa: PTH111 - never fails
    for path in mappings:
        try:
            known = _read_mapping(path)
        except InvalidDocument as error:
            problems.append(str(error))
            del values["slurm_user"]
            break
        if user in known:
            values["slurm_user"] = known[user]
            break
    return values


def _read_mapping(path: Path) -> dict[str, str]:
    noun = "mapping of users"
    mapping = read_object(path, noun)
    wrong = [
        Problem(user, name, "the name of a SLURM user")
        for user, name in mapping.items()
        if not isinstance(name, str) or not re.fullmatch(r"\S+", name)
    ]
    if wrong:
        refuse(path, noun, wrong)
    return mapping
