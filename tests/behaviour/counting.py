"""An embedder that writes down each text it is given; imported by the processes under test, by its import path.

COUNTING_LOG names the file for the texts, COUNTING_DELAY the seconds that a batch takes.
A text with the word POISON cannot be embedded.
"""

import json
import os
import time
from pathlib import Path

from pipelines_persistence.adapters.embedding.hashing import HashEmbedder


class Counting(HashEmbedder):
    """The hash embedder, under observation."""

    fingerprint = "counting " + os.environ.get("COUNTING_VERSION", "1")

    def embed_documents(self, texts):
        if any("POISON" in text for text in texts):
            raise ValueError("this text is poisoned")
        time.sleep(float(os.environ.get("COUNTING_DELAY", "0")))
        with Path(os.environ["COUNTING_LOG"]).open("a") as log:
            log.writelines(json.dumps(text) + "\n" for text in texts)
        return super().embed_documents(texts)
