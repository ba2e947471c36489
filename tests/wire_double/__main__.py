"""The double as a program: prints its port when it serves, and ends on SIGTERM with all state on disk."""

import argparse
import os
import signal
from pathlib import Path

from tests.wire_double.server import WireDouble


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.wire_double", description=__doc__)
    parser.add_argument("--port", type=int, default=6334, help="of gRPC; 0 for a free one")
    parser.add_argument(
        "--state", type=Path, help="folder that keeps the collections; by default they go away"
    )
    parser.add_argument(
        "--api-key-env", help="name of the variable that holds the key that callers have to show"
    )
    options = parser.parse_args()
    key = os.environ[options.api_key_env] if options.api_key_env else None
    double = WireDouble(options.state, port=options.port, api_key=key)
    with double:
        signal.signal(signal.SIGTERM, lambda *_: double.stop(1.0))
        signal.signal(signal.SIGINT, lambda *_: double.stop(1.0))
        print(f"listening on 127.0.0.1:{double.port}", flush=True)  # noqa: T201 - a program says where it listens
        double.wait()


if __name__ == "__main__":
    main()
