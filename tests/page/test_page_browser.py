"""The HTML page in a real browser: what the script does, what the eye and the keyboard get."""

import shutil

import numpy as np
import pytest
from made.page import FILTERS, VERDICTS, draw_folder, make_audit, train_run

from kerascnn.page import write_page

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (320, 768, 1600)
# The relative luminance of a color, and the contrast of two, as WCAG 2.2 defines them; the
# background is that of the nearest ancestor that has one.
CONTRAST = """
() => {
  const channels = (color) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (color) => channels(color).slice(0, 3)
    .map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (channels(color)[3] === 255) return color;
    }
    return "white";
  };
  const poor = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || element.matches("script, style, :disabled")) continue;
    if (!element.checkVisibility()) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) {
      poor.add(`${element.tagName} ${element.className} ${element.textContent.trim()} ${contrast}`);
    }
  }
  return [...poor];
}
"""
FOCUSED = "() => document.activeElement.getAttribute('aria-label') || document.activeElement.href"


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, headless."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install '.[browser]'"
    )
    if not CHROMIUM:
        pytest.skip("there is no chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of one run and a page of three, with an audit and augmentation: path and runs."""
    directory = tmp_path_factory.mktemp("page")
    folder = draw_folder(directory / "pictures")
    runs = [train_run(directory, folder, seed=seed) for seed in (0, 1)]
    runs.append(train_run(directory, folder, "sgd-lr0.01-augmented"))
    images = np.zeros((2, 32, 32, 3), "uint8")
    augmented = {runs[2].name: (images, np.zeros((2, 3, 32, 32, 3), "float32"))}
    return {
        "single": write_page(runs[:1], directory / "single.html"),
        "several": write_page(runs, directory / "several.html", make_audit(), augmented),
        "runs": runs,
    }


@pytest.fixture
def visit(browser, pages):
    """Open a page; afterwards nothing was wrong in it, and nothing was asked for elsewhere."""
    contexts, wrong = [], []

    def note(request):
        if not request.url.startswith(("file:", "data:", "about:")):
            wrong.append(request.url)

    def go(name="single", fragment="", width=1280, **settings):
        viewport = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=viewport, reduced_motion="reduce", **settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on("request", note)
        page.goto(pages[name].as_uri() + fragment)
        return page

    yield go
    for context in contexts:
        context.close()
    assert wrong == []


def chosen_filters(page):
    return page.locator(".panel.chosen:visible").evaluate_all(
        "panels => panels.map(panel => Number(panel.dataset.number))"
    )


@pytest.mark.parametrize("name", ["single", "several"])
def test_page_opens_and_shows_pictures(visit, name):
    page = visit(name)
    tiles = page.locator(".tile:visible")
    assert tiles.count() > 10
    sizes = tiles.evaluate_all("all => all.map(t => t.getBoundingClientRect().width)")
    assert min(sizes) >= 24
    drawn = tiles.evaluate_all("all => all.map(t => getComputedStyle(t).backgroundImage)")
    assert all(image.startswith('url("data:image/webp') for image in drawn)


@pytest.mark.parametrize("name", ["single", "several"])
@pytest.mark.parametrize("width", WIDTHS)
def test_page_never_scrolls_sideways(visit, name, width):
    page = visit(name, width=width)
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("main").bounding_box()["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["single", "several"])
def test_text_stands_out_from_its_ground(visit, name, scheme):
    page = visit(name, color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("name", ["single", "several"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_that_keeps_anybody_out(visit, name, scheme, width):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed: '.[browser]'"
    )
    found = axe.Axe().run(visit(name, color_scheme=scheme, width=width)).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_follow_the_system_until_they_are_switched(visit, scheme):
    page = visit(color_scheme=scheme)
    ground = "getComputedStyle(document.body).backgroundColor"
    first = page.evaluate(ground)
    button = page.get_by_role("button", name="Light" if scheme == "dark" else "Dark")
    button.click()
    assert page.evaluate(ground) != first
    page.reload()
    assert page.evaluate(ground) != first
    page.get_by_role("button", name="Dark" if scheme == "dark" else "Light").click()
    assert page.evaluate(ground) == first


def test_pointer_over_a_curve_shows_the_values_of_an_epoch(visit, pages):
    page = visit()
    history = pages["runs"][0].read_history()
    chart = page.locator(".chart").first
    probe = chart.locator(".probe")
    probe.scroll_into_view_if_needed()
    box = probe.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
    assert chart.locator(".readout").inner_text() == "Epoch 2"
    values = chart.locator(".legend .value").all_inner_texts()
    assert values == [f"{history[key][1]:.3f}" for key in ("loss", "val_loss")]
    assert chart.locator(".crosshair").is_visible()
    page.mouse.move(1, 1)
    assert not chart.locator(".crosshair").is_visible()


def test_arrow_keys_go_through_the_epochs(visit):
    page = visit()
    slider = page.get_by_role("slider", name="Accuracy").first
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuenow") == "1"
    assert slider.get_attribute("aria-valuetext").startswith("Epoch 1: training ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuenow") == "2"


def test_filter_is_chosen_by_mouse_and_has_an_address(visit, pages):
    page = visit()
    assert chosen_filters(page) == [1]
    page.locator(".kernel").nth(3).click()
    assert chosen_filters(page) == [4]
    assert page.url.endswith(f"#{pages['runs'][0].name}-filter-4")
    assert page.locator("#announcer").inner_text().startswith("Filter 4. ")
    page.locator(".kernel").nth(1).click()
    page.go_back()
    assert chosen_filters(page) == [4]
    page.go_back()
    assert chosen_filters(page) == [1]


def test_filters_are_gone_through_by_keyboard(visit, pages):
    page = visit()
    first = page.locator(".kernel").first
    first.focus()
    page.keyboard.press("ArrowRight")
    assert chosen_filters(page) == [2]
    page.keyboard.press("End")
    assert chosen_filters(page) == [FILTERS]
    assert page.url.endswith(f"-filter-{FILTERS}")
    assert page.evaluate(FOCUSED).startswith(f"Filter {FILTERS}")
    tabbable = page.locator(".kernel[tabindex='0']")
    assert tabbable.count() == 1


def test_address_of_a_filter_chooses_it(visit, pages):
    name = pages["runs"][2].name
    page = visit("several", f"#{name}-filter-3")
    panel = page.locator(f"[id='{name}-filter-3']")
    assert panel.is_visible()
    assert chosen_filters(page) == [3]
    top = panel.bounding_box()["y"]
    assert 0 <= top < 900
    page.evaluate(f"location.hash = '{name}-filter-5'")
    page.wait_for_function("document.querySelector('.run:not(.other) .chosen').dataset.number == 5")


@pytest.mark.parametrize("fragment", ["#nothing", "#%E0%A4%A", "#filter'\"><b>"])
def test_address_that_leads_nowhere_is_let_be(visit, fragment):
    page = visit(fragment=fragment)
    assert chosen_filters(page) == [1]


def test_map_is_enlarged_and_stays_so_for_other_filters(visit):
    page = visit()
    panel = page.locator(".panel.chosen")
    panel.locator(".pair").nth(1).click()
    wanted = panel.locator(".pair").nth(1).locator(".tile").first.get_attribute("style")
    assert panel.locator(".enlarged .tile").first.get_attribute("style") == wanted
    page.locator(".kernel").nth(2).click()
    assert page.locator(".panel.chosen .enlarged .tile").first.get_attribute("style") == wanted


def test_cell_of_the_confusion_matrix_opens_its_images(visit, pages):
    page = visit()
    stored = pages["runs"][0].read_predictions()
    cell = page.locator("button.cell").last
    label, prediction = map(int, cell.get_attribute("data-cell").split("-"))
    count = int(np.sum((stored["labels"] == label) & (stored["predictions"] == prediction)))
    assert cell.inner_text() == str(count)
    cell.click()
    opened = page.locator(".opened")
    assert opened.get_attribute("aria-live") == "polite"
    assert opened.locator(".tile").count() == min(count, 6)
    names = pages["runs"][0].read_metrics().class_names
    expected = f"{names[label]}, called {names[prediction]}"
    assert opened.locator(".title").inner_text() == expected


def test_cells_are_gone_through_by_keyboard(visit):
    page = visit()
    cells = page.locator("button.cell")
    assert page.locator("button.cell[tabindex='0']").count() == 1
    cells.first.focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert cells.last.get_attribute("aria-pressed") == "true"


def test_examples_are_paged_through(visit):
    page = visit()
    pager = page.locator(".pager").first
    shown = pager.locator("li:visible")
    count = pager.locator("li").count()
    before = shown.all_inner_texts()
    assert len(before) == min(10, count)
    if count > 10:
        pager.get_by_role("button", name="More").click()
        assert pager.locator(".where").inner_text() == f"11 – {min(20, count)} of {count}"
        pager.get_by_role("button", name="Earlier").click()
    assert shown.all_inner_texts() == before


def test_run_is_chosen_and_the_others_are_put_away(visit, pages):
    page = visit("several")
    assert page.locator("section.run:visible").count() == 1
    page.locator(".chooser a").nth(1).click()
    visible = page.locator("section.run:visible")
    assert visible.count() == 1
    assert visible.get_attribute("data-run") == pages["runs"][2].name
    assert page.locator(".chooser a[aria-current]").count() == 1


def test_two_runs_are_compared_either_way(visit):
    page = visit("several")
    table = page.locator(".pair-table")
    points = table.locator("tr.overall td").nth(2).inner_text()
    table.locator("select").first.select_option("1")
    assert "two that differ" in table.locator("caption").inner_text()
    table.locator("select").last.select_option("0")
    turned = table.locator("tr.overall td").nth(2).inner_text()
    assert {points[0], turned[0]} in ({"+", "−"}, {"0"})
    assert points.lstrip("+−") == turned.lstrip("+−")


@pytest.mark.parametrize("verdict", VERDICTS)
def test_claims_are_filtered_by_verdict(visit, verdict):
    page = visit("several")
    buttons = page.locator(".filters button")
    index = VERDICTS.index(verdict) + 1
    buttons.nth(index).click()
    shown = page.locator(".claim:visible")
    assert shown.evaluate_all("all => all.map(c => c.dataset.verdict)") == [verdict] * 2
    assert page.locator("#audit-status").inner_text() == "2 of 10 claims are shown."
    buttons.first.click()
    assert shown.count() == 10


def test_everything_is_reached_by_the_tabulator_and_seen_to_be(visit):
    page = visit()
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        tag = page.evaluate("document.activeElement.tagName")
        if tag == "BODY":
            break
        assert width == "3px" or tag == "SUMMARY", page.evaluate(FOCUSED)
        seen.append(page.evaluate("document.activeElement.className"))
    assert seen[0] == "skip"
    for name in ("theme", "probe", "cell", "kernel"):
        assert any(name in each for each in seen)


def test_page_can_be_read_without_its_script(visit):
    page = visit("several", java_script_enabled=False)
    assert page.locator("section.run:visible").count() == 2
    assert page.locator(".claim:visible").count() == 10
    assert page.locator(".matrix").first.is_visible()
    assert page.locator(".probe:visible, .theme:visible, .opened:visible").count() == 0


def test_address_of_a_filter_shows_it_without_the_script(visit, pages):
    page = visit("single", f"#{pages['runs'][0].name}-filter-2", java_script_enabled=False)
    assert page.locator(".panel:visible").get_attribute("data-number") == "2"


def test_paper_has_all_runs_and_no_controls(visit):
    page = visit("several", color_scheme="dark")
    page.locator(".filters button").nth(1).click()
    page.emulate_media(media="print")
    assert page.locator("section.run:visible").count() == 2
    assert page.locator(".claim:visible").count() == 10
    assert (
        page.locator(".theme:visible, .chooser:visible, .turn:visible, select:visible").count() == 0
    )
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 10_000
