"""The console as a person meets it: a real Chromium, the real service, a small city."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from placestream.stack.ports import LOCALHOST
from retrain.experiments import Experiments
from retrain.keys import ControllerKeys
from retrain.lease import Lease
from tests.placestream.console.conftest import NAME, PLACES, PSI, Stack
from tests.streams.stream import send

expect.set_options(timeout=30_000)


def opened(page: Page, stack: Stack, **scene: str) -> Page:
    """The page with its first answer."""
    page.goto(stack.url(**scene))
    expect(page.locator("#places li").first).to_be_visible()
    return page


def listed(page: Page) -> list[str]:
    """Ids in the list, in order."""
    ids: list[str] = page.locator("#places li").evaluate_all(
        "items => items.map(item => item.dataset.placeId)"
    )
    return ids


def where(page: Page) -> dict[str, str]:
    """User and spot, as the address tells."""
    return dict(re.findall(r"(\w+)=([^&]+)", page.url.partition("#")[2]))


def act(page: Page, control: str) -> str:
    """Do something with the open place of the list; what the page then says of it."""
    page.locator(f".place.chosen {control}").click()
    expect(page.locator("#answer-change")).to_be_visible()
    return page.locator("#answer-change").inner_text()


def test_the_first_answer_is_on_the_map_and_in_the_list(page: Page, stack: Stack) -> None:
    """Ten places with reasons, scores of both stages, and the time of each stage."""
    opened(page, stack)
    expect(page.locator("#places li")).to_have_count(10)
    expect(page.locator("#places .why").first).not_to_be_empty()
    chosen = page.locator(".place.chosen .scores")
    for name in ("Candidates", "Ranker", "Ordered by"):
        expect(chosen).to_contain_text(name)
    for stage in ("near", "candidates", "features", "ranking", "post processing"):
        expect(page.get_by_label("Time by stage")).to_contain_text(stage)
    expect(page.locator("#map")).to_have_attribute("aria-label", f"Map of {PLACES} places")
    assert page.locator("#legend li").count() > 3


def test_the_token_leaves_the_address(page: Page, stack: Stack) -> None:
    """What is copied from there lets nobody else in; a reload still works."""
    opened(page, stack)
    assert set(where(page)) == {"user", "lat", "lng"}
    page.reload()
    expect(page.locator("#places li")).to_have_count(10)


def test_nothing_is_fetched_from_anywhere_else(page: Page, stack: Stack) -> None:
    """Every request goes to the console, and the policy of the page allows no other."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, stack)
    home = stack.url().partition("#")[0]
    assert asked
    assert [url for url in asked if not url.startswith(home)] == []


def test_a_click_on_the_map_asks_from_there(page: Page, stack: Stack) -> None:
    """South-west of the middle: both degrees are less than before."""
    opened(page, stack)
    page.locator("#fit").click()
    before = where(page)
    box = page.locator("#map").bounding_box()
    assert box is not None
    with page.expect_response("**/api/recommend"):
        page.mouse.click(box["x"] + 40, box["y"] + box["height"] - 60)
    after = where(page)
    assert float(after["lat"]) < float(before["lat"])
    assert float(after["lng"]) < float(before["lng"])
    assert after["user"] == before["user"]


def test_the_keyboard_does_what_the_pointer_does(page: Page, stack: Stack) -> None:
    """Arrows move the cursor, Enter asks from it; the place under it is told."""
    opened(page, stack)
    before = where(page)
    page.locator("#map").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#news")).to_contain_text("Enter asks here")
    with page.expect_response("**/api/recommend"):
        page.keyboard.press("Enter")
    after = where(page)
    assert float(after["lng"]) > float(before["lng"])
    assert after["lat"] == before["lat"]
    expect(page.locator("#news")).to_contain_text("places, the first is")


def test_an_event_changes_the_list_and_the_features(page: Page, stack: Stack) -> None:
    """A visit is in the very next answer, the place rests, the user's visits grow by one."""
    opened(page, stack)
    visits = page.locator("[data-feature=visits_1h]")
    expect(visits).to_be_visible()
    count = int(re.match(r"\d+", visits.inner_text())[0])  # type: ignore[index]
    place = listed(page)[0]
    name = page.locator(".place.chosen .name").inner_text()
    assert "is in this answer" in act(page, "[data-kind=visit]")
    assert place not in listed(page)
    expect(visits).to_contain_text(re.compile(rf"^{count + 1}\+1"))
    expect(page.locator(".recent li").first).to_contain_text("visited")
    expect(page.locator(".recent li").first).to_contain_text(name.split("\n")[0])


def test_what_a_stranger_does_is_known_at_once(page: Page, stack: Stack) -> None:
    """An empty user says so; a rating fills it."""
    opened(page, stack, user="somebody-new", lat=f"{stack.lat}", lng=f"{stack.lng}")
    expect(page.locator("#user-body")).to_contain_text("Nothing is known of somebody-new")
    expect(page.locator("#answer-summary")).to_contain_text("user unknown")
    assert "Rating of" in act(page, "[data-rating='5']")
    expect(page.locator("[data-feature=ratings_1h]")).to_contain_text("1")
    expect(page.locator(".about-user")).to_contain_text("5.00 on average, 1 time")


def test_events_are_sent_from_a_page_under_a_host_name_too(page: Page, stack: Stack) -> None:
    """Over plain HTTP that is no secure context, in which browsers leave functions out."""
    page.goto(stack.url().replace(LOCALHOST, NAME))
    expect(page.locator("#places li").first).to_be_visible()
    assert not page.evaluate("isSecureContext")
    assert "is in this answer" in act(page, "[data-kind=view]")


def test_ids_of_events_are_not_the_same_twice(page: Page, stack: Stack) -> None:
    """128 bits, in hexadecimal digits."""
    page.goto(stack.url())
    ids = page.evaluate(
        """async () => {
          const { newId } = await import("/pages/api.js");
          return Array.from({ length: 1_000 }, newId);
        }"""
    )
    assert len(set(ids)) == 1_000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


def test_a_place_that_is_changed_is_drawn_anew(page: Page, stack: Stack) -> None:
    """Though there are as many places as before."""
    page.clock.install()
    opened(page, stack)
    before, place = page.locator("#map").get_attribute("aria-label"), listed(page)[-1]
    update = {"place_id": place, "updates": {"category": "observatory"}}
    named = page.locator("#category option[value=observatory]")
    expect(named).to_have_count(0)
    send(
        stack.settings,
        stack.settings.topics.place_updates.name,
        [(place, msgspec.json.encode(update))],
    )
    for _ in range(300):
        page.clock.fast_forward(31_000)  # the page reads the places every 30 s
        page.wait_for_timeout(100)  # while the update is on its way
        if named.count():
            break
    expect(named).to_have_count(1)
    assert page.locator("#map").get_attribute("aria-label") == before


def test_events_from_elsewhere_are_followed(page: Page, browser: Browser, stack: Stack) -> None:
    """What a second page sends as this user appears here with nobody touching it."""
    opened(page, stack, user="followed", lat=f"{stack.lat}", lng=f"{stack.lng}")
    expect(page.locator("#user-body")).to_contain_text("Nothing is known")
    other = browser.new_page()
    opened(other, stack, user="followed", lat=f"{stack.lat}", lng=f"{stack.lng}")
    act(other, "[data-kind=click]")
    other.close()
    expect(page.locator(".recent")).to_contain_text("clicked")
    expect(page.locator("#answer-summary")).to_contain_text("user known")


def test_nowhere_is_said_in_words(page: Page, stack: Stack) -> None:
    """An empty answer says why, and what to do."""
    page.goto(stack.url(user="1", lat="-45.00000", lng="-130.00000"))
    expect(page.locator("#places")).to_contain_text("No place is within reach of this point")
    expect(page.locator("#places")).to_contain_text("Ask nearer")


def test_a_bad_user_is_said_with_its_field(page: Page, stack: Stack) -> None:
    """The service's own words, by the field."""
    opened(page, stack)
    page.locator("#user-id").fill("é" * 128)
    page.locator("#user-id").press("Enter")
    problem = page.locator("#answer-problem")
    expect(problem).to_contain_text("user_id")
    expect(page.locator("#places li")).to_have_count(0)


def test_a_wrong_token_asks_for_the_right_one(page: Page, stack: Stack) -> None:
    """Nothing is shown before; the right one opens the page."""
    page.goto(stack.url().replace("open-sesame", "guessed"))
    dialog = page.locator("#token-dialog")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("missing or wrong")
    expect(page.locator("#places li")).to_have_count(0)
    page.get_by_role("textbox", name="Token").fill("open-sesame")
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#places li").first).to_be_visible()


def test_drift_stands_against_its_thresholds(page: Page, stack: Stack) -> None:
    """Greatest first; each says in words what its number means."""
    opened(page, stack)
    cards = page.locator(".multiple")
    expect(cards).to_have_count(len(PSI))
    by_size = sorted(PSI, key=lambda name: -PSI[name])
    for i, (name, says) in enumerate(
        zip(
            by_size,
            ("follows the clock", "asks for training", "worth a look", "steady"),
            strict=True,
        )
    ):
        expect(cards.nth(i)).to_contain_text(name.replace("_", " "))
        expect(cards.nth(i)).to_contain_text(says)
    expect(page.locator("#drift")).to_contain_text("1 of 4 features")


def test_streams_tell_their_lag_and_freshness(page: Page, stack: Stack) -> None:
    """Each topic with nothing left to fold, and how soon an event could be read."""
    opened(page, stack)
    act(page, "[data-kind=view]")
    rows = page.locator("#streams tbody tr")
    expect(rows).to_have_count(len(stack.settings.topics.read()))
    tiles = page.locator(".tiles")
    expect(tiles).to_contain_text("Not folded yet")
    expect(tiles).to_contain_text(re.compile(r"Readable after\s*[\d.]+ (ms|s)"))
    expect(page.locator("#roles")).to_contain_text("serve")


def test_an_experiment_appears_with_its_intervals(page: Page, stack: Stack) -> None:
    """None is said; then the controller's record is there, each measure decided or not."""
    opened(page, stack)
    shown = page.locator("#experiments")
    expect(shown).to_contain_text("No experiment has been run")
    settings = stack.settings
    rows = {
        name: {"scale": scale, "good": good, "stable": 0.2, "canary": 0.21, "effect": 0.05}
        | {"low": low, "high": 0.09, "margin": 0.02}
        for name, scale, good, low in (
            ("success", "relative", "more", 0.01),
            ("slow", "absolute", "less", -0.03),
        )
    }
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        lease = Lease(client, ControllerKeys(settings.key_prefix))
        assert lease.acquire()
        records = Experiments(client, settings.key_prefix, lease)
        one = records.begin("audit", 9, 1_700_000_000.0, 0.1, {})
        report = {"users": {"stable": 900, "canary": 100}, "metrics": rows}
        over = one.moved("rolled_back", 1_700_000_100.0, "worse at night", baseline=1)
        records.save(over.change(report=report), moved=True)
        lease.release()
    for text in ("Version 9, against 1", "rolled back", "worse at night", "10 % of users: 100"):
        expect(shown).to_contain_text(text)
    success, slow = shown.locator("tbody tr").all()
    expect(success).to_contain_text("1.0 to 9.0 %")
    expect(success).to_contain_text("as good")
    expect(slow).to_contain_text("not decided")
    expect(success.get_by_role("img")).to_have_attribute("aria-label", re.compile("borne: -2.0"))


def test_versions_are_promoted_and_rolled_back(page: Page, stack: Stack) -> None:
    """Asked twice; the service answers with the other version, and with the first one again."""
    opened(page, stack)
    answered = page.locator("#answer-summary")
    expect(answered).to_contain_text("ranker 1")
    for version, verb in ((2, "Promote"), (1, "Roll back")):
        page.get_by_role("button", name=f"{verb} to {version}").click()
        dialog = page.locator("#switch-dialog")
        expect(dialog).to_contain_text(f"{verb} to version {version}?")
        page.get_by_label("Why").fill("a test")
        page.get_by_role("button", name="Confirm").click()
        expect(dialog).not_to_be_visible()
        expect(page.locator(f"tr[data-version='{version}']")).to_contain_text("in service")
        page.locator("#ask-button").click()
        expect(answered).to_contain_text(f"ranker {version}")


def test_cancel_changes_nothing(page: Page, stack: Stack) -> None:
    """The dialog is left, and the version in service is the same."""
    opened(page, stack)
    page.get_by_role("button", name="Promote to 2").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#switch-dialog")).not_to_be_visible()
    expect(page.locator("tr[data-version='1']")).to_contain_text("in service")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1_280, 390])
def test_it_fits_the_screen(
    browser: Browser, stack: Stack, tmp_path: Path, width: int, scheme: Any
) -> None:
    """Nothing sticks out, the map is drawn in the scheme's colours, the keyboard can be seen."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened(page, stack)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#zoom-in").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    light, colours = page.evaluate(
        """() => {
          const map = document.getElementById("map");
          const { data } = map.getContext("2d").getImageData(0, 0, map.width, map.height);
          const seen = new Set();
          let sum = 0;
          for (let i = 0; i < data.length; i += 4) {
            seen.add((data[i] << 16) + (data[i + 1] << 8) + data[i + 2]);
            sum += data[i + 1];
          }
          return [sum / (data.length / 4), seen.size];
        }"""
    )
    assert (light > 128) == (scheme == "light")
    assert colours > 100
    page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
    page.close()


@pytest.mark.slow
def test_the_service_may_go_and_come_back(page: Page, stack: Stack) -> None:
    """Gone: the page says so and what to start; back: it is answered, with nobody touching it."""
    opened(page, stack)
    stack.roles.stop_role("serve")
    page.locator("#ask-button").click()
    problem = page.locator("#answer-problem")
    expect(problem).to_contain_text("placestream serve")
    expect(page.locator("#places li")).to_have_count(0)
    expect(page.locator("#roles .bad")).to_contain_text("serve")
    stack.start("serve")
    expect(page.locator("#places li")).to_have_count(10)
    expect(problem).not_to_be_visible()


def test_fifty_thousand_places_are_found_through_the_grid(page: Page, stack: Stack) -> None:
    """What is in a box and what is nearest, as looking at every place says."""
    page.goto(stack.url())
    wrong = page.evaluate(
        """async () => {
          const { PlaceIndex } = await import("/pages/map-index.js");
          const n = 50_000;
          let seed = 7;
          const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
          const column = (from) => Array.from({ length: n }, () => from + random() ** 2);
          const index = new PlaceIndex({
            ids: Array.from({ length: n }, (_, i) => `p${i}`), names: [], categories: [],
            lat: column(40), lng: column(-74), category: new Array(n).fill(-1),
          });
          const { west, east, north, south } = index.bounds;
          let wrong = 0;
          for (let turn = 0; turn < 40; turn++) {
            const x = west + random() * (east - west), y = north + random() * (south - north);
            const reach = random() ** 3 * (east - west);
            const found = new Set();
            index.within(x - reach, y - reach, x + reach, y + reach, (row) => found.add(row));
            let best = -1, least = reach * reach, inside = 0;
            for (let row = 0; row < n; row++) {
              const dx = index.x[row] - x, dy = index.y[row] - y;
              const near = Math.abs(dx) <= reach && Math.abs(dy) <= reach;
              if (near) inside += found.has(row) ? 1 : n;
              if (dx * dx + dy * dy <= least) [best, least] = [row, dx * dx + dy * dy];
            }
            if (inside !== found.size || index.nearest(x, y, reach) !== best) wrong++;
          }
          return wrong;
        }"""
    )
    assert wrong == 0
