"""Asks a server of this container whether it serves: `python deployment/health.py webserver|code`.

Ends with 0 if it does. Imports no Dagster, for it runs every few seconds.
"""

import os
import sys
import urllib.request

SECONDS = 10.0


def webserver_serves() -> bool:
    """Ask the UI."""
    url = f"http://127.0.0.1:{os.environ['DAGSTER_WEBSERVER_PORT']}/server_info"
    try:
        with urllib.request.urlopen(url, timeout=SECONDS):
            return True
    except OSError:
        return False


def code_serves() -> bool:
    """Ask the code server for its repositories.

    Its own health service says that the process that listens is there, and nothing of the one behind it that holds the
    code. A mistake in `pipelines.yaml` is an answer: the UI shows it, and a reload mends it.
    """
    import grpc

    address = f"127.0.0.1:{os.environ['CODE_SERVER_PORT']}"
    try:
        with grpc.insecure_channel(address) as channel:
            channel.unary_unary("/api.DagsterApi/ListRepositories")(b"", timeout=SECONDS)
    except grpc.RpcError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(not {"webserver": webserver_serves, "code": code_serves}[sys.argv[1]]())
