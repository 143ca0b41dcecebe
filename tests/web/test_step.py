"""Step by step, as a person walks it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.jobs import iris_job
from tests.stack import Stack
from tests.web.conftest import Watched, accessible, fits

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("web")]


def walk_to(page: Page, name: str) -> None:
    """Choose a line of the whole step by what a screen reader says of it."""
    page.get_by_role("button", name=name, exact=True).click()


def card(page: Page) -> str:
    """The shown line: symbols, and the numbers below them."""
    return page.locator(".card").inner_text().replace("\u2062", "")


def test_mazurs_example_is_one_click_away_and_walked_to_its_end(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Step by step").first.click()
    expect(page.locator(".card .result")).to_have_text("0.3775")
    expect(page.get_by_role("main")).to_be_focused()
    seen = [card(page)]
    following = page.get_by_role("button", name="Next →")
    while following.is_enabled():
        following.click()
        seen.append(card(page))
    whole = "\n".join(seen)

    assert 52 == len(seen)
    for printed in ("0.298371109", "0.358916480", "0.149780716", "0.036350306", "0.138498562"):
        assert printed in whole
    page.get_by_role("button", name="← Previous").click()
    assert seen[-2] == card(page)


def test_the_chain_rule_has_a_number_under_each_factor(page: Page) -> None:
    page.goto("/step-by-step")
    walk_to(page, "d E total by d w5 equals 0.082167041")
    factors = page.locator(".card .known .number")

    expect(factors).to_have_text(
        ["0.741365070", "0.186815602", "0.593269992", "0.138498562", "0.593269992"]
    )
    expect(page.locator(".network .unit.lit")).to_have_count(1)
    expect(page.locator(".network line.lit")).to_have_count(1)


def test_the_path_behind_a_hidden_weight_is_lit_to_the_error(page: Page) -> None:
    page.goto("/step-by-step")
    walk_to(page, "d E total by d w1 equals 0.000438568")
    lit = page.locator(".network line:not(.faint) title")

    assert {"w1", "w5", "w7"} == {text.split(":")[0] for text in lit.all_text_contents()}


def test_arrow_keys_walk(page: Page) -> None:
    page.goto("/step-by-step")
    expect(page.locator(".steps .count")).to_have_text("1 of 52")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".steps .count")).to_have_text("2 of 52")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".steps .count")).to_have_text("1 of 52")


def test_both_orders_of_updates_stand_beside_the_printed_number(page: Page) -> None:
    page.goto("/step-by-step")
    last = page.locator(".article tbody tr").last

    expect(last.locator("td")).to_have_text(["0.291027924", "0.291027774 ≠", "0.291027924 ✓"])
    page.get_by_label("update order").select_option("layerwise")
    expect(page.locator(".legend")).to_contain_text("0.291027924")


def test_everything_follows_a_changed_number(page: Page, stack: Stack) -> None:
    page.goto("/step-by-step")
    expect(page.locator(".card .result")).to_have_text("0.3775")
    page.get_by_label("w1", exact=True).fill("0.95")
    expect(page.locator(".card .result")).to_have_text("0.4175")
    page.get_by_label("i1", exact=True).fill("1")
    expect(page.locator(".card .result")).to_have_text("1.32")
    page.get_by_label("target o1").fill("0.5")
    page.get_by_label("learning rate").fill("2")
    expect(page.locator(".article")).to_have_count(0)
    page.get_by_role("button", name="Back to Mazur's numbers").click()
    expect(page.locator(".card .result")).to_have_text("0.3775")
    expect(page.locator(".article")).to_have_count(1)


def test_what_cannot_be_is_said_and_taken_back(page: Page, watched: Watched) -> None:
    watched.forgiven = ("422",)
    page.goto("/step-by-step")
    expect(page.locator(".card .result")).to_have_text("0.3775")
    page.get_by_label("loss").select_option("cross_entropy")
    expect(page.get_by_role("alert")).to_contain_text("/loss")
    page.get_by_label("loss").select_option("half_squared_error")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_step_of_a_job_on_a_row_of_its_data(page: Page, stack: Stack) -> None:
    job = stack.finished(stack.client.submit(iris_job(epochs=2) | {"name": "of iris"}))
    page.goto("/step-by-step")
    page.get_by_label("A job and a row of its data").check()
    page.get_by_role("combobox", name="job").select_option(job["id"])
    page.get_by_role("spinbutton", name="row").fill("149")
    page.get_by_role("button", name="Show its step").click()
    expect(page.locator(".network .unit")).to_have_count(4 + 5 + 3)
    traced = stack.client.trace(job=job["id"], snapshot="final", row=149)

    expect(page.locator(".legend")).to_contain_text(f"{traced['error_before']:.9f}")
    expect(page.get_by_label("target o3")).to_have_value("1")


def test_a_network_of_ones_own(page: Page) -> None:
    page.goto("/step-by-step")
    page.get_by_label("A network of my own").check()
    page.get_by_label("inputs").fill("5")
    page.get_by_label("hidden layers").fill("3, 2, 2")
    page.get_by_role("button", name="Draw its weights").click()

    expect(page.locator(".network .unit")).to_have_count(5 + 3 + 2 + 2 + 2)


def test_the_page_serves_everyone(page: Page) -> None:
    page.goto("/step-by-step")
    expect(page.locator(".card .result")).to_have_text("0.3775")
    accessible(page)
    page.get_by_role("button", name="Dark theme").click()
    accessible(page)
    fits(page)
