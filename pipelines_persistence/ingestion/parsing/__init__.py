"""Parsing: bytes of any format to text that can be cut and embedded.

Parser                  the port; simple formats in this process, all others in the sandbox
├── detect.py           what a document is: magic bytes, structure, suffix
├── sandbox.py          the child process: time, memory, crashes (messages.py, worker.py)
└── content.py          one document: text.py html.py pdf.py office.py data.py (tables.py)
    └── decode.py       bytes to text; legacy.py and plausibility.py where nothing says how
"""

from pipelines_persistence.ingestion.parsing.parser import Parser

__all__ = ["Parser"]
