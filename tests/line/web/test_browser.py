"""The operator page in Chromium, without any network but the loopback."""

from pathlib import Path

import pytest

from edge_ad_runtime.artifact.packed import pack

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

SCORE = "/v1/parts/plate/score"
VIEWS = ("live", "review", "trend", "parts", "health")
PANEL, SCREEN = (800, 480), (1920, 1080)


class Panel:
    """A browser window on a line's page."""

    def __init__(self, driver, url):
        self.driver, self.url = driver, url
        self.size(*PANEL)

    def size(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, view="live"):
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}#{view}")
        self.until(lambda: self.one(f"main.{view}"))

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        found = self.all(selector)
        return found[0] if found else None

    def text(self, selector):
        """What can be read, in one line; empty while it changes."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return " ".join(self.driver.execute_script(script, selector).split())

    def attribute(self, selector, name):
        script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? ''"
        return self.driver.execute_script(script, selector, name)

    def until(self, is_true, timeout_s=20):
        """Ask until it is true, anew where the page was drawn in the middle of the question."""
        stale = [StaleElementReferenceException]
        wait = WebDriverWait(self.driver, timeout_s, 0.05, ignored_exceptions=stale)
        return wait.until(lambda _: is_true())

    def until_text(self, selector, wanted):
        try:
            self.until(lambda: wanted.lower() in self.text(selector).lower())
        except Exception:
            raise AssertionError(f"{selector}: {self.text(selector)!r}, not {wanted!r}") from None

    def press(self, *keys):
        self.driver.switch_to.active_element.send_keys(*keys)

    def click(self, text):
        def clicked():
            for button in self.all("button"):
                if button.is_displayed() and text in button.text:
                    button.click()
                    return True
            return False

        self.until(clicked)

    def type(self, selector, *keys):
        def typed():
            field = self.one(selector)
            if field:
                field.send_keys(*keys)
            return field is not None

        self.until(typed)


@pytest.fixture
def panel(chromium):
    """Opens pages. A page that complains in its console has failed."""
    chromium.get_log("browser")
    yield lambda client: Panel(chromium, str(client.base_url))
    complaints = [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"]
    chromium.get("about:blank")
    assert not [entry["message"] for entry in complaints]


def keeping(**more):
    """Settings of a store that keeps every image."""
    return {"reserve_bytes": 65536, "keep": {"good": {"every": 1}}, **more}


def test_a_verdict_is_on_screen_with_its_own_picture_and_a_sign(served, panel, good, stain):
    client = served(store=keeping())
    page = panel(client)
    page.open()
    page.until_text(".verdict", "Waiting")
    client.post(SCORE, content=stain, headers={"Part-Id": "Nr 12"})
    page.until_text(".verdict", "Anomalous")
    page.until_text(".facts", "Nr 12")
    assert page.attribute(".verdict use", "href") == "#anomalous"
    page.until_text(".picture .note", "plate 1: colour is where it is unusual")
    assert page.attribute(".picture img", "src").endswith("/overlay")
    page.press("o")
    page.until(lambda: page.attribute(".picture img", "src").endswith("/image"))
    client.post(SCORE, content=good)
    page.until_text(".verdict", "Good")
    page.until_text(".picture .note", "plate 2")
    assert page.attribute(".verdict use", "href") == "#good"


def test_an_image_without_a_verdict_says_so_and_why(served, panel):
    client = served()
    page = panel(client)
    page.open()
    client.post(SCORE, content=b"no image")
    page.until_text(".verdict", "No verdict")
    page.until_text(".verdict", "cannot be read")
    assert page.attribute(".verdict use", "href") == "#error"
    page.driver.get_log("browser")  # the picture that is not there


def test_the_last_fifty_are_a_strip_that_the_arrow_keys_go_through(served, panel, good, stain):
    client = served(store=keeping())
    for image in (good, stain, good):
        client.post(SCORE, content=image)
    page = panel(client)
    page.open()
    page.until(lambda: len(page.all(".tile")) == 3)
    page.until_text(".counts", "2 good, 1 anomalous")
    page.press(Keys.ARROW_RIGHT)
    page.until_text(".verdict", "Anomalous")
    page.until_text(".since", "Held")
    client.post(SCORE, content=good)
    page.until(lambda: len(page.all(".tile")) == 4)
    assert "anomalous" in page.text(".verdict").lower()
    page.press(Keys.ESCAPE)
    page.until_text(".verdict", "Good")


def test_a_review_goes_by_keyboard_from_end_to_end(served, panel, good, stain, wait_until):
    client = served(store=keeping())
    ids = [client.post(SCORE, content=image).json()["id"] for image in (good, stain)]
    wait_until(lambda: len(client.get("/v1/review").json()["results"]) == 2)
    page = panel(client)
    page.open()
    page.press("2")
    page.until(lambda: len(page.all(".queue button")) == 2)
    first = page.text(".about")
    page.press("d")
    page.until(lambda: len(page.all(".queue button")) == 1)
    page.until(lambda: page.text(".about") != first)
    page.press("g")
    page.until_text(".about", "Nothing waits")
    labels = [client.get(f"/v1/results/{each}").json()["review"]["label"] for each in ids]
    assert sorted(labels) == ["defect", "good"]


def test_an_artifact_is_uploaded_promoted_and_rolled_back(served, panel, other, tmp_path):
    client = served()
    page = panel(client)
    page.open("parts")
    before = page.until(lambda: page.text("tr.live code"))
    pack(other, tmp_path / "packed.edgead")
    page.type("#archive", str(tmp_path / "packed.edgead"))
    page.until_text(".told", "Promote it to let it judge")
    page.click("Promote")
    page.type("dialog[open] input", "tighter limits", Keys.ENTER)
    page.until(lambda: page.text("tr.live code") not in ("", before))
    page.until_text(".trail", "tighter limits")
    page.click("Roll back")
    page.type("dialog[open] input", "too tight", Keys.ENTER)
    page.until(lambda: page.text("tr.live code") == before)
    assert client.get("/v1/audit?newest=1").json()["rows"][0]["reason"] == "too tight"


def test_an_upload_that_is_refused_says_why_and_changes_nothing(served, panel, tmp_path):
    client = served()
    page = panel(client)
    page.open("parts")
    before = page.until(lambda: page.text("tr.live code"))
    (tmp_path / "notes.txt").write_text("hello")
    page.type("#archive", str(tmp_path / "notes.txt"))
    page.until_text(".told", "Refused:")
    assert page.text("tr.live code") == before
    page.driver.get_log("browser")  # the answer was 422


def test_the_trend_has_a_mark_for_each_result_and_the_threshold(served, panel, good, stain):
    client = served()
    for image in (good, stain, good, b"no image"):
        client.post(SCORE, content=image)
    page = panel(client)
    page.open("trend")
    page.until(lambda: len(page.all(".chart .mark.good")) == 2)
    chart = page.all(".chart")[0]
    assert len(chart.find_elements(By.CSS_SELECTOR, ".mark.anomalous")) == 1
    assert len(chart.find_elements(By.CSS_SELECTOR, ".mark.error")) == 1
    assert "threshold" in chart.text
    page.press(Keys.ARROW_LEFT)
    page.until_text(".about", "No verdict")
    page.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    page.until_text(".about", "Anomalous")
    client.post(SCORE, content=good)
    page.until(lambda: len(page.all(".chart")[0].find_elements(By.CSS_SELECTOR, ".mark.good")) == 3)


def test_what_is_wrong_on_the_line_is_said_on_every_view(served, panel):
    camera = {"kind": "http", "name": "top", "url": "http://127.0.0.1:9/x", "mode": "free-running"}
    client = served({"camera": "top"}, camera=[camera])
    page = panel(client)
    for view in VIEWS:
        page.open(view)
        page.until_text("#problems", "Camera top is lost")
    page.open("health")
    page.until_text("main", "✕ lost")


def test_a_line_that_does_not_answer_is_not_shown_as_if_it_did(served, panel, good):
    client = served()
    client.post(SCORE, content=good)
    page = panel(client)
    page.open()
    page.until_text(".verdict", "Good")

    page.driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    page.until_text("#problems", "What you see is old")
    assert "lost" in page.attribute("body", "class")
    online = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", online)
    page.until(lambda: not page.one("#problems").is_displayed())
    client.post(SCORE, content=b"no image")
    page.until_text(".verdict", "No verdict")  # events go on too
    page.driver.get_log("browser")


def test_a_panel_signs_in_with_its_token_and_sees_what_its_role_may(served, panel, tokens_file):
    client = served(web={"tokens": str(tokens_file)})
    page = panel(client)
    page.driver.get(page.url)
    page.type("dialog[open] input", "x" * 24, Keys.ENTER)
    page.until_text("dialog .refusal", "not known")
    page.one("dialog[open] input").clear()
    page.one("dialog[open] input").send_keys("v" * 24, Keys.ENTER)
    page.until_text("#user", "viewer 1")
    page.press("4")
    page.until_text("main", "An engineer may change")
    assert page.one("#archive") is None
    assert page.driver.execute_script("return document.cookie") == ""
    page.driver.get_log("browser")  # the answers were 401


@pytest.mark.parametrize("size", [PANEL, SCREEN], ids=["800x480", "1920x1080"])
def test_every_view_fits_the_screen(served, panel, good, stain, size, wait_until, tmp_path):
    client = served(store=keeping())
    for image in (good, stain) * 30:
        client.post(SCORE, content=image)
    wait_until(lambda: client.get("/v1/review").json()["results"])
    page = panel(client)
    page.size(*size)
    needed = {
        "live": [".verdict", ".facts", ".picture", ".strip"],
        "review": [".label.good", ".label.anomalous", ".picture", ".about"],
        "trend": [".chart", ".about", ".drifted"],
        "parts": [".card table"],
        "health": [".card table"],
    }
    for view in VIEWS:
        page.open(view)
        for selector in needed[view]:
            element = page.until(lambda selector=selector: page.one(selector))
            page.until(lambda element=element: element.rect["height"] > 10)
            box = element.rect
            assert 0 <= box["x"] and box["x"] + box["width"] <= size[0], (view, selector)
            assert 0 <= box["y"] and box["y"] + box["height"] <= size[1], (view, selector)
        width = page.driver.execute_script("return document.documentElement.scrollWidth")
        assert width <= size[0]
        buttons = [b.size["height"] for b in page.all("main button") if b.is_displayed()]
        assert min(buttons, default=40) >= 36, "a finger needs more"


def test_everything_is_reached_by_tabs_alone(served, panel, good):
    client = served(store=keeping())
    client.post(SCORE, content=good)
    page = panel(client)
    page.open()
    page.until(lambda: page.one(".tile"))
    seen = set()
    for _ in range(12):
        page.press(Keys.TAB)
        focused = page.driver.switch_to.active_element
        outline = focused.value_of_css_property("outline-style")
        seen.add((focused.text or focused.get_attribute("aria-label") or "").split("\n")[0])
        assert outline != "none" or focused.tag_name == "body"
    assert {"Live", "Review", "Trend", "Parts", "Health", "Overlay (O)"} <= seen


def test_the_first_load_asks_for_nothing_elsewhere_and_little(served, panel):
    client = served()
    page = panel(client)
    page.open()
    script = "return performance.getEntriesByType('resource').map(e => [e.name, e.decodedBodySize])"
    entries = page.driver.execute_script(script)
    assert all(name.startswith(page.url.rstrip("/")) for name, _ in entries)
    static = [size for name, size in entries if "/static/" in name]
    assert len(static) >= 10
    assert sum(static) <= 60_000


def test_the_page_is_a_folder_of_plain_files():
    import edge_ad_line.web

    static = Path(edge_ad_line.web.__file__).with_name("static")
    assert {path.suffix for path in static.iterdir()} == {".css", ".html", ".js", ".svg"}
