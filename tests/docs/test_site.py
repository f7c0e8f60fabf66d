"""The course as a web page, in a real browser: every page loads, without the network too.

`make site` installs what builds it, `.venv/bin/playwright install chromium` a browser.
"""

import functools
import inspect
import json
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import s10
from s10.course.explorer import STEPS_PER_EPOCH, cycle_figure

pytest.importorskip("myst_nb", reason="no site builder here: `make site` installs it")
sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: `make site` has it")

ROOT = Path(__file__).resolve().parents[2]
GITHUB = "https://github.com/s10-course/s10/blob/main/"
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
PAGES = ["index", *(f"notebooks/{name}" for name in NOTEBOOKS), "docs/reference", "RELIABILITY",
         "results/README", "benchmarks/README", "CONTRIBUTING", "TEACHING",
         "search"]  # fmt: skip
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
# Elements that stick out of the window and are in no box of the text that scrolls by itself.
STICKING_OUT = """elements => elements.filter(element => {
    if (element.getBoundingClientRect().right <= innerWidth + 1) return false
    for (let box = element; box && box.tagName != "ARTICLE"; box = box.parentElement)
        if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return false
    return true
}).map(element => element.outerHTML.slice(0, 200))"""

each_page = pytest.mark.parametrize("name", PAGES)
each_notebook = pytest.mark.parametrize("name", NOTEBOOKS)


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The site, built as `make site` builds it; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-qEW", "--keep-going", "-c", "docs"]
    command += ["-d", folder / "doctrees", ".", folder / "html"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def site(folder):
    """Its address on a server of its own."""
    handler = functools.partial(Handler, directory=folder)
    with ThreadingHTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        # Playwright's own Chromium, or else the system's.
        own = Path(playwright.chromium.executable_path).exists()
        try:
            browser = playwright.chromium.launch(
                executable_path=None if own else shutil.which("chromium")
            )
        except sync_api.Error:
            pytest.skip("no browser here: `.venv/bin/playwright install chromium` installs one")
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, site):
    """A function that opens a page; at the end there must have been no error."""
    problems, contexts = [], []

    def serve(route):
        inside = route.request.url.startswith(site)
        if not inside:
            problems.append(f"needs the network: {route.request.url}")
        (route.continue_ if inside else route.abort)()

    def visit(name, size=DESK, **options):
        contexts.append(browser.new_context(viewport=size, **options))
        page = contexts[-1].new_page()
        page.route("**/*", serve)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text))
        page.goto(f"{site}{name}.html")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(scope="module")
def links(folder, site, browser):
    """Page → the addresses of its links and images, and page → the ids in it."""
    links, ids, page = {}, {}, browser.new_page(java_script_enabled=False)
    for path in folder.rglob("*.html"):
        address = site + path.relative_to(folder).as_posix()
        page.goto(address)
        links[address] = page.eval_on_selector_all(
            "a[href], img", "all => all.map(one => one.href || one.src)"
        )
        ids[address] = set(page.eval_on_selector_all("[id]", "all => all.map(one => one.id)"))
    page.close()
    return links, ids


@each_page
def test_a_page_loads_and_fits_a_phone(visit, name):
    page = visit(name, PHONE)
    assert page.title()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.eval_on_selector_all("article *, header *", STICKING_OUT) == []
    assert "| ---" not in page.locator("[role=main]").inner_text()
    broken = "all => all.filter(one => !one.complete || !one.naturalWidth).map(one => one.src)"
    assert page.eval_on_selector_all("img", broken) == []


def test_links_within_the_site_lead_somewhere(folder, site, links):
    pages, ids = links
    assert {f"{site}{name}.html" for name in PAGES} <= set(pages)
    for page, addresses in pages.items():
        for address in addresses:
            target, fragment = urldefrag(address)
            if target.startswith(site):
                path = folder / unquote(target.removeprefix(site))
                assert path.is_file(), (page, address)
                if fragment:
                    assert unquote(fragment) in ids[target], (page, address)


def test_the_start_page_leads_to_each_notebook(visit, site):
    table = visit("index").locator("article table").first
    targets = table.locator("a").evaluate_all("all => all.map(one => one.href)")
    assert {f"{site}notebooks/{name}.html" for name in NOTEBOOKS} <= set(targets)


def test_links_to_the_repository_lead_to_what_is_there(links):
    addresses = {address for page in links[0].values() for address in page}
    paths = {urldefrag(address)[0].removeprefix(GITHUB)
             for address in addresses if address.startswith(GITHUB)}  # fmt: skip
    assert {"s10/recipe.py", "tools"} <= paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_search_finds_annihilation(visit):
    page = visit("index")
    page.locator(".sidebar-search").fill("annihilation")
    page.keyboard.press("Enter")
    found = page.locator("#search-results a", has_text="2. The one-cycle policy").first
    found.click()
    assert page.locator("h1").inner_text().startswith("2. The one-cycle policy")


@each_notebook
def test_a_notebook_can_be_run_downloaded_and_copied(visit, folder, name):
    page = visit(f"notebooks/{name}", permissions=["clipboard-read", "clipboard-write"])
    for place in ("colab", "kaggle"):
        link = page.locator(f"article a.button[href*='{place}']")
        assert link.get_attribute("href").endswith(f"/blob/main/notebooks/{name}.ipynb")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    stored = ROOT / "notebooks" / f"{name}.ipynb"
    assert Path(download.value.path()).read_bytes() == stored.read_bytes()
    code = page.locator(".cell_input").first
    code.hover()
    code.locator("button.copybtn").click()
    source = next(
        "".join(cell["source"])
        for cell in json.loads(stored.read_text())["cells"]
        if cell["cell_type"] == "code"
    )
    page.wait_for_function(
        "async code => await navigator.clipboard.readText() === code", arg=source
    )


@each_notebook
def test_solutions_and_answers_show_on_a_click(visit, name):
    page = visit(f"notebooks/{name}")
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    answers = [cell for cell in cells if cell["metadata"].get("jupyter", {}).get("outputs_hidden")]
    hidden = page.locator("details.hide")
    folded = page.locator("article details:not([open])")
    assert folded.count() == page.locator("article details").count()
    assert folded.count() >= text.count("<details>") + len(answers)
    assert hidden.count() >= len(answers) > 0
    for details in (hidden.first, page.locator("details", has_text="Solution").first):
        inside = details.locator("> :not(summary)").first
        assert not inside.is_visible()
        details.locator("> summary").click()
        assert inside.is_visible()


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_figures_are_legible_in_light_and_dark(visit, scheme, dark):
    page = visit(f"notebooks/{NOTEBOOKS[1]}", color_scheme=scheme)
    color = "one => getComputedStyle(one).backgroundColor.match(/\\d+/g).map(Number)"
    assert (sum(page.locator("body").evaluate(color)) < 200) is dark
    figures = page.locator("article img")
    assert figures.count() >= 4
    for figure in figures.all():  # black on white, as it was drawn
        assert figure.evaluate(color) == [255, 255, 255]
    with page.expect_navigation(url="**/*.png"):  # a click shows it as large as it is
        figures.first.click()


def test_the_explorer_has_the_numbers_of_one_cycle(visit):
    page = visit("notebooks/02_one_cycle")

    def numbers(peak, lr, div, high, low):
        recipe = s10.Recipe(peak_epoch=peak, lr_max=lr, lr_min=lr / div,
                            momentum_max=high, momentum_min=min(low, high))  # fmt: skip
        make = functools.partial(recipe.make_scheduler, steps_per_epoch=STEPS_PER_EPOCH)
        rates, momenta = s10.simulate_schedule(make, recipe.epochs * STEPS_PER_EPOCH)
        choice = {"peak": peak, "lr": lr, "div": div, "high": high, "low": low}
        shown = page.evaluate("choice => oneCycle(choice)", choice)
        assert shown["rates"] == pytest.approx(rates, rel=1e-9)
        assert shown["momenta"] == pytest.approx(momenta, rel=1e-9)

    numbers(5, 0.01, 1000, 0.95, 0.85)
    numbers(1, 1.0, 1, 0.5, 0.99)
    numbers(24, 1e-4, 1e4, 0.99, 0.0)


def test_the_explorer_moves(visit):
    page = visit("notebooks/02_one_cycle")
    shown = page.locator(".explorer output")
    # It begins where that of the notebook begins.
    defaults = [one.default for one in inspect.signature(cycle_figure).parameters.values()]
    assert [float(text) for text in shown.all_inner_texts()] == defaults

    def highest():
        """The step of the peak, and the texts of the first figure."""
        line = page.locator(".explorer polyline").first.get_attribute("points").split()
        heights = [-float(point.split(",")[1]) for point in line]
        return heights.index(max(heights)), page.locator(".explorer svg").first.text_content()

    assert highest()[0] == 5 * STEPS_PER_EPOCH - 1
    page.locator(".explorer input[name=peak]").fill("12")
    page.locator(".explorer input[name=div]").fill("1")
    step, text = highest()
    assert step == 12 * STEPS_PER_EPOCH - 1
    assert "0.001" in text
    assert shown.all_inner_texts()[:3] == ["12", "0.01", "10"]


def test_the_reference_has_every_public_name_and_the_reasons_of_the_recipe(visit):
    page = visit("docs/reference")
    ids = page.eval_on_selector_all("dt[id]", "all => all.map(one => one.id)")
    assert {f"s10.{name}" for name in s10.__all__} <= set(ids)
    shown = page.locator("article").inner_text()
    assert "assignment: side of the square in pixels" in shown
    assert shown.index("The network, with new weights") < shown.index(
        "AdamW: Adam ("
    )  # as in the code
