"""The Jupyter server that this kernel belongs to, if it belongs to one.

A kernel is told very little of its server. What can be known is looked for in this order:

1. `FRACTAL_JUPYTER_SERVER` (and `FRACTAL_JUPYTER_SERVER_TOKEN`): somebody says so.
2. The variables that JupyterHub gives to the single-user servers that it starts, whose kernels
   inherit them.
3. `JPY_PARENT_PID`, the process that started the kernel, and the file in which a Jupyter server
   with that process id says where it listens.
4. Nothing: a terminal, a script, or an editor that starts kernels by itself.

Nothing else here needs a server; the Python API works without one.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fractal_jupyter.errors import HostUnreachable

URL_VARIABLE = "FRACTAL_JUPYTER_SERVER"
TOKEN_VARIABLE = "FRACTAL_JUPYTER_SERVER_TOKEN"  # noqa: S105 - a name, not a token
SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class JupyterServer:
    """A Jupyter server.

    Attributes:
        url: Its URL, without a slash at the end.
        found: How it was found.
    """

    url: str
    found: str
    _token: str | None = field(default=None, repr=False)

    def about(self) -> dict[str, Any]:
        """What its extension says of itself: version, user, store and so on.

        Raises:
            HostUnreachable: It does not answer, or has no such extension.
        """
        request = urllib.request.Request(f"{self.url}/fractal/api/server")  # noqa: S310 - http(s)
        if self._token:
            request.add_header("Authorization", f"token {self._token}")
        try:
            with _OPENER.open(request, timeout=SECONDS) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except (OSError, ValueError) as error:
            raise HostUnreachable(_in_words(self.url, error)) from error


# Never through a proxy: the server is this machine, or the hub beside it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def find_server(environ: Mapping[str, str] = os.environ) -> JupyterServer | None:
    """The server that a kernel with these variables belongs to; None where there is none."""
    return _named(environ) or _of_hub(environ) or _of_parent(environ)


def _named(environ: Mapping[str, str]) -> JupyterServer | None:
    url = environ.get(URL_VARIABLE, "").rstrip("/")
    if not url.startswith(("http://", "https://")):
        return None
    return JupyterServer(url, URL_VARIABLE, environ.get(TOKEN_VARIABLE))


def _of_hub(environ: Mapping[str, str]) -> JupyterServer | None:
    """JupyterHub says on what its single-user server listens, and below which path."""
    url = environ.get("JUPYTERHUB_SERVICE_URL", "")
    if not url.startswith(("http://", "https://")):
        return None
    # A server that listens on every address is reached on this one.
    url = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    return JupyterServer(url.rstrip("/"), "JupyterHub", environ.get("JUPYTERHUB_API_TOKEN"))


def _of_parent(environ: Mapping[str, str]) -> JupyterServer | None:
    """Jupyter servers write a file that says where they listen, named after their process."""
    parent = environ.get("JPY_PARENT_PID", "")
    if not parent.isdecimal():
        return None
    from jupyter_core.paths import jupyter_runtime_dir

    path = Path(jupyter_runtime_dir()) / f"jpserver-{parent}.json"
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return JupyterServer(written["url"].rstrip("/"), str(path), written["token"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _in_words(url: str, error: Exception) -> str:
    cure = "See that the server is still running."
    if isinstance(error, urllib.error.HTTPError):
        if error.code == 404:
            cure = (
                "Its extension is not there: install fractal-jupyter where the server runs, and "
                "see that `jupyter server extension list` names it."
            )
        elif error.code in (401, 403):
            cure = f"It wants another token: set {TOKEN_VARIABLE}, together with {URL_VARIABLE}."
    return f"The Jupyter server at {url} does not say what it is: {error}. {cure}"
