"""Sources: trees of documents in a folder, one file, an archive or a bucket, behind the `Source` port.

    open_source(config, base)
    ├── local.py      a folder or one file: os.scandir, for links, raw names and trustworthy signatures
    ├── archives.py   .zip and .tar in every compression; zipped.py and tarred.py know the containers
    └── remote.py     everything else that fsspec reaches

What all of them share: globs over the path (`globs.py`), and paths that are printable, in NFC and
unique (`names.py`).
"""

from pipelines_persistence.adapters.sources.opening import open_source

__all__ = ["open_source"]
