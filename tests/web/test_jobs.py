"""The list of jobs, the form and the files that make one, and a job's own page."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.jobs import iris_job, mazur_job
from tests.stack import Stack
from tests.web.conftest import Watched, accessible, fits

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("web")]

HOSTILE = '<img src=x onerror="document.title=1"><script>alert(1)</script>"\'&amp;{{1}}${1}'
CURVE = "section[aria-label=Curve]"


def submitted(page: Page) -> str:
    """The id of the job on whose page the form has led."""
    page.get_by_role("button", name="Train").click()
    page.wait_for_url(re.compile(r"/jobs/job_\w+$"))
    return page.url.rsplit("/", 1)[-1]


def test_a_job_is_submitted_by_the_form_watched_paused_and_resumed(
    page: Page, stack: Stack
) -> None:
    page.goto("/")
    page.get_by_role("link", name="New job").first.click()
    page.get_by_label("dataset").select_option("builtin:iris")
    expect(page.locator(".network .unit")).to_have_count(4 + 2 + 3)
    page.get_by_label("units").first.fill("7")
    expect(page.locator(".network .unit")).to_have_count(4 + 7 + 3)
    page.get_by_label("epochs").fill("100000")
    page.get_by_label("batch size").fill("16")
    page.get_by_label("learning rate").fill("0.05")
    page.get_by_label("validation").select_option("fraction")
    expect(page.get_by_role("textbox", name="fraction")).to_have_value("0.2")
    job = submitted(page)

    curve = page.locator(CURVE)
    expect(curve).to_have_attribute("data-points", re.compile(r"\d+"))
    before = int(curve.get_attribute("data-points") or 0)
    page.wait_for_function(
        "([css, before]) => +document.querySelector(css).dataset.points > before",
        arg=[CURVE, before],
    )
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("main .status")).to_have_text("paused")
    stopped = page.locator(".epochs").inner_text()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".epochs")).not_to_have_text(stopped)
    expect(page.locator(".events")).to_contain_text("paused")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("main .status")).to_have_text("cancelled")

    made = stack.client.job(job)
    assert (7, 3) == tuple(layer["units"] for layer in made["network"]["layers"])
    assert 0.2 == made["training"]["validation"]["fraction"]
    assert 0.05 == made["training"]["optimizer"]["learning_rate"]


def test_a_fault_stands_beside_its_field(page: Page, watched: Watched) -> None:
    watched.forgiven = ("422",)
    page.goto("/jobs/new")
    page.get_by_label("units").first.fill("0")
    page.get_by_label("epochs").fill("many")
    for pointer in ("/network/layers/0/units", "/training/epochs"):
        wrong = page.locator(f'[data-pointer="{pointer}"] .wrong')
        expect(wrong).to_be_visible()
        field = page.locator(f'[data-pointer="{pointer}"] input')
        expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".submit")).to_contain_text("2 to be put right")
    page.get_by_label("units").first.fill("3")
    page.get_by_label("epochs").fill("5")
    expect(page.locator(".wrong")).to_have_count(0)


def test_a_csv_and_a_definition_are_dropped(page: Page, stack: Stack, tmp_path: Path) -> None:
    rows = "\n".join(f"{x},{x * x},{'<b>high</b>' if x > 4 else 'low'}" for x in range(10))
    data, definition = tmp_path / "squares.csv", tmp_path / "network.json"
    data.write_text(f"x,square,size\n{rows}\n")
    layers = [{"units": 4, "activation": "relu"}, {"units": 2, "activation": "softmax"}]
    definition.write_text(json.dumps({"name": "dropped", "inputs": 2, "layers": layers}))
    page.goto("/jobs/new")
    page.locator("input[type=file]").set_input_files([data, definition])
    expect(page.locator(".network .unit")).to_have_count(2 + 4 + 2)
    expect(page.get_by_label("dataset")).to_contain_text("squares.csv (10 rows)")
    page.get_by_label("epochs").fill("3")
    made = stack.finished({"id": submitted(page)})

    assert ("succeeded", "dropped") == (made["status"], made["network"]["name"])
    expect(page.locator(".confusion th").first).to_have_text("<b>high</b>")


# What the browser makes of a file that is let go over the page.
DROP = """([name, text]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([text], name));
  const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.querySelector("main").dispatchEvent(drop);
}"""


def test_a_file_is_taken_wherever_it_is_dropped(page: Page) -> None:
    page.goto("/jobs/new")
    expect(page.locator(".submit")).to_contain_text("presentations")
    layers = [{"units": 5, "activation": "tanh"}, {"units": 1, "activation": "logistic"}]
    page.evaluate(DROP, ["net.json", json.dumps({"inputs": 2, "layers": layers})])

    expect(page.locator(".network .unit")).to_have_count(2 + 5 + 1)


def test_files_that_are_nothing_are_refused_by_name(
    page: Page, watched: Watched, tmp_path: Path
) -> None:
    watched.forgiven = ("422", "400")
    bad, empty = tmp_path / "bad.csv", tmp_path / "odd.json"
    bad.write_text("a,b\n1,2\n3\n")
    empty.write_text('{"nothing": 1}')
    page.goto("/jobs/new")
    page.locator("input[type=file]").set_input_files(empty)
    expect(page.get_by_role("alert")).to_contain_text("odd.json is no network")
    page.locator("input[type=file]").set_input_files(bad)
    expect(page.get_by_role("alert")).not_to_contain_text("odd.json")


def test_zooming_fetches_the_finer_level(page: Page, stack: Stack) -> None:
    job = stack.finished(stack.client.submit(mazur_job(epochs=20_000, kernel="compiled")))
    page.goto(f"/jobs/{job['id']}")
    curve = page.locator(CURVE)
    expect(curve).to_have_attribute("data-fine", "false")
    with page.expect_request(lambda request: "from=" in request.url):
        for _ in range(5):
            page.get_by_role("button", name="Zoom in").click()
    expect(curve).to_have_attribute("data-fine", "true")
    expect(page.locator(".tools .hint")).not_to_have_text("epochs 1 to 20,000")
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    shown = page.locator(".tools .hint").inner_text()
    page.mouse.move(box["x"] + 100, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page.locator(".tools .hint")).not_to_have_text(shown)
    page.locator(".plot").press("0")
    expect(page.locator(".tools .hint")).to_have_text("epochs 1 to 20,000")


def test_a_loss_of_many_decades_is_drawn(page: Page, stack: Stack) -> None:
    """
    Mazur's example with biases that learn comes to 1e-30 and less.
    """
    job = mazur_job(
        epochs=300_000, kernel="compiled", optimizer={"name": "sgd", "learning_rate": 5}
    )
    job["network"] = {
        **job["network"],
        "layers": [{**layer, "train_biases": True} for layer in job["network"]["layers"]],
    }
    made = stack.finished(stack.client.submit(job))
    assert made["metrics"]["loss"]["min"] < 1e-20
    page.goto(f"/jobs/{made['id']}")
    expect(page.locator(CURVE)).to_have_attribute("data-points", re.compile(r"\d+"))
    page.get_by_label("logarithmic").uncheck()
    page.get_by_label("logarithmic").check()
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator(CURVE)).to_have_attribute("data-fine", "true")


@pytest.fixture(scope="module")
def flowers(stack: Stack) -> dict[str, Any]:
    """A job of iris that is through; its name would do harm where it is taken for markup."""
    job = iris_job(epochs=40) | {"name": HOSTILE, "tags": {HOSTILE: HOSTILE}}
    return stack.finished(stack.client.submit(job))


def test_hostile_names_stay_text(page: Page, flowers: dict[str, Any]) -> None:
    page.goto("/")
    expect(page.get_by_role("link", name=HOSTILE).last).to_be_visible()
    for address in ("", "/network"):
        page.goto(f"/jobs/{flowers['id']}{address}")
        expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
        expect(page).to_have_title(re.compile("backpropd$"))
    page.goto(f"/compare?jobs={flowers['id']}")
    expect(page.locator("main th").filter(has_text=HOSTILE).first).to_be_visible()
    page.goto(f"/jobs/new?clone={flowers['id']}")
    expect(page.get_by_label("name").first).to_have_value(HOSTILE)

    assert 0 == page.locator("main img, main script").count()


def test_a_finished_job_shows_its_metrics_classes_and_files(
    page: Page, stack: Stack, flowers: dict[str, Any]
) -> None:
    page.goto(f"/jobs/{flowers['id']}")
    page.get_by_role("combobox", name="rows").select_option("validation")
    confusion = httpx.get(
        f"{stack.address}/v1/jobs/{flowers['id']}/confusion?split=validation"
    ).json()
    cells = page.locator(".confusion tbody td")
    expect(cells).to_have_text([str(n) for row in confusion["matrix"] for n in row])
    expect(page.locator(".classes")).to_contain_text("precision")
    expect(page.get_by_role("row", name="val_loss")).to_be_visible()
    page.get_by_role("combobox", name="show").select_option("accuracy")
    expect(page.locator(".u-legend")).to_contain_text("validation accuracy")
    with page.expect_download() as file:
        page.get_by_role("link", name="csv").click()
    text = Path(file.value.path()).read_text()

    assert 41 == len(text.splitlines())
    accessible(page)
    fits(page)


def test_settings_are_copied_as_commands_that_work(
    page: Page, stack: Stack, flowers: dict[str, Any]
) -> None:
    page.goto(f"/jobs/{flowers['id']}")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    sent = httpx.post(
        words[2], content=words[words.index("-d") + 1], headers={"Content-Type": "application/json"}
    )
    page.get_by_role("button", name="Copy as Python").click()
    expect(page.get_by_role("button", name="Copied")).to_have_count(1)
    program = page.evaluate("navigator.clipboard.readText()")
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    assert 202 == sent.status_code
    assert flowers["training"] == sent.json()["training"]
    assert flowers["training"] == stack.client.job(said.strip())["training"]


def test_extend_clone_and_delete(page: Page, stack: Stack) -> None:
    job = stack.finished(stack.client.submit(mazur_job(epochs=3) | {"name": "to be continued"}))
    page.goto(f"/jobs/{job['id']}")
    page.get_by_label("More epochs").fill("4")
    page.get_by_role("button", name="Extend").click()
    expect(page.locator(".epochs")).to_have_text("epoch 7 of 7")
    page.get_by_role("link", name="Clone").click()
    page.get_by_role("textbox", name="epochs").fill("2")
    cloned = stack.finished({"id": submitted(page)})
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url(stack.address + "/")

    assert "clone" == cloned["derived"]
    assert 404 == httpx.get(f"{stack.address}/v1/jobs/{cloned['id']}").status_code


def test_the_list_is_live_and_leads_to_a_comparison(
    page: Page, stack: Stack, flowers: dict[str, Any]
) -> None:
    page.goto("/")
    expect(page.get_by_label(f"Compare {HOSTILE}").last).to_be_visible()
    job = stack.client.submit(mazur_job(epochs=50, seed=5) | {"name": "seen to come"})
    row = page.locator("tr").filter(has_text="seen to come")
    expect(row.locator(".status")).to_have_text("succeeded")
    expect(row.locator(".spark polyline")).to_have_count(1)
    page.get_by_label("Compare seen to come").check()
    page.get_by_label(f"Compare {HOSTILE}").last.check()
    accessible(page)
    page.get_by_role("button", name="Compare 2").click()
    expect(page.locator(".u-legend")).to_contain_text("seen to come, training")
    differing = page.locator(".differences tr").filter(has_text="training.batch_size")
    expect(differing.locator("td")).to_have_text(["1", "16"])
    best = page.get_by_label("Best epochs").locator("tr").filter(has_text="seen to come")
    expect(best).to_contain_text(str(stack.client.job(job["id"])["metrics"]["loss"]["min_epoch"]))
    accessible(page)
    fits(page)


def test_states_are_told_apart_in_the_list(page: Page, stack: Stack) -> None:
    page.goto("/?status=queued")
    expect(page.locator("main")).to_contain_text("No job is like that.")
    page.get_by_label("state").select_option("")
    expect(page.locator(".jobs tbody tr").first).to_be_visible()


def test_jobs_are_found_by_a_filter_and_its_faults_are_shown(
    page: Page, stack: Stack, flowers: dict[str, Any], watched: Watched
) -> None:
    watched.forgiven = ("400",)
    stack.finished(stack.client.submit(mazur_job(epochs=2) | {"name": "found"}))
    page.goto("/")
    field = page.get_by_label("filter")
    field.fill('name = "found" and training.epochs < 3')
    field.press("Enter")
    expect(page.locator(".jobs tbody tr")).to_have_count(1)
    expect(page.locator(".jobs tbody")).to_contain_text("found")
    field.fill('name = "found" an')
    field.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("At character 16")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_an_unknown_job_and_an_unknown_page_say_so(page: Page, watched: Watched) -> None:
    watched.forgiven = ("404",)
    page.goto("/jobs/job_nothing")
    expect(page.get_by_role("alert")).to_contain_text("job_nothing")
    page.goto("/compare?jobs=job_nothing")
    expect(page.get_by_role("alert")).to_contain_text("job_nothing")


def test_the_form_serves_everyone(page: Page) -> None:
    page.goto("/jobs/new")
    expect(page.locator(".submit")).to_contain_text("presentations")
    for summary in page.locator("summary").all():
        summary.click()
    accessible(page)
    fits(page)
