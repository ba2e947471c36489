"""Real documentation in its versions: every file an outcome, the counts of the real edits, questions answered."""

import pytest

from pipelines_persistence.configuration import EmbeddingConfig, IndexConfig, SourceConfig
from pipelines_persistence.platform import Platform
from pipelines_persistence.settings import Settings

# Written from the headings of the pages, before the first search was made.
QUESTIONS = {
    "How do I declare path parameters with types?": "tutorial/path-params.md",
    "How do I use query parameters with default values?": "tutorial/query-params.md",
    "How do I upload files?": "tutorial/request-files.md",
    "How do I receive form fields instead of JSON?": "tutorial/request-forms.md",
    "How do I run background tasks after returning a response?": "tutorial/background-tasks.md",
    "How do I set up CORS?": "tutorial/cors.md",
    "How can I use WebSockets?": "advanced/websockets.md",
    "How do I test my application with TestClient?": "tutorial/testing.md",
    "How do I use OAuth2 with password hashing and JWT tokens?": "tutorial/security/oauth2-jwt.md",
    "How do I connect to an SQL relational database?": "tutorial/sql-databases.md",
    "How do I write a custom middleware?": "tutorial/middleware.md",
    "How do I serve static files?": "tutorial/static-files.md",
    "How do I deploy FastAPI in Docker containers?": "deployment/docker.md",
    "How do I use Jinja2 templates?": "advanced/templates.md",
    "How do I set response cookies?": "advanced/response-cookies.md",
    "What is HTTP Basic authentication and how do I use it?": "advanced/security/http-basic-auth.md",
    "How do I mount a sub application?": "advanced/sub-applications.md",
    "How do I handle errors and raise HTTPException?": "tutorial/handling-errors.md",
    "How do I read settings from environment variables?": "advanced/settings.md",
    "How do I use GraphQL with FastAPI?": "advanced/graphql.md",
}


@pytest.fixture
def platform(tmp_path):
    with Platform(Settings(home=tmp_path / "home")) as platform:
        yield platform


def ingest(platform, root, backend, **source):
    config = IndexConfig(
        sources=(SourceConfig(name="docs", uri=str(root), **source),),
        embedding=EmbeddingConfig(backend=backend),
    )
    return platform.engine("docs", config).ingest()


def expected_changes(diff):
    """Count a `git diff -M --name-status`; a rename with an edit is for us an addition and a deletion."""
    counts = {"added": 0, "changed": 0, "moved": 0, "deleted": 0}
    for line in diff.read_text(encoding="utf-8").splitlines():
        status = line.split("\t")[0]
        names = {"A": ["added"], "M": ["changed"], "D": ["deleted"], "R100": ["moved"]}
        for name in names.get(status, ["added", "deleted"]):
            counts[name] += 1
    return counts


def test_the_versions_of_the_fastapi_documentation_change_as_git_says(platform, shared_data):
    versions = [shared_data(f"docs-fastapi/v{n}.tar.zst") for n in (1, 2, 3)]
    first = ingest(platform, versions[0], "hash")
    assert sum(first.documents.values()) == first.total == 490
    assert (first.documents["added"], first.documents["skipped"]) == (489, 1)
    for before, version in enumerate(versions[1:], start=1):
        report = ingest(platform, version, "hash")
        expected = expected_changes(shared_data(f"docs-fastapi/diff-v{before}-v{before + 1}.tsv"))
        assert {name: report.documents[name] for name in expected} == expected
        assert report.documents["failed"] == report.documents["withheld"] == 0


def test_every_entry_of_the_mixed_formats_has_an_outcome(platform, shared_data):
    report = ingest(platform, shared_data("mixed-formats/mixed.tar.zst"), "hash")
    assert report.total == sum(report.documents.values()) == 739  # 731 files and 8 links
    assert report.documents["failed"] == 0
    assert all(problem.reason for problem in report.skips)
    assert report.documents["added"] == 704


def test_questions_find_their_page_of_the_fastapi_documentation_among_the_first_five(platform, shared_data):
    ingest(platform, shared_data("docs-fastapi/v1.tar.zst"), "openvino", include=("docs/en/**/*.md",))
    missed = {
        question: page
        for question, page in QUESTIONS.items()
        if f"docs/en/docs/{page}"
        not in {hit.payload["document"] for hit in platform.searcher.search(question, "docs")}
    }
    assert len(QUESTIONS) == 20
    assert len(missed) <= 3, missed
