"""What a data engineer does in the UI: look at the graph, launch, read the result, stop a run, mend a mistake."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e

LOCATION = "/locations/pipelines_persistence"
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


def launched_by_sensor(run):
    return any(tag["key"] == "dagster/sensor_name" for tag in run["tags"])


def launch_all(page, workplace, group):
    """Clicks on "Materialize all" of a group; returns the run's id."""
    before = {run["runId"] for run in workplace.runs()}

    def launched():
        new = (run for run in workplace.runs() if run["runId"] not in before)
        return next((run["runId"] for run in new if not launched_by_sensor(run)), None)

    page.goto(f"{workplace.url}{LOCATION}/asset-groups/{group}/lineage")
    page.get_by_role("button", name="Materialize all").click()
    return workplace.until(launched, 20, "the run is launched")


def end_of(workplace, run_id, seconds=60):
    def ended():
        (status,) = (run["status"] for run in workplace.runs() if run["runId"] == run_id)
        return status if status in ENDED else None

    return workplace.until(ended, seconds, f"the run {run_id} ends")


def test_the_group_is_launched_by_a_click_and_its_pages_tell_what_happened(page, workplace, tmp_path):
    page.goto(f"{workplace.url}{LOCATION}/asset-groups/handbook/lineage")
    for name in ("pages", "plan", "index"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text("0 / 1 Passed")).to_be_visible()
    expect(page.get_by_text("0 / 2 Passed")).to_be_visible()
    expect(page.get_by_text("Never materialized")).to_have_count(2)
    page.screenshot(path=tmp_path / "graph-before.png")

    run_id = launch_all(page, workplace, "handbook")
    assert end_of(workplace, run_id) == "SUCCESS"
    expect(page.get_by_text("1 / 1 Passed")).to_be_visible()
    expect(page.get_by_text("1 / 2 Passed")).to_be_visible()  # a document failed: a warning
    expect(page.get_by_text("Materialized", exact=True)).to_have_count(2)
    page.screenshot(path=tmp_path / "graph-after.png")

    page.set_viewport_size({"width": 1440, "height": 2400})
    page.goto(f"{workplace.url}/assets/handbook/index?view=overview")
    row = page.get_by_role("row")
    expect(row.filter(has_text="documents/added").get_by_text("5", exact=True)).to_be_visible()
    expect(row.filter(has_text="chunks/embedded").get_by_text("5", exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name="malformed: a damaged PDF").last).to_be_visible()
    expect(page.get_by_role("cell", name="contract.pdf").last).to_be_visible()
    expect(page.get_by_text("How do I ask for holidays?")).to_be_visible()
    expect(page.get_by_text("Ask for holidays two weeks before")).to_be_visible()
    expect(page.get_by_text("How this team works.")).to_be_visible()
    expect(page.get_by_text("data-platform")).to_be_visible()
    page.screenshot(path=tmp_path / "index.png")

    page.goto(f"{workplace.url}/assets/handbook/index?view=checks")
    expect(page.get_by_text("1 of 7 documents failed")).to_be_visible()
    page.screenshot(path=tmp_path / "checks.png")


def test_a_run_is_stopped_by_a_click_and_the_next_one_completes_it(page, workplace, tmp_path):
    run_id = launch_all(page, workplace, "archive")
    workplace.until(workplace.has_archived, 40, "the first batch is written")
    page.goto(f"{workplace.url}/runs/{run_id}")
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    assert end_of(workplace, run_id) == "CANCELED"
    expect(page.get_by_text("Canceled", exact=True).first).to_be_visible()
    expect(page.get_by_text("between two batches").first).to_be_visible()
    page.screenshot(path=tmp_path / "cancelled.png")
    state, recorded, stored = workplace.state("archive")
    assert state == "cancelled"
    assert 0 < recorded == stored < workplace.archived

    assert end_of(workplace, launch_all(page, workplace, "archive")) == "SUCCESS"
    assert workplace.state("archive") == ("done", workplace.archived, workplace.archived)


def test_deletions_are_approved_in_the_launchpad(page, workplace, tmp_path):
    page.goto(f"{workplace.url}{LOCATION}/jobs/ingest_handbook/playground")
    expect(page.get_by_text("approve_deletions: 0")).to_be_visible()
    page.get_by_text("approve_deletions: 0").click()
    page.keyboard.press("End")
    expect(page.get_by_text("deletions pass the deletion guard")).to_be_visible()
    page.screenshot(path=tmp_path / "launchpad.png")


def test_events_in_the_inbox_are_taken_in_by_a_sensor_and_their_pages_tell_what_they_hold(
    page, workplace, tmp_path
):
    def taken_in():
        done = [run for run in workplace.runs() if run["jobName"] == "events" and run["status"] in ENDED]
        return done[-1]["status"] if done else None

    assert workplace.until(taken_in, 120, "the sensor asks for a run, and it ends") == "SUCCESS"
    page.set_viewport_size({"width": 1440, "height": 2400})
    run_id = launch_all(page, workplace, "events")
    for name in ("inbox", "event_log", "stream_summary", "directly_follows", "snapshots"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    assert end_of(workplace, run_id, 120) == "SUCCESS"
    expect(page.get_by_text("Never materialized")).to_have_count(0)
    # A comparison counts until a run that follows the log comes by, and one line was no event.
    expect(page.get_by_text(re.compile(r"^[123] / 3 Passed$"))).to_have_count(9)
    page.screenshot(path=tmp_path / "events.png")

    row = page.get_by_role("row")
    page.goto(f"{workplace.url}/assets/event_log?view=overview")
    expect(row.filter(has_text="newest events").first).to_be_visible()
    expect(row.filter(has_text="lag/events held back").get_by_text("0", exact=True)).to_be_visible()
    page.screenshot(path=tmp_path / "event-log.png")
    page.goto(f"{workplace.url}/assets/event_log?view=checks")
    page.get_by_text("no_rejected_lines").first.click()
    expect(page.get_by_text("Lines without an event: 1").first).to_be_visible()
    page.screenshot(path=tmp_path / "event-log-checks.png")

    page.goto(f"{workplace.url}/assets/read_models/stream_summary?view=overview")
    expect(page.get_by_role("cell", name="OrderSent", exact=True).last).to_be_visible()
    expect(row.filter(has_text="events/dead letters").get_by_text("0", exact=True)).to_be_visible()
    expect(page.get_by_text("events have moved")).to_be_visible()
    page.screenshot(path=tmp_path / "stream-summary.png")


def test_a_mistake_in_the_configuration_is_shown_with_its_line_and_mended_by_a_reload(
    page, workplace, tmp_path
):
    path = workplace.folder / "pipelines.yaml"
    good = path.read_text()
    page.goto(f"{workplace.url}{LOCATION}/asset-groups/handbook/lineage")
    path.write_text(good.replace("owners", "owner"))
    page.get_by_role("button", name="Reload definitions").click()
    expect(
        page.get_by_text(re.compile(r"pipelines.yaml:5: indexes.handbook.owner: unknown key"))
    ).to_be_visible()
    page.screenshot(path=tmp_path / "mistake.png")
    path.write_text(good)
    page.get_by_role("button", name="Reload again").click()
    expect(page.get_by_text("Code location error")).to_be_hidden()
    assert workplace.loaded()["__typename"] == "RepositoryLocation"
