"""The network's page: weights over the snapshots, and the plane of two inputs."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.stack import Stack
from tests.web.conftest import accessible, fits

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("web")]


def job_of(layers: list[dict[str, Any]], inputs: int, dataset: str, loss: str) -> dict[str, Any]:
    return {
        "network": {"inputs": inputs, "layers": layers},
        "dataset": dataset,
        "training": {
            "epochs": 60,
            "batch_size": "all",
            "loss": loss,
            "optimizer": {"name": "sgd", "learning_rate": 0.5, "momentum": 0.9},
            "seed": 4,
        },
        "snapshots": {"every": 20},
    }


def middle(page: Page) -> list[int]:
    """The colour in the middle of the surface."""
    found: list[int] = page.evaluate(
        """() => [...document.querySelector(".surface").getContext("2d")
                    .getImageData(210, 210, 1, 1).data]"""
    )
    return found


def test_weights_and_plane_move_with_the_snapshots(page: Page, stack: Stack) -> None:
    layers = [{"units": 3, "activation": "tanh"}, {"units": 1, "activation": "logistic"}]
    job = stack.finished(
        stack.client.submit(job_of(layers, 2, "builtin:xor", "binary_cross_entropy"))
    )
    page.goto(f"/jobs/{job['id']}/network")
    page.locator(".surface[data-epoch='60']").wait_for()
    first = page.locator(".network line title").first
    weights = stack.client.weights(job["id"])["weights"]
    assert f"{weights['hidden.weight'][0][0]:.9f}".replace("-", "−") in (first.text_content() or "")
    expect(page.locator(".network line")).to_have_count(9)
    learned = middle(page)

    page.get_by_label("Snapshot").fill("0")
    page.locator(".surface[data-epoch='0']").wait_for()
    expect(page.locator(".slider .epoch")).to_have_text("epoch 0")
    initial = stack.client.weights(job["id"], snapshot="initial")["weights"]
    assert f"{initial['hidden.weight'][0][0]:.9f}".replace("-", "−") in (first.text_content() or "")
    assert learned != middle(page)

    page.get_by_role("button", name="Play").click()
    expect(page.locator(".slider .epoch")).to_have_text("epoch 60")
    accessible(page)
    fits(page)


def test_a_larger_network_is_shown_as_matrices(page: Page, stack: Stack) -> None:
    layers = [{"units": 100, "activation": "relu"}, {"units": 3, "activation": "softmax"}]
    job = stack.finished(stack.client.submit(job_of(layers, 4, "builtin:iris", "cross_entropy")))
    page.goto(f"/jobs/{job['id']}/network")
    page.locator("canvas.matrix").first.hover(position={"x": 30, "y": 30})

    expect(page.locator("figcaption")).to_contain_text(["100 × 4", "3 × 100"])
    expect(page.locator("figure .hint, .hint").first).to_contain_text("unit 2, input 2:")
    page.get_by_role("button", name="Drawing").click()
    expect(page.locator(".network .gap")).to_have_text("⋮ 88 more")
