"""Deliveries over time: the drawing, its switch and its table."""

import random
import re

import pytest

from conftest import Page


def bars(answer):
    """(outcome, height) of each bar drawn."""
    chart = answer.text[answer.text.index('class="chart"'):answer.text.index("</svg>", answer.text
                                                                            .index('class="chart"'))]
    return re.findall(r'class="bar is-(\w+)".*?height="(\d+)"', chart)


def table(answer):
    text = answer.text
    start = text.index('<details class="numbers">')
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", text[start:text.index("</details>", start)])
    return [[int(n.replace(",", "")) for n in re.findall(r'number">([\d,]+)<', row)] for row in rows]


@pytest.mark.parametrize("period, count, far", [("24h", 24, 20), ("7d", 28, 150), ("30d", 30, 650)])
def test_each_period_has_its_bars_and_its_numbers(cgi, store, period, count, far):
    shop = store.destination()
    store.event(shop, "w", state="queued")
    store.count(shop, "checkout", "delivered", n=1500)
    store.count(shop, "checkout", "rejected", n=30)
    store.count(shop, "page_visit", "suppressed", store.now - far * 3600, n=900)
    store.count(shop, "page_visit", "delivered", store.now - 800 * 3600, n=7777)
    store.total(shop, "page_visit", "delivered", 99999)
    answer = cgi("/", f"period={period}")
    rows = table(answer)
    assert len(rows) == count
    assert rows[0] == [1500, 30, 0, 0, 0]
    assert [sum(column) for column in zip(*rows)] == [1500, 30, 900, 0, 0]
    drawn = bars(answer)
    assert [outcome for outcome, _ in drawn] == ["suppressed", "delivered", "rejected"]
    heights = {outcome: int(height) for outcome, height in drawn}
    assert heights["delivered"] == pytest.approx(150, abs=2)  # of 200, the scale ends at 2,000
    assert heights["suppressed"] == pytest.approx(90, abs=2) and heights["rejected"] >= 2
    (chosen,) = [a for a in Page(answer.text).all("a") if a.get("aria-current")]
    assert (f"period={period}" in chosen["href"]) == (period != "24h")


def test_the_switch_keeps_the_filter_and_the_filter_the_period(cgi, store):
    store.event(store.destination(), "x")
    page = Page(cgi("/", "period=7d&state=delivered").text)
    links = [a["href"] for a in page.all("a") if "data-place" in a]
    assert len(links) == 3 and all("state=delivered" in link for link in links)
    hidden = [field for field in page.all("input") if field.get("type") == "hidden"]
    assert hidden == [{"type": "hidden", "name": "period", "value": "7d"}]


def test_before_the_first_event_the_page_says_how_to_get_one(cgi, store):
    text = Page(cgi("/").text).text
    assert "To the first event" in text and "PinterestCapiTokenFile" in text
    assert "Over time" not in text and "Match keys" not in text
    store.event(store.destination(), "w", state="queued")
    text = Page(cgi("/").text).text
    assert "To the first event" not in text and "Over time" in text


def test_an_account_is_drawn_alone_and_other_periods_are_refused(cgi, store):
    store.event(store.destination(), "w", state="queued")
    store.count(1, "checkout", "delivered", n=5)
    store.count(store.destination("7"), "checkout", "delivered", n=8)
    assert table(cgi("/"))[0][0] == 13
    assert table(cgi("/", "account=7"))[0][0] == 8
    assert cgi("/", "period=1y").status == 400


def test_a_store_without_deliveries_draws_an_empty_chart(cgi, store):
    store.event(store.destination(), "w", state="queued")
    answer = cgi("/")
    assert bars(answer) == [] and sum(map(sum, table(answer))) == 0
    assert 'role="img"' in answer.text and "course-desc" in answer.text


def test_sums_over_weeks_take_whole_days_and_the_hours_around_them(cgi, store):
    shop, dice = store.destination(), random.Random(3)
    now = int(store.now // 3600)
    counts = {hour: dice.randrange(1, 1000) for hour in range(now - 24 * 9, now + 1)}
    for hour, n in counts.items():
        store.count(shop, "checkout", "delivered", hour * 3600, n)
    for _ in range(30):
        first, end = sorted(dice.sample(range(now - 24 * 9, now + 1), 2))
        (row,) = cgi("/coverage.json", f"since={first * 3600}&until={end * 3600}").json["coverage"]
        assert row["events"] == sum(n for hour, n in counts.items() if first <= hour < end)
