"use strict";
// What is readable without this script is made easier to look through: values under the pointer,
// cells that open, filters and runs that have addresses, claims by verdict.
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const say = (text) => { document.getElementById("announcer").textContent = text; };
  const percent = (share, digits = 1) => share === null ? "–" : `${(100 * share).toFixed(digits)}\u00a0%`;
  const points = (difference) => {
    if (difference === null) return "–";
    const text = (100 * difference).toFixed(1);
    return Number(text) === 0 ? "0.0" : (difference > 0 ? "+" : "") + text.replace("-", "−");
  };
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // One of many has the tabulator; arrow keys move on by place, not by order.
  const rove = (items, onMove) => {
    if (!items.length) return;
    const give = (chosen) => items.forEach((item) => { item.tabIndex = item === chosen ? 0 : -1; });
    const centre = (item) => {
      const box = item.getBoundingClientRect();
      return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
    };
    const nearest = (from, dx, dy) => {
      const here = centre(from);
      let found = null, least = Infinity;
      for (const item of items) {
        const there = centre(item);
        const along = (there.x - here.x) * dx + (there.y - here.y) * dy;
        const across = Math.abs((there.x - here.x) * dy) + Math.abs((there.y - here.y) * dx);
        if (item === from || along < 1 || across > Math.max(8, along * 0.5)) continue;
        if (along + 4 * across < least) { least = along + 4 * across; found = item; }
      }
      return found;
    };
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    give(items[0]);
    items.forEach((item, index) => {
      item.addEventListener("focus", () => give(item));
      item.addEventListener("keydown", (event) => {
        let next = null;
        if (steps[event.key]) {
          next = nearest(item, ...steps[event.key]);
          // At the end of a row on to the next one.
          if (!next && event.key === "ArrowRight") next = items[index + 1];
          if (!next && event.key === "ArrowLeft") next = items[index - 1];
        } else if (event.key === "Home") next = items[0];
        else if (event.key === "End") next = items[items.length - 1];
        else return;
        event.preventDefault();
        if (!next) return;
        next.focus();
        if (onMove) onMove(next);
      });
    });
    return give;
  };

  // Dark or light
  const theme = document.querySelector(".theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : prefersDark.matches;
  };
  const showTheme = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", `${theme.textContent} colors`);
  };
  theme.addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("kerascnn-theme", next); } catch { /* then it is not kept */ }
    showTheme();
  });
  prefersDark.addEventListener("change", showTheme);
  showTheme();

  // Curves: values of the epoch under the pointer, or of that which arrow keys chose
  for (const figure of all(".chart")) {
    const chart = data.charts[figure.dataset.chart];
    const probe = figure.querySelector(".probe"), crosshair = figure.querySelector(".crosshair");
    const readout = figure.querySelector(".readout");
    const values = all(".legend .value", figure);
    const format = (value) => chart.is_share ? percent(value) : value.toFixed(3);
    const count = chart.num_epochs;
    let shown = Number(probe.getAttribute("aria-valuenow"));
    const describe = (epoch) => chart.series
      .filter((series) => epoch <= series.values.length)
      .map((series) => `${series.name} ${format(series.values[epoch - 1])}`).join(", ");
    const marks = chart.series.map((_, index) => {
      const mark = make("i");
      const key = figure.querySelectorAll(".legend .key path")[index];
      if (key.dataset.color) mark.dataset.color = key.dataset.color;
      else mark.className = key.classList.contains("quiet") ? "quiet" : "";
      crosshair.append(mark);
      return mark;
    });
    const show = (epoch) => {
      shown = Math.min(count, Math.max(1, epoch));
      probe.setAttribute("aria-valuenow", String(shown));
      probe.setAttribute("aria-valuetext", `Epoch ${shown}: ${describe(shown)}`);
      readout.textContent = `Epoch ${shown}`;
      chart.series.forEach((series, index) => {
        values[index].textContent = shown <= series.values.length ? format(series.values[shown - 1]) : "";
        const place = (100 * (series.values[shown - 1] - chart.low)) / (chart.high - chart.low);
        marks[index].hidden = !(place <= 100);
        marks[index].style.bottom = `${place}%`;
      });
      crosshair.style.left = `${count > 1 ? (100 * (shown - 1)) / (count - 1) : 0}%`;
      crosshair.hidden = false;
    };
    const hide = () => {
      crosshair.hidden = true;
      readout.textContent = "\u00a0";
      values.forEach((value) => { value.textContent = ""; });
    };
    probe.setAttribute("aria-valuetext", `Epoch ${shown}: ${describe(shown)}`);
    probe.addEventListener("pointermove", (event) => {
      const box = probe.getBoundingClientRect();
      show(1 + Math.round(((event.clientX - box.left) / box.width) * (count - 1)));
    });
    probe.addEventListener("pointerleave", () => { if (document.activeElement !== probe) hide(); });
    probe.addEventListener("focus", () => show(shown));
    probe.addEventListener("blur", hide);
    probe.addEventListener("keydown", (event) => {
      const to = {
        ArrowRight: shown + 1, ArrowUp: shown + 1, ArrowLeft: shown - 1, ArrowDown: shown - 1,
        PageUp: shown + 10, PageDown: shown - 10, Home: 1, End: count,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      show(to);
    });
  }

  // Confusion: a cell opens test images of it
  const tile = (sheet, x, y, label) => {
    const element = make("span", `tile ${sheet}`);
    element.style.setProperty("--x", x);
    element.style.setProperty("--y", y);
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", label);
    return element;
  };
  const openCell = (matrix, button) => {
    const run = data.runs[matrix.dataset.run];
    const [row, column] = button.dataset.cell.split("-").map(Number);
    const label = run.names[row], called = run.names[column], isRight = row === column;
    all(".cell[aria-pressed]", matrix).forEach((cell) => cell.removeAttribute("aria-pressed"));
    button.setAttribute("aria-pressed", "true");
    const images = run.cells[button.dataset.cell] || [];
    const count = Number(button.textContent);
    const list = make("ol", "examples");
    for (const [x, y, share] of images) {
      const item = make("li", `example ${isRight ? "right" : "wrong"}`);
      const caption = make("span", "caption");
      caption.setAttribute("aria-hidden", "true");
      caption.append(make("span", "called", `${isRight ? "✓" : "✗"}\u00a0${share}\u00a0%`));
      item.append(tile(run.sheet, x, y, `${label}, called ${called} (${share} %)`), caption);
      list.append(item);
    }
    const some = images.length < count ? `${images.length} of ${count}, drawn at random` : `all ${count}`;
    const opened = button.closest(".confusion").querySelector(".opened");
    opened.replaceChildren(
      make("p", "title", `${label}, called ${called}`), make("p", "remark", some), list);
  };
  for (const matrix of all(".matrix[role=grid]")) {
    const cells = all("button.cell", matrix);
    rove(cells);
    cells.forEach((cell) => cell.addEventListener("click", () => openCell(matrix, cell)));
    // The most frequent error is open at first.
    const wrong = cells.filter((cell) => cell.classList.contains("miss"));
    const most = wrong.sort((a, b) => Number(b.textContent) - Number(a.textContent))[0] || cells[0];
    if (most) openCell(matrix, most);
  }

  // Examples, some at a time
  for (const pager of all(".pager")) {
    const items = all("li", pager), size = Number(pager.dataset.size);
    const where = pager.querySelector(".where"), steps = all("[data-step]", pager);
    if (!where) continue;
    let first = 0;
    const show = (place) => {
      first = place;
      items.forEach((item, index) => { item.hidden = index < first || index >= first + size; });
      where.textContent = `${first + 1} – ${Math.min(first + size, items.length)} of ${items.length}`;
      steps[0].disabled = first === 0;
      steps[1].disabled = first + size >= items.length;
    };
    steps.forEach((step) => step.addEventListener("click", () => show(first + size * Number(step.dataset.step))));
    show(0);
    if (items.length <= size) pager.querySelector(".turn").hidden = true;
  }

  // Filters and runs: the address says which are chosen
  let sample = 0;
  const enlarge = (panel) => {
    const pairs = all(".pair", panel);
    const chosen = pairs[Math.min(sample, pairs.length - 1)];
    pairs.forEach((pair) => pair.setAttribute("aria-pressed", String(pair === chosen)));
    panel.querySelector(".enlarged").replaceChildren(
      ...(chosen ? all(".tile", chosen).map((each) => each.cloneNode()) : []));
  };
  const givers = new Map();
  const chooseFilter = (panel) => {
    const explorer = panel.closest(".explorer");
    all(".panel", explorer).forEach((each) => each.classList.toggle("chosen", each === panel));
    for (const kernel of all(".kernel", explorer)) {
      const isChosen = kernel.getAttribute("href") === `#${panel.id}`;
      if (isChosen) { kernel.setAttribute("aria-current", "true"); givers.get(explorer)(kernel); }
      else kernel.removeAttribute("aria-current");
    }
    enlarge(panel);
  };
  const chooseRun = (section) => {
    all("section.run").forEach((each) => each.classList.toggle("other", each !== section));
    all(".chooser a").forEach((link) => {
      if (link.dataset.run === section.dataset.run) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  const follow = (behavior) => {
    let name = "";
    try { name = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const target = name && document.getElementById(name);
    if (!target) return;
    const run = target.closest("section.run");
    if (run) chooseRun(run);
    if (target.classList.contains("panel")) chooseFilter(target);
    if (behavior) target.scrollIntoView({ behavior, block: "start" });
  };
  const sentence = (panel) =>
    `Filter ${panel.dataset.number}. ${panel.querySelector(".sentence").textContent}`;
  for (const explorer of all(".explorer")) {
    const kernels = all(".kernel", explorer);
    const choose = (kernel, isNew) => {
      const address = kernel.getAttribute("href");
      if (isNew) history.pushState(null, "", address);
      else history.replaceState(null, "", address);
      const panel = document.getElementById(address.slice(1));
      chooseFilter(panel);
      say(sentence(panel));
    };
    givers.set(explorer, rove(kernels, (kernel) => choose(kernel, false)));
    kernels.forEach((kernel) => kernel.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      choose(kernel, true);
    }));
    all(".pair", explorer).forEach((pair) => pair.addEventListener("click", () => {
      sample = Number(pair.dataset.sample);
      enlarge(pair.closest(".panel"));
    }));
    const first = explorer.querySelector(".panel");
    if (first) chooseFilter(first);
  }
  const sections = all("section.run");
  if (sections.length > 1) chooseRun(sections[0]);
  addEventListener("hashchange", () => follow("auto"));
  addEventListener("popstate", () => {
    if (location.hash) follow();
    else all(".explorer").forEach((each) => {
      const first = each.querySelector(".panel");
      if (first) chooseFilter(first);
    });
  });
  follow("instant");

  // Two runs per class
  for (const table of all(".pair-table")) {
    const selects = all("select", table);
    const show = () => {
      const [a, b] = selects.map((select) => Number(select.value));
      const rows = data.paired.pairs[a < b ? `${a}-${b}` : `${b}-${a}`];
      const [first, second] = [data.paired.runs[a], data.paired.runs[b]];
      table.querySelector("caption").textContent = `${first} and ${second}` +
        (a === b ? ": choose two that differ." : rows ? "" : ": not the same test images.");
      const body = (rows && a !== b ? rows : []).map((row, index) => {
        const line = make("tr", index === rows.length - 1 ? "overall" : "");
        const name = make("th", "", row.name);
        name.scope = "row";
        const shares = a < b ? [row.a, row.b] : [row.b, row.a];
        const sign = a < b ? 1 : -1;
        const difference = row.difference === null ? null : sign * row.difference;
        const p = row.p_value < 0.001 ? "<0.001" : row.p_value.toFixed(3);
        line.append(name, ...[...shares.map((share) => percent(share)), points(difference), p]
          .map((text) => make("td", "", text)), make("td", "text", row.exceeds_chance ? "yes" : "no"));
        return line;
      });
      table.querySelector("tbody").replaceChildren(...body);
    };
    selects.forEach((select) => select.addEventListener("change", show));
  }

  // Claims by verdict
  for (const audit of all(".audit")) {
    const buttons = all(".filters button", audit), claims = all(".claim", audit);
    const status = audit.querySelector("#audit-status");
    const show = (button) => {
      const verdict = button.dataset.verdict;
      buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
      claims.forEach((claim) => { claim.hidden = Boolean(verdict) && claim.dataset.verdict !== verdict; });
      const count = claims.filter((claim) => !claim.hidden).length;
      status.textContent = `${count} of ${claims.length} claims are shown.`;
    };
    buttons.forEach((button) => button.addEventListener("click", () => show(button)));
  }

  // Only what scrolls needs to be reached to be scrolled.
  const reach = () => all(".scroll[tabindex]").forEach((each) => {
    each.tabIndex = each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 1 ? 0 : -1;
  });
  addEventListener("resize", reach);
  all("details.data").forEach((each) => each.addEventListener("toggle", reach));
  reach();

  // On paper, what is folded away is not there.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details.all-filters:not([open])");
    opened.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((each) => { each.open = false; }));
})();
