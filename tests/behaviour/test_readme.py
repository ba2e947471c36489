"""What the README shows, word for word."""

import re
import shlex
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language, containing):
    blocks = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    return next(text for text in blocks if containing in text)


def say(desk, line):
    command = shlex.split(line.removeprefix("$ pipelines "), comments=True)
    with desk.start(*command) as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, f"{line}\n{output}\n{errors}"
    return output


def write_handbook(desk, folder):
    desk.docs = desk.folder / folder
    desk.write("leave.md", "# Leave\n\nAsk your team lead for leave two weeks ahead.")
    desk.write("drafts/secret.md", "# Draft\n\nNot yet.")


def test_the_commands_of_the_readme_work_as_they_stand(desk):
    write_handbook(desk, "handbook")
    lines = block("console", "pipelines ingest").splitlines()
    assert len(lines) >= 7
    for line in lines:
        assert say(desk, line)


def test_the_event_commands_of_the_readme_work_as_they_stand(desk):
    (desk.folder / "docs" / "examples").mkdir()
    shutil.copy(ROOT / "docs" / "examples" / "events.jsonl", desk.folder / "docs" / "examples")
    lines = block("console", "pipelines events load").splitlines()
    assert len(lines) >= 10
    shown = {line: say(desk, line) for line in lines}
    assert "order-1004" in shown["$ pipelines show live_entities"]
    assert '{"customer": "c-9", "total": "12.00"}' in shown["$ pipelines events read order-1005"]


def test_the_python_of_the_readme_works_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(block("python", "SqlEventStore"), {})


def test_the_configuration_of_the_readme_works_as_it_stands(desk):
    write_handbook(desk, "handbook")
    (desk.folder / "pipelines.yaml").write_text(block("yaml", "indexes:"))
    assert desk.run("ingest")["documents"]["added"] == 1
    [hit] = desk.run("search", "holiday", "--where", "team=people")["hits"]
    assert hit["document"] == "leave.md"
    assert (
        desk.run("project", "live_entities")["projections"][0]["rows"] == 1
    )  # the run of the ingestion itself
