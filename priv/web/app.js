"use strict";
// AdTally's live page: asks the JSON API beside it and shows what it says. Plain JavaScript (ES2020), no build.
//
//   1 elements   2 figures as text   3 address   4 asking   5 tables   6 charts   7 panels   8 views   9 start
//
// Whatever comes from the service, a campaign's name above all, enters the document as text only: nothing in here
// writes HTML. A round changes what differs and nothing else, so that focus, selection and scroll positions stay.

(() => {
  // 1 Elements -------------------------------------------------------------------------------------------------------

  /** An element with attributes, listeners (`onclick: f`) and children: nodes, text, or null for none. */
  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false)
        node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  }

  function setText(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  function setAttribute(node, name, value) {
    if (value === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }

  function setHidden(node, hidden) {
    if (node.hidden !== hidden) node.hidden = hidden;
  }

  const byId = (id) => document.getElementById(id);

  // 2 Figures as text ------------------------------------------------------------------------------------------------

  const NONE = "–";
  const formats = new Map();

  /** Formatters are costly to make, and a round needs hundreds of them. */
  function decimal(places, options = {}) {
    const key = places + JSON.stringify(options);
    if (!formats.has(key)) {
      const digits = { minimumFractionDigits: places, maximumFractionDigits: places };
      formats.set(key, new Intl.NumberFormat("en", { ...digits, ...options }));
    }
    return formats.get(key);
  }

  /** Integers beyond 2^53 come as text. As a number they are exact enough to sort, draw and divide. */
  const number = (value) => (value === null || value === undefined ? null : Number(value));

  const orNone = (format) => (value) => (value === null || value === undefined ? NONE : format(value));

  const count = orNone((value) => decimal(0).format(typeof value === "string" ? BigInt(value) : value));
  const parts = orNone((value) => decimal(Number.isInteger(value) ? 0 : 1).format(value));
  const rate = orNone((value) => decimal(value > 0 && value < 10 ? 1 : 0).format(value));
  const percent = orNone((value) => `${decimal(2).format(value * 100)} %`);
  const wholePercent = orNone((value) => `${decimal(1).format(value * 100)} %`);
  const times = orNone((value) => decimal(2).format(value));
  const money = orNone((micros) => decimal(2).format(number(micros) / 1e6));
  const price = orNone((micros) => decimal(3).format(number(micros) / 1e6));
  const compact = orNone((value) =>
    decimal(0, { notation: "compact", minimumFractionDigits: 0, maximumFractionDigits: 1 }).format(value),
  );

  const bytes = orNone((value) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let [size, unit] = [number(value), 0];
    while (size >= 1024 && unit < units.length - 1) [size, unit] = [size / 1024, unit + 1];
    return `${decimal(unit === 0 || size >= 100 ? 0 : 1).format(size)} ${units[unit]}`;
  });

  const duration = orNone((value) => {
    const ms = number(value);
    if (Math.abs(ms) < 1000) return `${decimal(0).format(ms)} ms`;
    const seconds = ms / 1000;
    if (seconds < 60) return `${decimal(1).format(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
    return `${decimal(0).format(Math.floor(seconds / 86400))} d ${Math.floor((seconds % 86400) / 3600)} h`;
  });

  /** As a tick of an axis: "32 MiB". */
  const roughBytes = (value) => bytes(value).replace(".0 ", " ");

  const microseconds = orNone((value) =>
    number(value) < 1000 ? `${count(value)} µs` : duration(number(value) / 1000),
  );

  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat("en-GB", {
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
  });
  const time = orNone((ms) => clock.format(ms));
  const date = orNone((ms) => day.format(ms));

  /** "last_touch" is what a program says. */
  function words(name) {
    const text = String(name).replace(/_/g, " ");
    return text.charAt(0).toUpperCase() + text.slice(1);
  }

  const UNITS = { micros: money, bytes, ms: duration, us: microseconds };
  const ofUnit = (unit) => UNITS[unit] || count;

  /** "spend_micros" is shown in units of the currency, and is called as it is then. */
  const metricName = (column) => words(column.unit === "micros" ? column.key.replace(/_micros$/, "") : column.key);

  // 3 Address: #/campaigns?meter=MyApp.Ads&sort=spend ------------------------------------------------------------------

  function address() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    return { view: path || "overview", parameters: new URLSearchParams(query || "") };
  }

  function link(view, parameters = {}) {
    const query = new URLSearchParams(
      Object.entries(parameters).filter(([, value]) => value !== null && value !== ""),
    );
    return `#/${view}${String(query) ? `?${query}` : ""}`;
  }

  /** How a view is sorted or filtered is in its address, so that it can be sent, but is no step of the history. */
  function remember(changes) {
    const { view, parameters } = address();
    const all = { ...Object.fromEntries(parameters), ...changes };
    history.replaceState(null, "", link(view, all));
    shown.parameters = address().parameters;
  }

  /** Those of the address's parameters that a question has. */
  const chosen = (view, names) => names.map((name) => [name, view.parameters.get(name)]).filter(([, value]) => value);

  const api = (path, parameters = []) => `api/${path}?${new URLSearchParams(parameters)}`;

  /** One address for every 32 series, which is as many as one answer has. */
  function seriesAddresses(names, step) {
    const asked = {};
    for (let first = 0; first < names.length; first += 32) {
      const of = names.slice(first, first + 32).map((name) => ["of", name]);
      asked[`series${first}`] = api("series", [...of, ["step", step]]);
    }
    return asked;
  }

  /** Those series from the answers, by name: `{xs, of(name)}`, or null where there was no answer yet. */
  function seriesIn(answers) {
    const all = Object.keys(answers)
      .filter((key) => key.startsWith("series"))
      .map((key) => answers[key]);
    const good = all.filter((answer) => answer.series);
    if (good.length === 0) return null;
    const points = new Map(good.flatMap((answer) => answer.series.map((one) => [one.of, one.points])));
    const [{ begin, step }] = good;
    const length = Math.max(...good.flatMap((answer) => answer.series.map((one) => one.points.length)));
    const xs = Array.from({ length }, (_, index) => begin + index * step);
    return { xs, step, of: (name) => (points.get(name) || xs.map(() => null)).map(number) };
  }

  // 4 Asking ---------------------------------------------------------------------------------------------------------

  const PATIENCE = 10000;
  // What the head of the page needs is asked this often where the view does not need it anyhow.
  const HEAD_EVERY = 10000;

  const asking = {
    every: 1,
    timer: null,
    request: null,
    answered: null,
    overview: null,
    lost: false,
    headAt: -Infinity,
  };

  /** An answer of the API, `{error, message}` among them; throws where the service gives none. */
  async function ask(url, signal) {
    const response = await fetch(url, {
      signal,
      headers: { accept: "application/json" },
      credentials: "same-origin",
    });
    if (response.status >= 500 && response.status !== 503)
      throw new Error(`the service answered with status ${response.status}`);
    if (response.status === 401 || response.status === 403) {
      throw new Error("the service wants its token: open this page once with ?token=... in its address");
    }
    // Of a proxy, of a login, or of a server that has too many connections.
    if (!(response.headers.get("content-type") || "").startsWith("application/json"))
      throw new Error(`what answered was not the page's service: status ${response.status}`);
    return response.json();
  }

  async function askAll(urls, signal) {
    const all = await Promise.all(Object.entries(urls).map(async ([name, url]) => [name, await ask(url, signal)]));
    return Object.fromEntries(all);
  }

  /** One round: everything that the view shows, asked at once. The next one begins after it, never beside it. */
  async function round() {
    clearTimeout(asking.timer);
    if (asking.request) asking.request.abort();
    const request = new AbortController();
    asking.request = request;
    const begun = performance.now();
    const patience = setTimeout(() => request.abort(), PATIENCE);
    const rest = () => asking.every * 1000 - (performance.now() - begun);
    let got;

    try {
      got = await askAll({ ...shown.asks(), ...headAsks(begun) }, request.signal);
    } catch (error) {
      if (asking.request !== request) return;
      lost(error);
      schedule(rest());
      return;
    } finally {
      clearTimeout(patience);
    }

    if (asking.request !== request) return;
    found();
    try {
      showHead(got);
      shown.show(got);
    } finally {
      // What is asked for may depend on what came: the series of a meter on its name.
      const more = Object.keys(shown.asks()).some((name) => !(name in got));
      schedule(more ? 0 : rest());
    }
  }

  function schedule(delay) {
    clearTimeout(asking.timer);
    asking.request = null;
    if (document.hidden || (asking.every === 0 && delay !== 0)) return;
    asking.timer = setTimeout(round, Math.max(delay, 0));
  }

  /** What nothing runs of is not asked for: the answer would be an error each second. */
  const runs = (kind) => asking.overview !== null && asking.overview[kind].length > 0;

  function headAsks(now) {
    if (now - asking.headAt < HEAD_EVERY) return {};
    return { overview: api("overview"), health: api("health") };
  }

  function found() {
    asking.answered = Date.now();
    if (asking.lost) asking.headAt = -Infinity;
    asking.lost = false;
    setHidden(byId("alarm"), true);
    showStatus();
  }

  function lost(error) {
    asking.lost = true;
    asking.headAt = -Infinity;
    const alarm = byId("alarm");
    // What the browser says of a connection that is refused says nothing to a reader.
    const reason = error instanceof TypeError || error.name === "AbortError" ? "" : ` (${error.message})`;
    const since =
      asking.answered === null
        ? "No answer from the service"
        : `No answer from the service since ${time(asking.answered)}`;
    const then = asking.every === 0 ? "Refresh is off." : "The page goes on asking.";
    const old = asking.answered === null ? "" : " The figures below are of that time.";
    setText(alarm, `${since}${reason}.${old} ${then}`);
    setHidden(alarm, false);
    showStatus();
  }

  function showStatus() {
    const status = byId("status");
    const state = asking.lost ? "lost" : asking.answered === null ? "begin" : asking.every === 0 ? "off" : "live";
    const text = { lost: "No answer", begin: "Asking", off: "Paused", live: "Live" }[state];
    setAttribute(status, "data-state", state);
    setText(status, text);
    if (asking.answered !== null) status.title = `Last answer at ${time(asking.answered)}`;
  }

  function showHead({ overview, health }) {
    if (overview && overview.node) {
      setText(byId("node"), overview.node);
      const { version, schedulers } = overview;
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      const service = `AdTally ${version} on ${count(schedulers)} schedulers.`;
      setText(byId("zone"), `${service} Times are those of ${zone}, amounts in the service's currency.`);
      asking.overview = overview;
      setTitle(overview.node);
    }
    if (health && health.problems) {
      asking.headAt = performance.now();
      const badge = byId("problems");
      setText(badge, String(health.problems.length));
      setAttribute(badge, "aria-label", `${health.problems.length} problems`);
      setHidden(badge, health.problems.length === 0);
    }
  }

  function setTitle(node = byId("node").textContent) {
    const title = [shown && shown.title, "AdTally", node].filter(Boolean).join(" · ");
    if (document.title !== title) document.title = title;
  }

  function setEvery(seconds) {
    asking.every = seconds;
    // A browser may forbid it, and then the choice is for this page only.
    try {
      localStorage.setItem("ad_tally.every", String(seconds));
    } catch {
      /* as said */
    }
    showStatus();
    if (seconds === 0) clearTimeout(asking.timer);
    else round();
  }

  function chosenEvery() {
    try {
      const kept = localStorage.getItem("ad_tally.every");
      return ["0", "1", "5", "30"].includes(kept) ? Number(kept) : 1;
    } catch {
      return 1;
    }
  }

  function onVisibility() {
    if (document.hidden) {
      clearTimeout(asking.timer);
      if (asking.request) asking.request.abort();
      asking.request = null;
    } else if (asking.every !== 0) {
      round();
    }
  }

  // 5 Tables ---------------------------------------------------------------------------------------------------------

  /*
   * A column is {id, label, group, unit, text(row)} and, where it applies, value(row) to sort by, `number: true` for
   * what is aligned at its right, draw(cell, row, rows) in place of text, tone(row) for good, warn or bad.
   * Rows keep their elements from round to round, found by keyOf(row).
   */
  function table({ caption, columns, keyOf, sort = null, onSort = null }) {
    const node = el("table", {}, el("caption", {}, caption));
    const scroll = el("div", { class: "scroll", onscroll: () => setMore(scroll) }, node);
    const [thead, tbody, tfoot] = [el("thead"), el("tbody"), el("tfoot")];
    node.append(thead, tbody, tfoot);
    let drawn = null;
    let current = sort;
    let heldUntil = 0;
    let shownRows = [];
    let shownTotals = [];
    const lines = new Map();

    // Rows that move away from under the pointer get the wrong one clicked.
    tbody.addEventListener("pointermove", () => {
      heldUntil = performance.now() + 1500;
    });
    const held = () => performance.now() < heldUntil || tbody.contains(document.activeElement);

    function sortBy(column) {
      const down = current && current.id === column.id ? !current.down : Boolean(column.number);
      current = { id: column.id, down };
      drawHead();
      place(shownRows, true);
      if (onSort) onSort(current);
    }

    function headCell(column, index) {
      const unit = column.unit ? el("span", { class: "unit" }, `\u00a0${column.unit}`) : null;
      const content = el("span", {}, column.label, unit);
      const isSorted = current && current.id === column.id;
      const kind = [column.number ? "number" : "text", begins(index) ? "begins" : ""].join(" ").trim();
      const attributes = { scope: "col", class: kind };
      if (isSorted) attributes["aria-sort"] = current.down ? "descending" : "ascending";
      if (!column.value) return el("th", attributes, content);
      return el(
        "th",
        attributes,
        el("button", { type: "button", "data-sort": column.id, onclick: () => sortBy(column) }, content),
      );
    }

    const begins = (index) => index > 0 && drawn[index].group !== drawn[index - 1].group;

    function groupRow() {
      if (!drawn.some((column) => column.group)) return null;
      const cells = [];
      for (const [index, column] of drawn.entries()) {
        const last = cells[cells.length - 1];
        const name = begins(index) ? "group begins" : "group";
        if (last && !begins(index)) last.colSpan += 1;
        else if (column.group) cells.push(el("th", { scope: "colgroup", class: name }, column.group));
        else cells.push(el("td", { class: name }));
      }
      return el("tr", {}, cells);
    }

    /** The focus is on a button of the head while it is drawn anew. */
    function drawHead() {
      const focused = thead.contains(document.activeElement) ? document.activeElement.dataset.sort : null;
      thead.replaceChildren(...[groupRow(), el("tr", {}, drawn.map(headCell))].filter(Boolean));
      if (focused) [...thead.querySelectorAll("button")].find((button) => button.dataset.sort === focused)?.focus();
    }

    function setColumns(next) {
      const same =
        drawn &&
        next.length === drawn.length &&
        next.every(
          (column, index) =>
            column.id === drawn[index].id &&
            column.label === drawn[index].label &&
            column.group === drawn[index].group,
        );
      drawn = next;
      if (same) return;
      lines.clear();
      tbody.replaceChildren();
      drawHead();
    }

    function line() {
      const cells = drawn.map((column, index) => (index === 0 ? el("th", { scope: "row" }) : el("td")));
      return { tr: el("tr", {}, cells), cells };
    }

    function fill({ cells }, row, rows) {
      for (const [index, column] of drawn.entries()) {
        const cell = cells[index];
        const tone = column.tone ? column.tone(row) : "";
        const name = [
          column.number ? "number" : "",
          column.wide ? "text" : "",
          begins(index) ? "begins" : "",
          tone || "",
        ]
          .filter(Boolean)
          .join(" ");
        if (cell.className !== name) cell.className = name;
        if (column.draw) column.draw(cell, row, rows);
        else setText(cell, column.text(row));
        // A long name is cut where it would take too much of a narrow screen.
        if (index === 0) setAttribute(cell, "title", cell.textContent);
      }
    }

    function sorted(rows) {
      const column = current && drawn.find((one) => one.id === current.id);
      if (!column || !column.value) return rows;
      const direction = current.down ? -1 : 1;
      return [...rows].sort((a, b) => compare(column.value(a), column.value(b), direction));
    }

    function lineOf(row, rows) {
      const key = keyOf(row);
      if (!lines.has(key)) lines.set(key, line());
      fill(lines.get(key), row, rows);
      return lines.get(key).tr;
    }

    function forgetAllBut(keys) {
      for (const [key, { tr }] of lines) {
        if (keys.has(key)) continue;
        tr.remove();
        lines.delete(key);
      }
    }

    function place(rows, anyhow) {
      const focused = tbody.contains(document.activeElement) ? document.activeElement : null;
      const stay = held() && !anyhow;
      forgetAllBut(new Set(rows.map(keyOf)));
      let at = tbody.firstChild;
      for (const tr of sorted(rows).map((row) => lineOf(row, rows))) {
        if (tr === at) at = at.nextSibling;
        else if (!stay) tbody.insertBefore(tr, at);
        else if (!tr.isConnected) tbody.append(tr);
      }
      // An element that is moved loses the focus.
      if (focused && document.activeElement !== focused) focused.focus();
    }

    function showTotals(totals, rows) {
      while (tfoot.children.length > totals.length) tfoot.lastChild.remove();
      const same =
        shownTotals.length === totals.length && tfoot.firstChild && tfoot.firstChild.children.length === drawn.length;
      if (!same) {
        shownTotals = totals.map(line);
        tfoot.replaceChildren(...shownTotals.map(({ tr }) => tr));
      }
      totals.forEach((row, index) => fill(shownTotals[index], row, rows));
    }

    /** `order` is that in which the service gave the rows, where nobody has chosen one. */
    function show(rows, { totals = [], columns: next = columns, order = current } = {}) {
      const reordered = JSON.stringify(order) !== JSON.stringify(current);
      current = order;
      setColumns(next);
      if (reordered) drawHead();
      shownRows = rows;
      place(rows, false);
      showTotals(totals, rows);
      setScrollable(scroll, caption);
    }

    return { node: scroll, show };
  }

  /** What scrolls has to be reached by keyboard, and to look as if it did; what does not is no stop on the way. */
  function setScrollable(node, label) {
    const scrolls = node.scrollWidth > node.clientWidth + 1;
    setAttribute(node, "tabindex", scrolls ? "0" : null);
    setAttribute(node, "role", scrolls ? "region" : null);
    setAttribute(node, "aria-label", scrolls ? label : null);
    setMore(node);
  }

  function setMore(node) {
    const more = node.scrollWidth - node.clientWidth - node.scrollLeft > 1;
    setAttribute(node, "data-more", more ? "" : null);
  }

  /** What is not known is last, whichever way the others go. */
  function compare(a, b, direction) {
    if (a === b) return 0;
    if (a === null || a === undefined) return 1;
    if (b === null || b === undefined) return -1;
    if (typeof a === "number") return (a - b) * direction;
    return a.localeCompare(b, "en", { numeric: true }) * direction;
  }

  /** A column of figures: `value` is what is shown as `format` says and what is sorted by. */
  const figure = (id, label, value, format = count, more = {}) => ({
    id,
    label,
    number: true,
    value: (row) => number(value(row)),
    text: (row) => format(value(row)),
    ...more,
  });

  const label = (id, name, value, more = {}) => ({
    id,
    label: name,
    value,
    text: (row) => value(row) || NONE,
    ...more,
  });

  const badIf = (value) => (row) => (number(value(row)) > 0 ? "bad" : "");
  const warnIf = (value) => (row) => (number(value(row)) > 0 ? "warn" : "");

  function setWidth(node, share) {
    const width = `${Math.min(Math.max(share, 0), 1) * 100}%`;
    if (node.style.width !== width) node.style.width = width;
  }

  function drawShare(cell, share) {
    const bar = cell.firstChild || cell.appendChild(el("span", { class: "share" }, el("span", { class: "fill" })));
    setWidth(bar.firstChild, share);
    setAttribute(bar, "title", wholePercent(share));
  }

  /** Reach is an estimate: the figure, a bar up to it, and a whisker from the lower to the upper bound. */
  function drawReach(cell, reach, most) {
    if (!reach) {
      cell.replaceChildren(NONE);
      return;
    }
    let box = cell.querySelector(".reach");
    if (!box) {
      const bar = el("span", { class: "bar" }, el("span", { class: "fill" }), el("span", { class: "bounds" }));
      box = el("span", { class: "reach" }, el("span"), bar);
      cell.replaceChildren(box);
    }
    const [text, bar] = box.children;
    const [fill, bounds] = bar.children;
    const between = `between ${count(reach.lower)} and ${count(reach.upper)} users`;
    setText(text, count(reach.estimate));
    setAttribute(bar, "role", "img");
    setAttribute(bar, "aria-label", between);
    setAttribute(bar, "title", between);
    const scale = Math.max(number(most), 1);
    setWidth(fill, number(reach.estimate) / scale);
    const left = `${(number(reach.lower) / scale) * 100}%`;
    if (bounds.style.left !== left) bounds.style.left = left;
    setWidth(bounds, (number(reach.upper) - number(reach.lower)) / scale);
  }

  /** Once for the rows of a table: each of its cells asks. */
  const largest = new WeakMap();
  function mostOf(rows, value) {
    if (!largest.has(rows))
      largest.set(
        rows,
        rows.reduce((max, row) => Math.max(max, value(row)), 1),
      );
    return largest.get(rows);
  }
  const upperBound = (row) => (row.reach ? number(row.reach.upper) : 0);

  // 6 Charts ---------------------------------------------------------------------------------------------------------

  const charts = new Set();
  const colours = new Map();

  /** Of the style sheet, so that light and dark are decided there. Read once a theme: a chart asks often. */
  function colour(name) {
    if (!colours.has(name))
      colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
    return colours.get(name);
  }

  /** Lines differ in their dashes too, for those who do not see a difference in colour. */
  const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [12, 4], [1, 4], [6, 2, 1, 2]];

  /** Steps of an axis that are round in their unit; those of uPlot are round in tens. */
  const STEPS = {
    bytes: Array.from({ length: 45 }, (_, power) => 2 ** power),
    ms: [
      ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
      ...[1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400].map((s) => s * 1000),
    ],
  };

  const roughDuration = (ms) => {
    const units = [
      [86400000, "d"],
      [3600000, "h"],
      [60000, "min"],
      [1000, "s"],
    ];
    const [size, unit] = units.find(([one]) => ms >= one) || [1, "ms"];
    return `${compact(ms / size)} ${unit}`;
  };

  /** What an axis measures: how its figures are written, in full and in short, and where it ends if that is fixed. */
  const SCALES = {
    rate: { format: (value) => `${rate(value)}/s`, short: compact },
    count: { format: count, short: compact },
    micros: { format: money, short: (micros) => compact(micros / 1e6) },
    bytes: { format: bytes, short: roughBytes, steps: STEPS.bytes },
    ms: { format: duration, short: roughDuration, steps: STEPS.ms },
    share: { format: wholePercent, short: (value) => `${Math.round(value * 100)} %`, most: 1 },
  };

  /*
   * Lines over time: {title, lines: [{id, label, style, band}], unit, height}. `style` is the number of a colour and
   * of its dashes, `band` the name of the line down to which the space is filled. The legend says the values of the
   * last point, or of that under the pointer.
   */
  function chart({ title, lines, unit, height = 190 }) {
    const { format, short, steps, most } = SCALES[unit];
    const dashed = lines.length > 1;
    const plot = el("div", { class: "plot", role: "img", "aria-label": title });
    const none = el("p", { class: "none" }, "Nothing recorded yet in this time.");
    const when = el("span", { class: "when" });
    const values = lines.map(() => el("b", {}, NONE));
    const switches = lines.map((line, index) => legendButton(line, dashed, values[index], () => toggle(index)));
    const node = el("figure", { class: "chart" }, el("div", { class: "legend" }, switches, when), plot, none);
    let drawing = null;
    let data = null;
    let wide = false;

    function toggle(index) {
      const visible = switches[index].getAttribute("aria-pressed") !== "true";
      setAttribute(switches[index], "aria-pressed", String(visible));
      if (drawing) drawing.setSeries(index + 1, { show: visible });
    }

    const axis = (more) => ({
      stroke: () => colour("muted"),
      grid: { stroke: () => colour("faint"), width: 1 },
      ticks: { stroke: () => colour("line"), width: 1, size: 4 },
      font: '12px system-ui, "Liberation Sans", sans-serif',
      ...more,
    });

    function series(line, index) {
      return {
        label: line.label,
        show: switches[index].getAttribute("aria-pressed") === "true",
        stroke: () => colour(`series-${line.style}`),
        width: line.thin ? 1 : 1.75,
        dash: dashed ? DASHES[line.style - 1] : [],
        // One point alone makes no line.
        points: { size: 5, show: (self, one) => self.data[one].filter((point) => point !== null).length < 3 },
      };
    }

    function options() {
      const bands = lines.flatMap((line, index) => {
        const down = lines.findIndex((other) => other.id === line.band);
        return down < 0 ? [] : [{ series: [index + 1, down + 1], fill: () => `${colour(`series-${line.style}`)}30` }];
      });
      return {
        width: Math.max(plot.clientWidth, 120),
        height,
        padding: [8, 26, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        scales: { y: { range: (_, min, max) => ends(min, max, most) } },
        series: [{}, ...lines.map(series)],
        bands,
        axes: [
          axis({
            size: 26,
            space: 76,
            values: (_, ticks) => ticks.map((at) => (wide ? minutes : clock).format(at * 1000)),
          }),
          axis({
            size: 56,
            space: height > 120 ? 36 : 24,
            values: (_, ticks) => ticks.map((tick) => (tick === 0 ? "0" : short(tick))),
            ...(steps ? { incrs: steps } : {}),
          }),
        ],
        hooks: { setCursor: [legend] },
      };
    }

    function legend() {
      if (!data) return;
      const pointed = drawing && drawing.cursor.idx;
      const told = lines.map((line, index) => {
        const points = data[index + 1];
        const value = pointed === null || pointed === undefined ? lastKnown(points) : points[pointed];
        return format(value === undefined ? null : value);
      });
      told.forEach((text, index) => setText(values[index], text));
      setText(when, pointed === null || pointed === undefined ? "" : `at ${time(data[0][pointed] * 1000)}`);
      const said = lines.map((line, index) => `${line.label} ${told[index]}`).join(", ");
      setAttribute(plot, "aria-label", `${title}: ${said}`);
    }

    function show(xs, ys) {
      data = [xs, ...ys];
      wide = xs.length > 1 && xs[xs.length - 1] - xs[0] > 1800;
      const nothing = ys.every((points) => points.every((point) => point === null));
      setHidden(none, !nothing);
      setHidden(plot, nothing);
      if (!nothing) {
        if (!drawing) drawing = new uPlot(options(), data, plot);
        else drawing.setData(data);
      }
      legend();
    }

    const resize = new ResizeObserver(() => {
      if (drawing && plot.clientWidth > 0 && plot.clientWidth !== drawing.width)
        drawing.setSize({ width: plot.clientWidth, height });
    });
    resize.observe(plot);

    const self = {
      node,
      show,
      repaint: () => drawing && drawing.redraw(false, true),
      destroy: () => {
        resize.disconnect();
        if (drawing) drawing.destroy();
        charts.delete(self);
      },
    };
    charts.add(self);
    return self;
  }

  /** Where an axis begins and ends: at 0, and a little beyond what is on it. Corrections are below 0. */
  function ends(min, max, most) {
    const low = Math.min(min * 1.08, 0);
    const high = most || Math.max(max * 1.08, 0);
    return low === high ? [0, 1] : [low, high];
  }

  function lastKnown(points) {
    for (let index = points.length - 1; index >= 0; index -= 1) if (points[index] !== null) return points[index];
    return null;
  }

  function legendButton(line, dashed, value, onclick) {
    const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const stroke = document.createElementNS("http://www.w3.org/2000/svg", "path");
    swatch.setAttribute("viewBox", "0 0 18 8");
    swatch.setAttribute("aria-hidden", "true");
    stroke.setAttribute("d", "M0 4h18");
    stroke.setAttribute("stroke-width", "2.5");
    if (dashed) stroke.setAttribute("stroke-dasharray", DASHES[line.style - 1].join(" "));
    stroke.style.stroke = `var(--series-${line.style})`;
    swatch.append(stroke);
    return el(
      "button",
      { type: "button", "aria-pressed": "true", onclick, title: `Show or hide “${line.label}”` },
      swatch,
      `${line.label} `,
      value,
    );
  }

  function repaint() {
    colours.clear();
    for (const one of charts) one.repaint();
  }

  // 7 Panels ---------------------------------------------------------------------------------------------------------

  function panel(title, ...content) {
    const note = el("span", { class: "note" });
    const node = el("section", { class: "panel" }, el("div", { class: "head" }, el("h2", {}, title), note), content);
    return { node, note };
  }

  const body = (...content) => el("div", { class: "body" }, content);

  /** Figures with their names, which keep their elements. */
  function tiles() {
    const node = el("dl", { class: "tiles" });
    const shownTiles = new Map();
    function show(figures) {
      for (const [name, text, unit = ""] of figures) {
        if (!shownTiles.has(name)) {
          const [value, small] = [el("span"), el("small")];
          node.append(el("div", {}, el("dt", {}, name), el("dd", {}, value, " ", small)));
          shownTiles.set(name, { value, small });
        }
        const { value, small } = shownTiles.get(name);
        setText(value, text);
        setText(small, unit);
      }
    }
    return { node, show };
  }

  function empty(title, text, code = null) {
    return el(
      "div",
      { class: "empty" },
      el("p", {}, el("strong", {}, title)),
      el("p", {}, text),
      code && el("pre", {}, el("code", {}, code)),
    );
  }

  /** A choice of a few, of which one is pressed. */
  function segments(name, choices, chosen, onChoose) {
    const node = el("div", { class: "segments", role: "group", "aria-label": name });
    const buttons = choices.map(([value, text]) =>
      el("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => choose(value) }, text),
    );
    function choose(value) {
      choices.forEach(([one], index) => setAttribute(buttons[index], "aria-pressed", String(one === value)));
      onChoose(value);
    }
    node.append(...buttons);
    return node;
  }

  /** A list to choose from, whose choices the service names. */
  function chooser(name, onChoose) {
    const select = el("select", { onchange: () => onChoose(select.value) });
    const node = el("label", { hidden: true }, name, select);
    let current = "";
    function show(choices, chosen, text = (choice) => choice) {
      setHidden(node, choices.length < 2);
      const next = JSON.stringify(choices);
      if (next !== current)
        select.replaceChildren(...choices.map((choice) => el("option", { value: choice }, text(choice))));
      current = next;
      if (select.value !== chosen) select.value = chosen;
    }
    return { node, show };
  }

  /** Panels that come and go with what runs: one for each of `things`, in their order. */
  function panelsBy(keyOf, make) {
    const node = el("div", { class: "stack" });
    const made = new Map();
    function show(things, context) {
      const keys = things.map(keyOf);
      for (const [key, one] of made) {
        if (!keys.includes(key)) {
          one.node.remove();
          one.destroy?.();
          made.delete(key);
        }
      }
      things.forEach((thing, index) => {
        const key = keys[index];
        if (!made.has(key)) made.set(key, make(thing));
        const one = made.get(key);
        if (node.children[index] !== one.node) node.insertBefore(one.node, node.children[index] || null);
        one.show(thing, context);
      });
    }
    return { node, show };
  }

  /** A panel with a table that is only there while it has rows. */
  function tablePanel(title, options) {
    const rows = table({ caption: title, ...options });
    const { node, note } = panel(title, rows.node);
    return {
      node,
      note,
      show(all, more) {
        setHidden(node, all.length === 0);
        rows.show(all, more);
      },
    };
  }

  /** The head of a view; the focus goes to its title when one comes to the view. */
  function top(title, ...controls) {
    const heading = el("h1", { tabindex: "-1" }, title);
    return { node: el("div", { class: "top" }, heading, el("div", { class: "controls" }, controls)), heading };
  }

  const RANGES = [
    ["1", "2 min"],
    ["60", "24 h"],
  ];

  function range(view) {
    return segments("Time that the curves show", RANGES, view.parameters.get("step") || "1", (step) => {
      remember({ step: step === "1" ? "" : step });
      round();
    });
  }

  /** What the service says instead of an answer: no such meter, no such campaign. */
  function refusals() {
    const node = el("section", { class: "panel", hidden: true });
    function show(answer) {
      const refused = Boolean(answer && answer.error && answer.message);
      setHidden(node, !refused);
      if (refused && node.dataset.text !== answer.message) {
        node.dataset.text = answer.message;
        node.replaceChildren(
          empty("Nothing to show here", `${answer.message.charAt(0).toUpperCase()}${answer.message.slice(1)}.`),
        );
      }
      return refused;
    }
    return { node, show };
  }

  // 8 Views ----------------------------------------------------------------------------------------------------------
  //
  // A view is `make(view)`, called when one comes to it: it gives `node`, `asks()`, the addresses to ask each round by
  // name, and `show(answers)`. `view.parameters` are those of the address.

  // Outcomes keep their colours. What was counted is first.
  const OUTCOMES = [
    ["applied", "Counted", 1],
    ["duplicate", "Duplicates", 2],
    ["late", "Late", 3],
    ["future", "Too far ahead", 4],
    ["refused", "Refused", 5],
    ["no_window", "No window", 6],
    ["overflow", "Overflow", 7],
    ["busy", "Store busy", 8],
  ];

  const NO_METER = `children = [
  {AdTally.Meter,
   name: MyApp.Ads,
   dimensions: [:campaign],
   metrics: [:impressions, :clicks, :spend_micros],
   reach: [by: [:campaign]]}
]`;

  const NO_ATTRIBUTION = `children = [
  {AdTally.Attribution,
   name: MyApp.Attribution,
   dimensions: [:campaign],
   touches: [click: :timer.hours(24 * 7)],
   models: [:last_touch, :position_based],
   conversions: [purchase: :every]}
]`;

  const lacking = (title, code) => {
    const text = "Add one to a supervisor. It is on this page as soon as it has started.";
    return el("section", { class: "panel", hidden: true }, empty(title, text, code));
  };
  const noMeter = () => lacking("No meter runs on this node", NO_METER);
  const noAttribution = () => lacking("No attribution runs on this node", NO_ATTRIBUTION);

  function makeOverview(view) {
    const head = top("Overview", range(view));
    const nothing = noMeter();
    const missing = el("p", { class: "lead", hidden: true });
    const meters = panelsBy((meter) => meter.name, meterPanel);
    const attributions = tablePanel("Attributions", { columns: ATTRIBUTION_COLUMNS, keyOf: (one) => one.name });
    const memory = memoryPanel();
    const sinks = tablePanel("Sinks", { columns: SINK_COLUMNS, keyOf: (one) => `${one.of} ${one.name}` });
    const stores = tablePanel("Stores", { columns: STORE_COLUMNS, keyOf: (one) => one.name });
    const pacers = tablePanel("Pacers", { columns: PACER_COLUMNS, keyOf: (one) => one.name });
    const others = tablePanel("Tables", { columns: PART_COLUMNS, keyOf: (one) => `${one.kind} ${one.name}` });
    const left = el("div", { class: "stack" }, meters.node, attributions.node, sinks.node, stores.node, pacers.node);
    const right = el("div", { class: "stack" }, memory.node, others.node);
    const grid = el("div", { class: "grid wide-left" }, left, right);
    const node = el("div", {}, head.node, missing, nothing, grid);
    let names = [];

    return {
      node,
      heading: head.heading,
      asks: () => ({ overview: api("overview"), ...seriesAddresses(names, view.parameters.get("step") || "1") }),
      show(answers) {
        const seen = answers.overview;
        const series = seriesIn(answers);
        names = [...seen.meters.flatMap(meterSeries), "total:memory_bytes"];
        setHidden(nothing, seen.meters.length > 0);
        setHidden(missing, seen.missing.length === 0);
        setText(missing, `${seen.missing.join(", ")} should run and does not: its figures are those of before.`);
        meters.show(seen.meters, series);
        attributions.show(seen.attributions);
        memory.show(seen, series);
        sinks.show(
          [...seen.meters, ...seen.attributions].flatMap((part) =>
            part.sinks.map((sink) => ({ ...sink, of: part.name })),
          ),
        );
        stores.show(seen.stores);
        pacers.show(seen.pacers);
        others.show(seen.parts);
      },
    };
  }

  const outcomesOf = (meter) => OUTCOMES.filter(([id]) => id === "applied" || number(meter.totals[id]) > 0);
  const meterSeries = (meter) => [
    ...outcomesOf(meter).map(([id]) => `meter:${meter.name}:${id}`),
    `meter:${meter.name}:lag_ms`,
  ];

  function meterPanel(meter) {
    const { name } = meter;
    const { node, note } = panel(name);
    const figures = tiles();
    const places = { events: el("div"), lag: el("div") };
    const outcomes = table({ caption: `Events of ${name} by outcome`, columns: [], keyOf: ([id]) => id });
    const lag = chart({
      title: `Watermark lag of ${name}`,
      lines: [{ id: "lag", label: "Watermark lag", style: 3 }],
      unit: "ms",
      height: 96,
    });
    let events = null;
    let drawn = "";
    places.lag.append(lag.node);
    node.append(body(figures.node, places.events, places.lag), outcomes.node);

    // A curve for each outcome that ever occurred: six that are always 0 would hide the one that is not.
    function eventsChart(lines) {
      const next = lines.map(([id]) => id).join();
      if (drawn === next) return;
      drawn = next;
      if (events) events.destroy();
      events = chart({
        title: `Events a second of ${name}`,
        lines: lines.map(([id, text, style]) => ({ id, label: text, style })),
        unit: "rate",
      });
      places.events.replaceChildren(events.node);
    }

    function show(now, series) {
      const lines = outcomesOf(now);
      const received = now.rate.received;
      const aside = received === null ? null : received - now.rate.applied;
      setText(note, now.store ? `kept in ${now.store}` : "in memory only");
      figures.show([
        ["Counted", rate(now.rate.applied), "/s"],
        ["Not counted", rate(aside), "/s"],
        ["Watermark lag", duration(now.lag_ms)],
        ["Newest event", now.newest ? time(now.newest) : NONE],
        ["Open windows", count(now.open_windows), `${count(now.closed_windows)} closed`],
        ["Memory", bytes(now.memory_bytes)],
      ]);
      eventsChart(lines);
      if (series) {
        events.show(
          series.xs,
          lines.map(([id]) => series.of(`meter:${name}:${id}`)),
        );
        lag.show(series.xs, [series.of(`meter:${name}:lag_ms`)]);
      }
      outcomes.show(
        OUTCOMES.filter(([id]) => id in now.totals),
        { columns: outcomeColumns(now) },
      );
    }

    return {
      node,
      show,
      destroy: () => {
        lag.destroy();
        if (events) events.destroy();
      },
    };
  }

  /** Events by outcome, and the amounts that came with them: those of events that were not counted are nowhere else. */
  function outcomeColumns(meter) {
    const received = number(meter.totals.received);
    const amount = (id, metric) => (id === "applied" ? metric.total : (meter.excluded[id] || {})[metric.key]);
    const metrics = meter.metrics.map((metric) => ({
      id: `metric:${metric.key}`,
      label: metricName(metric),
      number: true,
      // A meter knows what an open window has only when it is asked for a report, which is what Campaigns are.
      group: "Amounts; counted ones once their window is closed",
      text: ([id]) => ofUnit(metric.unit)(amount(id, metric)),
    }));
    return [
      { id: "outcome", label: "Outcome", text: ([, text]) => text },
      { id: "rate", label: "Now", unit: "/s", number: true, text: ([id]) => rate(meter.rate[id]) },
      { id: "total", label: "Events", number: true, text: ([id]) => count(meter.totals[id]) },
      {
        id: "share",
        label: "Share",
        number: true,
        text: ([id]) => (received > 0 ? percent(number(meter.totals[id]) / received) : NONE),
      },
      ...metrics,
    ];
  }

  const SINK_COLUMNS = [
    label("name", "Sink", (sink) => sink.name, { wide: true }),
    label("of", "Of", (sink) => sink.of, { wide: true }),
    figure("delivered", "Delivered", (sink) => sink.delivered),
    figure("waiting", "Waiting", (sink) => sink.waiting),
    figure("failed", "Failed", (sink) => sink.failed, count, { tone: warnIf((sink) => sink.failed) }),
    figure("dropped", "Dropped", (sink) => sink.dropped, count, { tone: badIf((sink) => sink.dropped) }),
  ];

  const STORE_COLUMNS = [
    label("name", "Store", (store) => store.name, { wide: true }),
    figure("lag", "Behind by", (store) => store.lag_ms, duration),
    figure("lag_bytes", "Waiting", (store) => store.lag_bytes, bytes),
    figure("size", "On disk", (store) => store.bytes, bytes),
    figure("sync", "Last write", (store) => store.last_sync_us, microseconds),
    figure("busy", "Busy", (store) => store.busy, count, { tone: warnIf((store) => store.busy) }),
    figure("errors", "Errors", (store) => store.errors, count, { tone: badIf((store) => store.errors) }),
  ];

  const ATTRIBUTION_COLUMNS = [
    label("name", "Attribution", (one) => one.name, { wide: true }),
    figure("touches", "Touches", (one) => one.rate.touches, rate, { unit: "/s" }),
    figure("conversions", "Conversions", (one) => one.rate.conversions, rate, { unit: "/s" }),
    figure("attributed", "Attributed, final", (one) => one.attributed),
    figure("unattributed", "Unattributed, final", (one) => one.unattributed),
  ];

  const PACER_COLUMNS = [
    label("name", "Pacer", (one) => one.name, { wide: true }),
    figure("campaigns", "Campaigns", (one) => one.campaigns),
    figure("reserved", "Reserved", (one) => one.rate.reserved, rate, { unit: "/s" }),
    figure("paced", "Paced", (one) => one.rate.paced, rate, { unit: "/s" }),
    figure("no_budget", "No budget", (one) => one.rate.no_budget, rate, { unit: "/s" }),
  ];

  const figuresOf = (part) =>
    Object.entries(part.figures || {})
      .filter(([, value]) => number(value) !== 0)
      .map(
        ([name, value]) => `${name.replace(/_/g, " ")} ${(Number.isInteger(number(value)) ? count : times)(value)}`,
      );

  const PART_COLUMNS = [
    label("name", "Table", (part) => part.name, { wide: true }),
    label("kind", "Kind", (part) => words(part.kind)),
    { id: "figures", label: "Figures", wide: true, text: (part) => figuresOf(part).join(", ") || NONE },
  ];

  function memoryPanel() {
    const columns = [
      label("part", "Part", (row) => row.part, { wide: true }),
      label("what", "For", (row) => row.what, { wide: true }),
      figure("bytes", "Size", (row) => row.bytes, bytes),
      {
        id: "share",
        label: "Share",
        text: () => "",
        draw: (cell, row, rows) =>
          drawShare(
            cell,
            row.bytes /
              Math.max(
                1,
                rows.reduce((sum, one) => sum + one.bytes, 0),
              ),
          ),
      },
    ];
    const rows = table({
      caption: "Memory by part",
      columns,
      keyOf: (row) => `${row.part} ${row.what}`,
      sort: { id: "bytes", down: true },
    });
    const curve = chart({
      title: "Memory of all parts",
      lines: [{ id: "memory", label: "All parts", style: 4 }],
      unit: "bytes",
      height: 96,
    });
    const { node, note } = panel("Memory by part", body(curve.node), rows.node);
    return {
      node,
      show(seen, series) {
        setText(note, bytes(seen.memory_bytes));
        if (series) curve.show(series.xs, [series.of("total:memory_bytes")]);
        rows.show(memoryRows(seen));
      },
    };
  }

  /** Meters and attributions say what their memory is for. */
  function memoryRows({ meters, attributions, parts: tables, pacers }) {
    const detailed = [...meters, ...attributions].flatMap(({ name, memory }) =>
      Object.entries(memory).map(([what, size]) => ({ part: name, what: words(what), bytes: number(size) })),
    );
    const whole = tables.map(({ name, kind, memory_bytes: size }) => ({
      part: name,
      what: words(kind),
      bytes: number(size),
    }));
    const paced = pacers.map(({ name, memory_bytes: size }) => ({
      part: name,
      what: "Budgets",
      bytes: number(size),
    }));
    return [...detailed, ...whole, ...paced].filter((row) => row.bytes > 0);
  }

  // Campaigns: the columns of a row, as the service names the metrics and their roles.

  /** "time_decay:604800000" has its half-life in milliseconds. */
  function modelName(model) {
    const [name, halfLife] = model.split(":");
    return halfLife ? `${words(name)}, ${duration(halfLife)}` : words(name);
  }

  const ofModel = (row, model, key) => (row.by_model && row.by_model[model] ? row.by_model[model][key] : null);

  /** For each model conversions; what they cost and return by `model`, the one that is chosen. */
  function campaignColumns({ columns, models }, model, name) {
    const has = (role) => columns.some((column) => column.role === role);
    const byRole = (role) => (has(role) ? roleColumns[role] : []);
    const plain = columns.filter((column) => column.role === null || column.role === "value");
    const converted = models.map((one) =>
      figure(
        `conversions:${one}`,
        models.length > 1 ? modelName(one) : "Conversions",
        (row) => ofModel(row, one, "conversions"),
        parts,
        models.length > 1 ? { group: "Conversions" } : {},
      ),
    );
    const returned =
      model === undefined
        ? []
        : [
            figure(`cpa:${model}`, "CPA", (row) => ofModel(row, model, "cpa_micros"), money, {
              group: models.length > 1 ? modelName(model) : "",
            }),
            figure(`roas:${model}`, "ROAS", (row) => ofModel(row, model, "roas"), times, {
              group: models.length > 1 ? modelName(model) : "",
            }),
          ];
    return [
      name,
      ...byRole("impressions"),
      ...byRole("clicks"),
      ...(has("impressions") && has("clicks") ? roleColumns.ctr : []),
      ...plain.map((column) =>
        figure(`metric:${column.key}`, metricName(column), (row) => row.metrics[column.key], ofUnit(column.unit)),
      ),
      ...converted,
      ...byRole("spend"),
      ...(has("spend") && has("impressions") ? roleColumns.ecpm : []),
      ...(has("spend") && has("clicks") ? roleColumns.cpc : []),
      ...(has("spend") ? returned : []),
      ...roleColumns.reach,
      ...(has("impressions") ? roleColumns.frequency : []),
    ];
  }

  const roleColumns = {
    impressions: [figure("impressions", "Impressions", (row) => row.impressions)],
    clicks: [figure("clicks", "Clicks", (row) => row.clicks)],
    ctr: [figure("ctr", "CTR", (row) => row.ctr, percent)],
    spend: [figure("spend", "Spend", (row) => row.spend_micros, money)],
    ecpm: [figure("ecpm", "eCPM", (row) => row.ecpm_micros, money)],
    cpc: [figure("cpc", "CPC", (row) => row.cpc_micros, price)],
    reach: [
      figure("reach", "Reach", (row) => (row.reach ? row.reach.estimate : null), count, {
        unit: "users",
        draw: (cell, row, rows) => drawReach(cell, row.reach, Math.max(mostOf(rows, upperBound), upperBound(row))),
      }),
    ],
    frequency: [figure("frequency", "Frequency", (row) => row.frequency, times)],
  };

  /** The name of a row as a link to its page. */
  const linkColumn = (heading, href) => ({
    id: "name",
    label: heading,
    value: (row) => row.name,
    text: (row) => row.name,
    draw(cell, row) {
      if (row.key === null) {
        setText(cell, row.name);
        return;
      }
      const anchor = cell.firstElementChild || cell.appendChild(el("a"));
      setText(anchor, row.name);
      setAttribute(anchor, "href", href(row));
    },
  });

  /** The order of a table: that of the address, or else the one that the service chose. */
  function orderOf(view, { sort, order }) {
    const [id, way] = ["sort", "order"].map((name) => view.parameters.get(name));
    return { id: id || sort, down: (way || order) === "desc" };
  }

  function keepOrder({ id, down }) {
    remember({ sort: id, order: down ? "desc" : "asc" });
    round();
  }

  function finder(view, what) {
    let waiting = null;
    const input = el("input", {
      type: "search",
      placeholder: `Find a ${what}`,
      "aria-label": `Find a ${what} by a part of its name`,
      value: view.parameters.get("search") || "",
      oninput() {
        clearTimeout(waiting);
        waiting = setTimeout(() => {
          if (!input.isConnected) return;
          remember({ search: input.value });
          round();
        }, 250);
      },
    });
    return input;
  }

  /** Reports are made for all viewers together and, where they take long, not each second. */
  const span = (answer) => `events from ${date(answer.since)} on, as of ${time(answer.at)}`;
  const since = ({ count: all, dimension, ...answer }) =>
    `${count(all)} ${all === 1 ? dimension : `${dimension}s`}, ${span(answer)}`;

  function truncation(answer) {
    return answer.truncated ? `. The first ${answer.limit} of this order are shown; find others by name` : "";
  }

  /** The rows of a report in the order of the address, or why there are none, as `nothing(name)` of a meter has it. */
  function reportPanel(view, caption, nothing) {
    const lead = el("p", { class: "note" });
    const rows = table({ caption, columns: [], keyOf: (row) => row.key, onSort: keepOrder });
    const none = el("div", { hidden: true });
    const node = el("section", { class: "panel", hidden: true }, el("div", { class: "head" }, lead), rows.node, none);
    let said = "";

    function sayNone(name) {
      const search = view.parameters.get("search");
      const next = JSON.stringify([search, name]);
      if (said === next) return;
      said = next;
      none.replaceChildren(search ? notFound(search) : nothing(name));
    }

    function show(seen, { name, columns, totals, note = "" }) {
      const found = seen.rows.length > 0;
      setText(lead, since(seen) + note + truncation(seen));
      setHidden(rows.node, !found);
      setHidden(none, found);
      rows.show(seen.rows, { columns, totals: found ? totals : [], order: orderOf(view, seen) });
      if (!found) sayNone(name);
    }

    return { node, show };
  }

  const notFound = (search) =>
    empty(`Nothing has “${search}” in its name`, "Look for a shorter part of it, or empty the field to see all.");

  const noEvents = (meter) =>
    empty(
      "No events in the windows that are open or retained",
      "What is recorded is here within a second. What a closed window had stays for as long as the meter's option :retain says.",
      `AdTally.Meter.record(${meter}, event)`,
    );

  const noTouches = (name) =>
    empty(
      "No touches and no conversions in the windows that are open or retained",
      "Record clicks and views as touches, and orders as conversions.",
      `AdTally.Attribution.touch(${name}, touch)\nAdTally.Attribution.convert(${name}, conversion)`,
    );

  function makeCampaigns(view) {
    const meters = chooser("Meter", (meter) => {
      remember({ meter, sort: "", order: "" });
      round();
    });
    const models = chooser("CPA and ROAS by", (model) => {
      remember({ model });
      round();
    });
    const nodes = chooser("Of", (of) => {
      remember({ nodes: of === "this" ? "" : of, sort: "", order: "" });
      round();
    });
    const head = top("Campaigns", meters.node, nodes.node, models.node, finder(view, "campaign"));
    const refused = refusals();
    const nothing = noMeter();
    const missing = el("ul", { class: "problems" });
    const rows = reportPanel(view, "Campaigns", noEvents);

    function asks() {
      if (!runs("meters")) return { overview: api("overview") };
      return { campaigns: api("campaigns", chosen(view, ["meter", "nodes", "sort", "order", "search"])) };
    }

    function show({ campaigns: seen }) {
      setHidden(nothing, runs("meters"));
      setHidden(missing, !seen || !seen.missing_nodes);
      setHidden(rows.node, !seen || refused.show(seen));
      if (!rows.node.hidden) showRows(seen);
    }

    function showRows(seen) {
      const model = seen.models.includes(view.parameters.get("model"))
        ? view.parameters.get("model")
        : seen.models[0];
      const name = linkColumn(words(seen.dimension), (row) => link("campaign", { meter: seen.meter, key: row.key }));
      meters.show(seen.meters, seen.meter);
      models.show(seen.models, model, modelName);
      setText(head.heading, `${words(seen.dimension)}s of ${seen.meter}`);
      nodes.show(["this", "all"], view.parameters.get("nodes") || "this", (of) =>
        of === "all" ? "all nodes" : "this node",
      );
      showMissing(missing, seen.missing_nodes);
      rows.show(seen, {
        name: seen.meter,
        columns: campaignColumns(seen, model, name),
        totals: [...overflowRow(seen), seen.total],
        note: seen.nodes.length > 1 ? `, of ${seen.nodes.join(", ")}` : "",
      });
    }

    const node = el("div", {}, head.node, nothing, refused.node, missing, rows.node);
    return { node, heading: head.heading, asks, show };
  }

  /** What found no room for a row of its own is counted all the same. */
  function overflowRow({ overflow, columns }) {
    if (!overflow) return [];
    const of = (role) => {
      const column = columns.find((one) => one.role === role);
      return column ? overflow[column.key] : null;
    };
    const known = { impressions: of("impressions"), clicks: of("clicks"), spend_micros: of("spend") };
    return [{ key: null, name: "Without a row", metrics: overflow, by_model: {}, ...known }];
  }

  /** Of several nodes, those whose figures are not among these. */
  function showMissing(node, missing) {
    const told = JSON.stringify(missing);
    if (node.dataset.told === told) return;
    node.dataset.told = told;
    const item = ({ node: name, reason }) =>
      el("li", { class: "problem" }, el("strong", {}, `Without ${name}: `), `it ${reason}`);
    node.replaceChildren(...missing.map(item));
  }

  // One campaign.

  function makeCampaign(view) {
    const head = top("Campaign");
    const back = el("a", { href: link("campaigns", { meter: view.parameters.get("meter") }) }, "All campaigns");
    const refused = refusals();
    const figures = tiles();
    const reachOf = el("p", { class: "lead" });
    const models = tablePanel("Conversions by model", { columns: MODEL_COLUMNS, keyOf: (row) => row.model });
    const pacers = panelsBy((pacer) => pacer.name, pacerPanel);
    const windows = windowsPanel();
    const reach = reachPanel();
    const caps = tablePanel("Cap denials", { columns: CAP_COLUMNS, keyOf: (cap) => cap.name });
    const others = panelsBy((by) => by.dimension, breakdownPanel);
    const summary = panel("So far", body(figures.node, reachOf));
    const noBudget = panel(
      "Budget",
      empty(
        "No pacer on this node has a budget of this campaign",
        "With one, what is spent is here against what should be by now.",
        "AdTally.Pacer.put(MyApp.Pacer, campaign, budget_micros: 50000000, pace: :even)",
      ),
    );
    const left = el("div", { class: "stack" }, summary.node, pacers.node, noBudget.node);
    const right = el("div", { class: "stack" }, reach.node, windows.node, models.node, caps.node);
    const all = el(
      "div",
      { class: "stack", hidden: true },
      el("div", { class: "grid halves" }, left, right),
      others.node,
    );

    function show({ campaign: seen }) {
      setHidden(all, refused.show(seen));
      if (!all.hidden) showCampaign(seen);
    }

    function showCampaign(seen) {
      const { row } = seen;
      shown.title = `${words(seen.dimension)} ${row.name}`;
      setText(head.heading, shown.title);
      setTitle();
      setText(summary.note, `${seen.meter}, ${span(seen)}`);
      figures.show(campaignTiles(seen));
      setText(
        reachOf,
        row.reach ? `Reach is estimated: between ${count(row.reach.lower)} and ${count(row.reach.upper)} users.` : "",
      );
      models.show(seen.models.map((model) => ({ model, ...(row.by_model[model] || {}) })));
      pacers.show(seen.pacers);
      setHidden(noBudget.node, seen.pacers.length > 0);
      windows.show(seen);
      reach.show(seen);
      caps.show(seen.caps);
      others.show(seen.by, seen);
    }

    return {
      node: el("div", {}, el("p", { class: "lead" }, back), head.node, refused.node, all),
      heading: head.heading,
      asks: () => ({
        campaign: api(
          "campaign",
          [...view.parameters].filter(([name]) => ["meter", "key"].includes(name)),
        ),
      }),
      show,
    };
  }

  function campaignTiles({ columns, row }) {
    const has = (role) => columns.some((column) => column.role === role);
    const known = [
      ["impressions", "Impressions", count(row.impressions)],
      ["clicks", "Clicks", count(row.clicks)],
      ["clicks", "CTR", percent(row.ctr)],
      ["spend", "Spend", money(row.spend_micros)],
      ["spend", "eCPM", money(row.ecpm_micros)],
      ["spend", "CPC", price(row.cpc_micros)],
    ]
      .filter(([role]) => has(role))
      .map(([, ...tile]) => tile);
    const plain = columns
      .filter((column) => column.role === null || column.role === "value" || column.role === "conversions")
      .map((column) => [metricName(column), ofUnit(column.unit)(row.metrics[column.key])]);
    const users = row.reach
      ? [
          ["Reach", count(row.reach.estimate), "users"],
          ["Frequency", times(row.frequency)],
        ]
      : [];
    return [...known, ...plain, ...users];
  }

  const MODEL_COLUMNS = [
    { id: "model", label: "Model", text: (row) => modelName(row.model) },
    figure("conversions", "Conversions", (row) => row.conversions, parts),
    figure("value", "Value", (row) => row.value_micros, money),
    figure("cpa", "CPA", (row) => row.cpa_micros, money),
    figure("roas", "ROAS", (row) => row.roas, times),
  ];

  const CAP_COLUMNS = [
    label("name", "Frequency cap", (cap) => cap.name, { wide: true }),
    figure("denied", "Denied", (cap) => cap.denied),
    figure("rounding", "Of these early", (cap) => cap.denied_by_rounding),
    figure("refused", "Refused", (cap) => cap.refused),
    label("of", "Of", (cap) => cap.of),
  ];

  const LEASE_COLUMNS = [
    label("node", "Node", (row) => row.node, { wide: true }),
    figure("micros", "Leased and not spent", (row) => row.micros, money),
  ];

  function pacerPanel({ name }) {
    const { node, note } = panel(`Budget in ${name}`);
    const figures = tiles();
    const hint = el("p", { class: "lead" });
    const spend = chart({
      title: "Spend against target",
      lines: [
        { id: "spent", label: "Spent", style: 1 },
        { id: "target", label: "Target", style: 2 },
      ],
      unit: "micros",
    });
    const pass = chart({
      title: "Part of the requests that it takes part in",
      lines: [{ id: "pass", label: "Takes part in (p)", style: 3 }],
      unit: "share",
      height: 110,
    });
    const leases = table({ caption: `Leases of nodes in ${name}`, columns: LEASE_COLUMNS, keyOf: (row) => row.node });
    node.append(body(figures.node, hint, spend.node, pass.node), leases.node);

    function show({ status, curve, error }) {
      setText(hint, error ? `${words(error)}: these figures are not known.` : hintOf(status));
      setHidden(hint, hint.textContent === "");
      if (status) {
        setText(note, status.from === null ? "outside of its flight" : `${date(status.from)} to ${date(status.to)}`);
        figures.show(pacerTiles(status));
        leases.show(status.nodes || []);
      }
      setHidden(leases.node, !status || (status.nodes || []).length === 0);
      if (!curve) return;
      const xs = curve.spent_micros.map((_, index) => curve.begin + index * curve.step);
      spend.show(xs, [curve.spent_micros.map(number), curve.target_micros.map(number)]);
      pass.show(xs, [curve.pass]);
    }

    return {
      node,
      show,
      destroy: () => {
        spend.destroy();
        pass.destroy();
      },
    };
  }

  function pacerTiles(status) {
    const over = number(status.overspent_micros) > 0 ? [["Overspent", money(status.overspent_micros)]] : [];
    return [
      ["Spent", money(status.spent_micros), `of ${money(status.budget_micros)}`],
      ["Target by now", money(status.target_micros)],
      ["Delivery", wholePercent(status.delivery)],
      ["Takes part in", wholePercent(status.pass), "of requests"],
      ["Reserved", money(status.reserved_micros)],
      ["Leased", money(status.leased_micros)],
      ...over,
    ];
  }

  function hintOf(status) {
    if (!status) return "";
    if (status.awaits_history) return "Paced evenly for now: too little is known of its traffic.";
    if (number(status.presumed_micros) > 0)
      return `${money(status.presumed_micros)} counts as spent, because a crash may have lost that it was.`;
    return "";
  }

  /** A metric by window of event time, which one chooses. */
  function windowsPanel() {
    const { node, note } = panel("By window");
    const place = el("div");
    let choice = null;
    let drawn = "";
    let curve = null;
    let seen = null;
    node.append(body(place));

    function build() {
      const choices = seen.columns.map((column) => [column.key, metricName(column)]);
      const column = seen.columns.find((one) => one.key === choice) || seen.columns[0];
      if (curve) curve.destroy();
      curve = chart({
        title: `${metricName(column)} by window`,
        lines: [{ id: column.key, label: metricName(column), style: 1 }],
        unit: column.unit in SCALES ? column.unit : "count",
      });
      place.replaceChildren(
        segments("Metric", choices, column.key, (key) => {
          choice = key;
          draw();
        }),
        curve.node,
      );
    }

    function draw() {
      const column = seen.columns.find((one) => one.key === choice) || seen.columns[0];
      const { begin, metrics } = seen.windows;
      const next = JSON.stringify([column.key, seen.columns.map((one) => one.key)]);
      if (drawn !== next) {
        // The buttons stay where only the choice among them has changed: one of them has the focus.
        const focused = place.contains(document.activeElement);
        build();
        if (focused) place.querySelector("[aria-pressed='true']").focus();
      }
      drawn = next;
      curve.show(
        begin.map((ms) => ms / 1000),
        [metrics[column.key].map(number)],
      );
      setText(note, `${count(begin.length)} windows of event time; the last ones may be open`);
    }

    function show(answer) {
      seen = answer;
      setHidden(node, !seen.windows || seen.columns.length === 0);
      if (!node.hidden) draw();
    }

    return { node, show };
  }

  function reachPanel() {
    const curve = chart({
      title: "Unique users reached",
      lines: [
        { id: "estimate", label: "Estimate", style: 1 },
        { id: "upper", label: "Upper bound", style: 6, thin: true, band: "lower" },
        { id: "lower", label: "Lower bound", style: 6, thin: true },
      ],
      unit: "count",
    });
    const { node, note } = panel("Reach", body(curve.node));
    return {
      node,
      show({ windows }) {
        const reach = windows && windows.reach;
        setHidden(node, !reach);
        if (!reach) return;
        setText(note, "users since the first window, and between which bounds they are");
        curve.show(
          reach.at.map((ms) => ms / 1000),
          [reach.estimate, reach.upper, reach.lower].map((points) => points.map(number)),
        );
      },
    };
  }

  function breakdownPanel({ dimension }) {
    const { node, note } = panel(`By ${dimension.replace(/_/g, " ")}`);
    const name = { id: "name", label: words(dimension), value: (row) => row.name, text: (row) => row.name };
    const rows = table({
      caption: `By ${dimension}`,
      columns: [],
      keyOf: (row) => row.key,
      sort: { id: "spend", down: true },
    });
    node.append(rows.node);
    return {
      node,
      show(by, seen) {
        const reached = by.rows.some((row) => row.reach);
        const models = seen.models.filter((model) => by.rows.some((row) => row.by_model && row.by_model[model]));
        const columns = campaignColumns({ ...seen, models }, models[0], name).filter(
          ({ id }) => reached || (id !== "reach" && id !== "frequency"),
        );
        setText(note, by.truncated ? `the first ${by.rows.length} of ${count(by.count)}` : "");
        setHidden(node, by.rows.length === 0);
        rows.show(by.rows, { columns });
      },
    };
  }

  // Attribution: each figure under all models, side by side.

  function makeAttribution(view) {
    const names = chooser("Attribution", (name) => {
      remember({ name, sort: "", order: "" });
      round();
    });
    const dimensions = chooser("By", (dimension) => {
      remember({ dimension, sort: "", order: "" });
      round();
    });
    const head = top("Attribution", names.node, dimensions.node, finder(view, "campaign"));
    const refused = refusals();
    const nothing = noAttribution();
    const rows = reportPanel(view, "Conversions by model", noTouches);

    function asks() {
      if (!runs("attributions")) return { overview: api("overview") };
      return { attribution: api("attribution", chosen(view, ["name", "dimension", "sort", "order", "search"])) };
    }

    function show({ attribution: seen }) {
      setHidden(nothing, runs("attributions"));
      setHidden(rows.node, !seen || refused.show(seen));
      if (!rows.node.hidden) showRows(seen);
    }

    function showRows(seen) {
      names.show(seen.names, seen.name);
      dimensions.show(seen.dimensions, seen.dimension, words);
      setText(head.heading, seen.name);
      const outside = [
        ["Unattributed", seen.unattributed],
        ["Without a row", seen.overflow],
      ]
        .filter(([, figures]) => figures)
        .map(([name, figures]) => outsideRow(name, figures, seen.models));
      rows.show(seen, { name: seen.name, columns: attributionColumns(seen), totals: [...outside, seen.total] });
    }

    const node = el("div", {}, head.node, nothing, refused.node, rows.node);
    return { node, heading: head.heading, asks, show };
  }

  /** Conversions that no touch led to are the same ones under each model. */
  function outsideRow(name, figures, models) {
    if (figures.by_model) return { key: null, ...figures, name };
    return {
      key: null,
      name,
      touches: figures.touches,
      cost_micros: figures.cost_micros,
      by_model: Object.fromEntries(models.map((model) => [model, figures])),
    };
  }

  function attributionColumns({ dimension, models }) {
    const groups = [
      ["conversions", "conversions", "Conversions", parts],
      ["value", "value_micros", "Value", money],
      ["roas", "roas", "ROAS", times],
      ["cpa", "cpa_micros", "CPA", money],
    ];
    return [
      { id: "name", label: words(dimension), value: (row) => row.name, text: (row) => row.name },
      figure("touches", "Touches", (row) => row.touches),
      figure("cost", "Cost", (row) => row.cost_micros, money),
      ...groups.flatMap(([id, key, group, format]) =>
        models.map((model) =>
          figure(`${id}:${model}`, modelName(model), (row) => ofModel(row, model, key), format, { group }),
        ),
      ),
    ];
  }

  // Health.

  function makeHealth(view) {
    const head = top("Health", range(view));
    const problems = el("ul", { class: "problems" });
    const windows = tablePanel("Windows", { columns: WINDOW_COLUMNS, keyOf: (one) => `${one.kind} ${one.name}` });
    const stores = tablePanel("Stores", { columns: HEALTH_STORE_COLUMNS, keyOf: (one) => one.name });
    const leases = tablePanel("Leases by node", {
      columns: NODE_COLUMNS,
      keyOf: (one) => `${one.pacer} ${one.node}`,
    });
    const pacers = tablePanel("Pacers", { columns: HEALTH_PACER_COLUMNS, keyOf: (one) => one.name });
    const lag = panelsBy((store) => store.name, storePanel);
    const left = el("div", { class: "stack" }, windows.node, lag.node);
    const right = el("div", { class: "stack" }, leases.node, pacers.node);
    const grid = el("div", { class: "grid halves" }, left, right);
    let names = [];
    let told = "";

    function tell(answer) {
      const text = JSON.stringify(answer.problems);
      if (text === told) return;
      told = text;
      problems.replaceChildren(...(answer.problems.length === 0 ? [fine()] : answer.problems.map(problem)));
    }

    function show(answers) {
      const seen = answers.health;
      const series = seriesIn(answers);
      names = seen.stores.map((store) => `store:${store.name}:lag_ms`);
      tell(seen);
      windows.show(seen.windows);
      stores.show(seen.stores);
      leases.show(seen.leases);
      pacers.show(seen.pacers);
      lag.show(seen.stores, series);
    }

    return {
      node: el("div", {}, head.node, problems, el("div", { class: "stack" }, stores.node, grid)),
      heading: head.heading,
      asks: () => ({ health: api("health"), ...seriesAddresses(names, view.parameters.get("step") || "1") }),
      show,
    };
  }

  const fine = () =>
    el("li", { class: "problem fine" }, el("strong", {}, "All is well."), " No part reports a problem.");

  function problem({ severity, kind, name, what, do: todo }) {
    const title = severity === "error" ? "Failing" : "Warning";
    return el(
      "li",
      { class: severity === "error" ? "problem critical" : "problem" },
      el("p", {}, el("strong", {}, `${title}: ${words(kind).toLowerCase()} ${name || ""}`.trim()), ` – ${what}`),
      todo && el("p", { class: "todo" }, `What to do: ${todo}.`),
    );
  }

  const WINDOW_COLUMNS = [
    label("name", "Of", (one) => one.name, { wide: true }),
    figure("open", "Open", (one) => one.open_windows),
    figure("closed", "Closed", (one) => one.closed_windows),
    figure("lag", "Watermark lag", (one) => one.lag_ms, duration),
    figure("waiting", "Waiting for sinks", (one) => one.waiting, count, { tone: warnIf((one) => one.waiting) }),
    figure("failed", "Failed", (one) => one.failed, count, { tone: warnIf((one) => one.failed) }),
    figure("dropped", "Dropped", (one) => one.dropped, count, { tone: badIf((one) => one.dropped) }),
  ];

  const HEALTH_STORE_COLUMNS = [
    ...STORE_COLUMNS,
    figure("files", "Files", (store) => store.files),
    label("error", "The disk says", (store) => store.error, {
      tone: (store) => (store.error ? "bad" : ""),
      wide: true,
    }),
  ];

  const NODE_COLUMNS = [
    label("node", "Node", (row) => row.node, { wide: true }),
    label("pacer", "Pacer", (row) => row.pacer, { wide: true }),
    figure("campaigns", "Campaigns", (row) => row.campaigns),
    figure("micros", "Leased and not spent", (row) => row.micros, money),
  ];

  const list = (names) => names.join(", ") || NONE;
  const offset = (ms) => `${duration(Math.abs(ms))} ${ms < 0 ? "behind" : "ahead"}`;
  const offsets = (pacer) => Object.entries(pacer.clock_offsets).map(([node, ms]) => `${node}: ${offset(ms)}`);

  const HEALTH_PACER_COLUMNS = [
    label("name", "Pacer", (one) => one.name, { wide: true }),
    {
      id: "lost",
      label: "Nodes without an answer",
      wide: true,
      text: (one) => list(one.lost_nodes),
      tone: (one) => (one.lost_nodes.length > 0 ? "bad" : ""),
    },
    {
      id: "disagreeing",
      label: "Nodes with other options",
      wide: true,
      text: (one) => list(one.disagreeing_nodes),
      tone: (one) => (one.disagreeing_nodes.length > 0 ? "bad" : ""),
    },
    {
      id: "clocks",
      label: "Clocks that differ",
      wide: true,
      text: (one) => list(offsets(one)),
      tone: (one) => (offsets(one).length > 0 ? "warn" : ""),
    },
  ];

  function storePanel({ name }) {
    const curve = chart({
      title: `How far ${name} is behind`,
      lines: [{ id: "lag", label: "Behind by", style: 2 }],
      unit: "ms",
      height: 120,
    });
    const { node, note } = panel(name, body(curve.node));
    setText(note, "for how long the oldest of what is not on disk has waited");
    return {
      node,
      show: (_, series) => series && curve.show(series.xs, [series.of(`store:${name}:lag_ms`)]),
      destroy: curve.destroy,
    };
  }

  // 9 Start ----------------------------------------------------------------------------------------------------------

  const VIEWS = {
    overview: ["Overview", makeOverview],
    campaigns: ["Campaigns", makeCampaigns],
    campaign: ["Campaign", makeCampaign],
    attribution: ["Attribution", makeAttribution],
    health: ["Health", makeHealth],
  };
  let shown = null;

  function open() {
    const { view, parameters } = address();
    const [title, make] = VIEWS[view] || VIEWS.overview;
    const first = shown === null;
    for (const one of [...charts]) one.destroy();
    shown = { title, parameters };
    Object.assign(shown, make(shown));
    byId("main").replaceChildren(shown.node);
    markCurrent(title);
    setTitle();
    if (!first) {
      scrollTo(0, 0);
      shown.heading.focus({ preventScroll: true });
    }
    if (asking.every === 0 && !first) asking.headAt = -Infinity;
    if (!document.hidden) round();
  }

  function markCurrent(title) {
    const current = title === "Campaign" ? "Campaigns" : title;
    for (const anchor of document.querySelectorAll("nav a")) {
      setAttribute(anchor, "aria-current", anchor.firstChild.textContent.trim() === current ? "page" : null);
    }
  }

  function start() {
    const every = byId("every");
    asking.every = chosenEvery();
    every.value = String(asking.every);
    every.addEventListener("change", () => setEvery(Number(every.value)));
    byId("now").addEventListener("click", () => {
      asking.headAt = -Infinity;
      round();
    });
    document.querySelector(".skip").addEventListener("click", (event) => {
      // The address of this page is its view: the link must not change it.
      event.preventDefault();
      byId("main").focus();
    });
    addEventListener("hashchange", open);
    document.addEventListener("visibilitychange", onVisibility);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    showStatus();
    open();
  }

  start();
})();
