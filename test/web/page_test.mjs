// The page against known answers of the API: what each view says, and what it does while time passes. The service is
// service.mjs, with the headers of the real one; service_test.mjs has the real one.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { becomes, launch, open, rowsOf, violations } from "./browser.mjs";
import { fixture, Service } from "./service.mjs";

const VIEWS = ["overview", "campaigns", "campaign?meter=MyApp.Ads&key=i42", "attribution", "health"];
const SCRIPT = "<script>alert(1)</script>";

/** Ends any attribute and begins two elements, if it is ever read as HTML. The page has none of these. */
const HTML = `'"><i></i><img src=x>`;
const ELEMENTS = "i, img";
const h = (name) => name + HTML;

// What is no name: words that the service and the page agree on, and keys of objects but these.
const WORDS = ["sort", "order", "severity", "status", "unit", "role"];
const BY_NAME = ["metrics", "by_model", "memory", "figures", "clock_offsets"];

/** An answer with other names, and other messages. */
function renamed(value, rename, field) {
  if (typeof value === "string") {
    const isAmount = field !== "name" && /^\d+$/.test(value);
    return isAmount || WORDS.includes(field) ? value : rename(value);
  }
  if (Array.isArray(value)) return value.map((one) => renamed(one, rename, field));
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([key, one]) => {
    // The key of a row is encoded by the service.
    if (key === "key" && "name" in value) return [key, one];
    const inner = field === "excluded" ? "metrics" : key;
    return [BY_NAME.includes(field) ? rename(key) : key, renamed(one, rename, inner)];
  });
  return Object.fromEntries(entries);
}

/** Each view, in each of its states, with every place in which it shows a name. */
const NAMED = [
  {
    view: "overview",
    prepare({ overview }) {
      overview.missing = [h("MyApp.Gone")];
      overview.meters[0].metrics.push({ key: h("likes"), role: null, unit: "count", total: 1, rate: 1 });
    },
    shown: [
      `Overview · AdTally · ${h("ads@10.0.0.7")}`,
      `AdTally ${h("0.1.0")} on 2 schedulers`,
      `${h("MyApp.Gone")} should run and does not`,
      `kept in ${h("MyApp.Store")}`,
      `Events a second of ${h("MyApp.Ads")}: Counted`,
      `Watermark lag of ${h("MyApp.Ads")}: `,
      `Events of ${h("MyApp.Ads")} by outcome`,
      h("Likes"),
      h("MyApp.Attribution"),
      h("AdTally.Sink.Files"),
      h("MyApp.Store"),
      h("MyApp.Pacer"),
      h("MyApp.Caps"),
      h("Frequency cap"),
      `${h("denials rule")} 4,211`,
      h("Open windows"),
    ],
  },
  {
    view: "campaigns",
    prepare({ campaigns }) {
      campaigns.nodes.push(h("ads@10.0.0.8"));
      campaigns.missing_nodes.push({ node: h("ads@10.0.0.9"), reason: h("did not answer") });
      campaigns.overflow = { [h("clicks")]: 7 };
    },
    shown: [
      `${h("Campaign")}s of ${h("MyApp.Ads")}`,
      `3 ${h("campaign")}s, events`,
      `, of ${h("ads@10.0.0.7")}, ${h("ads@10.0.0.8")}`,
      `Without ${h("ads@10.0.0.9")}: it ${h("did not answer")}`,
      h("MyApp.Video"),
      h("Position based"),
      h("Video starts"),
      h("42"),
      h(SCRIPT),
      h("summer_sale"),
      h("All campaigns"),
    ],
  },
  {
    view: `campaigns?search=${encodeURIComponent(HTML)}`,
    prepare: ({ campaigns }) => Object.assign(campaigns, { rows: [], count: 0 }),
    shown: [`Nothing has “${HTML}” in its name`],
  },
  {
    view: "campaigns?order=asc",
    prepare: ({ campaigns }) => Object.assign(campaigns, { rows: [], count: 0 }),
    shown: [`AdTally.Meter.record(${h("MyApp.Ads")}, event)`],
  },
  {
    view: "campaigns?meter=MyApp.Adz",
    expected: /404/,
    prepare(answers) {
      answers.campaigns = { error: "not_found", message: h("there is no meter named MyApp.Adz") };
    },
    shown: [`${h("There is no meter named MyApp.Adz")}.`],
  },
  {
    view: "campaign?meter=MyApp.Ads&key=i42",
    prepare({ campaign }) {
      campaign.pacers.push({ name: h("MyApp.Other"), status: null, curve: null, error: h("ads_1 does not answer") });
    },
    shown: [
      `${h("Campaign")} ${h("42")} · AdTally · ${h("ads@10.0.0.7")}`,
      `${h("MyApp.Ads")}, events from`,
      `Budget in ${h("MyApp.Pacer")}`,
      `Leases of nodes in ${h("MyApp.Pacer")}`,
      h("ads@10.0.0.7"),
      `${h("Ads 1 does not answer")}: these figures are not known`,
      h("MyApp.Caps"),
      h("all campaigns"),
      h("Last touch"),
      `By ${h("creative")}`,
      h("Creative"),
      h("7"),
      `${h("Impressions")} by window: `,
      `Show or hide “${h("Impressions")}”`,
    ],
  },
  {
    view: "attribution",
    prepare({ attribution }) {
      attribution.names.push(h("MyApp.Views"));
    },
    shown: [
      h("MyApp.Attribution"),
      h("MyApp.Views"),
      `1 ${h("campaign")}, events`,
      h("Campaign"),
      h("Creative"),
      h("First touch"),
      h("42"),
      h("All campaigns"),
    ],
  },
  {
    view: "attribution?order=asc",
    prepare: ({ attribution }) => Object.assign(attribution, { rows: [], count: 0 }),
    shown: [`AdTally.Attribution.touch(${h("MyApp.Attribution")}, touch)`],
  },
  {
    view: "health",
    prepare({ health }) {
      health.pacers[0].disagreeing_nodes = [h("ads@10.0.0.6")];
    },
    shown: [
      `Failing: ${h("store")} ${h("MyApp.Store")} – ${h("the disk refuses what is written: no space left on device")}`,
      `What to do: ${h("look into the log for why it fails; beyond :max_waiting the oldest are dropped")}.`,
      h("MyApp.Ads"),
      h("no space left on device"),
      `How far ${h("MyApp.Store")} is behind: `,
      h("MyApp.Pacer"),
      h("ads@10.0.0.7"),
      h("ads@10.0.0.9"),
      h("ads@10.0.0.6"),
      `${h("ads@10.0.0.8")}: 6.2 s ahead`,
    ],
  },
];

let browser;
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser.close();
});

/** A test with a service and a page of its own, after which nothing may have been wrong. */
function page(name, options, test) {
  it(name, async () => {
    const service = new Service();
    await service.start();
    options.prepare?.(service);
    const opened = await open(browser, service, options);
    try {
      await test({ service, ...opened });
      opened.well(options.expected);
    } finally {
      await opened.context.close();
      await service.die();
    }
  });
}

const text = (node) => node.evaluate((one) => one.textContent.replaceAll("\u00a0", " ").trim());
const tiles = (node) =>
  node
    .locator(".tiles > div")
    .evaluateAll((all) =>
      Object.fromEntries(all.map((one) => [...one.children].map((part) => part.textContent.trim()))),
    );
const panel = (page, title) => page.locator("section.panel", { has: page.locator(`h2:text-is("${title}")`) });
const names = async (page) => (await rowsOf(page, "Campaigns")).map(([first]) => first);
const asked = (service, path) => service.asked.filter((url) => url.startsWith(`/api/${path}`));
const status = (page) => text(page.locator("#status"));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Much of the time is waiting, so several pages are open at once.
describe("The page", { concurrency: 3 }, () => {
  describe("Views", { concurrency: 2 }, () => {
    page("the overview has rates, outcomes, lag, memory by part and sinks", {}, async ({ page }) => {
      const meter = panel(page, "MyApp.Ads");
      await becomes(() => tiles(meter), {
        Counted: "800 /s",
        "Not counted": "12 /s",
        "Watermark lag": "5 min 5 s",
        "Newest event": "00:01:04",
        "Open windows": "6 54 closed",
        Memory: "16.5 MiB",
      });
      const outcomes = await rowsOf(page, "Events of MyApp.Ads by outcome");
      assert.deepEqual(outcomes[0], ["Counted", "800", "130,912", "98.87 %", "125,000", "5,100", "168.75"]);
      assert.deepEqual(outcomes[1], ["Duplicates", "9.0", "1,211", "0.91 %", "1,200", "11", "1.50"]);
      assert.deepEqual(outcomes[4], ["Refused", "1.0", "77", "0.06 %", "–", "–", "–"]);
      const memory = await rowsOf(page, "Memory by part");
      assert.deepEqual(
        memory.slice(0, 3).map((row) => row.slice(0, 3)),
        [
          ["MyApp.Ads", "Ids", "16.0 MiB"],
          ["MyApp.Ids", "Dedupe", "8.0 MiB"],
          ["MyApp.Caps", "Frequency cap", "4.0 MiB"],
        ],
      );
      assert.deepEqual(await rowsOf(page, "Sinks"), [["AdTally.Sink.Files", "MyApp.Ads", "54", "0", "1", "0"]]);
      assert.deepEqual(await rowsOf(page, "Stores"), [
        ["MyApp.Store", "420 ms", "64.0 KiB", "12.0 MiB", "2 ms", "0", "0"],
      ]);
      assert.deepEqual(await rowsOf(page, "Pacers"), [["MyApp.Pacer", "12", "210", "305", "0"]]);
      assert.deepEqual(await rowsOf(page, "Attributions"), [["MyApp.Attribution", "61", "2.0", "201", "40"]]);
      assert.equal(await page.title(), "Overview · AdTally · ads@10.0.0.7");
      assert.equal(await text(page.locator("#problems")), "2");
    });

    page(
      "curves have named lines for the outcomes that occurred, for two minutes or a day",
      {},
      async ({ page, service }) => {
        const legend = () => panel(page, "MyApp.Ads").locator(".legend button").allTextContents();
        await becomes(
          async () => (await legend()).map((one) => one.replace(/ [\d,.]+.*/, "")),
          ["Counted", "Duplicates", "Late", "Refused", "Watermark lag"],
        );
        assert.match(
          await page.locator(".plot").first().getAttribute("aria-label"),
          /^Events a second of MyApp.Ads: Counted [\d,.]+\/s, Duplicates/,
        );
        const drawn = () =>
          page
            .locator(".plot canvas")
            .first()
            .evaluate((canvas) =>
              canvas
                .getContext("2d")
                .getImageData(0, 0, canvas.width, canvas.height)
                .data.some((byte) => byte !== 0),
            );
        await becomes(drawn, true);
        await page.getByRole("button", { name: "24 h" }).click();
        await becomes(() => asked(service, "series").pop().includes("step=60"), true);
        assert.match(page.url(), /step=60/);
      },
    );

    page("a line is hidden and shown again by its name", {}, async ({ page }) => {
      const button = page.getByRole("button", { name: /^Late/ });
      await button.click();
      assert.equal(await button.getAttribute("aria-pressed"), "false");
      await page.keyboard.press("Enter");
      assert.equal(await button.getAttribute("aria-pressed"), "true");
    });

    page(
      "campaigns have all figures, with conversions by model, and a total",
      { hash: "#/campaigns", width: 1600 },
      async ({ page }) => {
        await becomes(
          async () => (await rowsOf(page, "Campaigns")).find(([name]) => name === "42"),
          [
            "42",
            "120,000",
            "4,800",
            "4.00 %",
            "0",
            "130",
            "120",
            "118.4",
            "162.00",
            "1.35",
            "0.034",
            "1.25",
            "–",
            "40,112",
            "2.99",
          ],
        );
        const heads = (await rowsOf(page, "Campaigns", "thead"))[1];
        assert.deepEqual(heads, [
          "Campaign",
          "Impressions",
          "Clicks",
          "CTR",
          "Video starts",
          "Recorded",
          "Last touch",
          "Position based",
          "Spend",
          "eCPM",
          "CPC",
          "CPA",
          "ROAS",
          "Reach users",
          "Frequency",
        ]);
        const [total] = await rowsOf(page, "Campaigns", "tfoot");
        assert.deepEqual(total.slice(0, 4), ["All campaigns", "125,000", "5,100", "4.08 %"]);
        await page.getByLabel("CPA and ROAS by").selectOption("last_touch");
        await becomes(
          async () => (await rowsOf(page, "Campaigns")).find(([name]) => name === "42").slice(11, 13),
          ["1.35", "44.44"],
        );
      },
    );

    page(
      "campaigns of all nodes say which nodes these are, and which one is missing",
      {
        hash: "#/campaigns?sort=clicks&order=desc",
        prepare({ answers }) {
          const here = answers.campaigns;
          const reason = "did not answer within 5000 ms";
          const all = {
            models: [],
            nodes: ["ads@10.0.0.7", "ads@10.0.0.8"],
            missing_nodes: [{ node: "ads@10.0.0.9", reason }],
          };
          answers.campaigns = (query) => (query.get("nodes") === "all" ? { ...here, ...all } : here);
        },
      },
      async ({ page, service }) => {
        await becomes(async () => (await names(page)).length, 3);
        assert.equal(await page.locator(".problem").count(), 0);
        await page.locator("label", { hasText: /^Of/ }).locator("select").selectOption("all nodes");
        await becomes(() => text(page.locator(".problem")), "Without ads@10.0.0.9: it did not answer within 5000 ms");
        assert.match(await text(page.locator("main .note")), /, of ads@10\.0\.0\.7, ads@10\.0\.0\.8$/);
        assert.match(page.url(), /nodes=all/);
        assert.equal(asked(service, "campaigns").pop(), "/api/campaigns?nodes=all");
        await page.locator("label", { hasText: /^Of/ }).locator("select").selectOption("this node");
        await becomes(() => page.locator(".problem").count(), 0);
      },
    );

    page(
      "an integer beyond 2^53 is shown to its last digit",
      {
        hash: "#/campaigns",
        prepare(service) {
          service.answers.campaigns.rows[0].clicks = "9223372036854775807";
        },
      },
      async ({ page }) => {
        await becomes(
          async () => (await rowsOf(page, "Campaigns")).find(([name]) => name === "42")[2],
          "9,223,372,036,854,775,807",
        );
      },
    );

    page("reach is a bar with its bounds, on one scale for all rows", { hash: "#/campaigns" }, async ({ page }) => {
      const bar = page.getByRole("row", { name: /^42/ }).locator(".bar");
      await becomes(() => bar.getAttribute("aria-label"), "between 38,829 and 41,437 users");
      const widths = await bar.evaluate(({ children: [fill, bounds] }) =>
        [fill, bounds].map((one) => [one.style.left, one.style.width].map(parseFloat)),
      );
      const near = (value, share) =>
        assert.ok(Math.abs(value - share * 100) < 0.01, `${value} is not ${share * 100}`);
      near(widths[0][1], 40112 / 41437);
      near(widths[1][0], 38829 / 41437);
      near(widths[1][1], (41437 - 38829) / 41437);
      const small = page.getByRole("row", { name: /script/ }).locator(".fill");
      near(parseFloat(await small.evaluate((one) => one.style.width)), 2101 / 41437);
    });

    page(
      "a campaign has spend against target, reach, denials and its creatives",
      { hash: "#/campaign?meter=MyApp.Ads&key=i42" },
      async ({ page, service }) => {
        await becomes(() => text(page.locator("h1")), "Campaign 42");
        assert.equal(await page.title(), "Campaign 42 · AdTally · ads@10.0.0.7");
        assert.deepEqual(await tiles(panel(page, "Budget in MyApp.Pacer")), {
          Spent: "162.00 of 50,000.00",
          "Target by now": "170.00",
          Delivery: "95.3 %",
          "Takes part in": "42.0 % of requests",
          Reserved: "0.01",
          Leased: "0.90",
        });
        const plots = await page
          .locator(".plot")
          .evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
        assert.deepEqual(plots, [
          "Spend against target: Spent 162.00, Target 170.00",
          "Part of the requests that it takes part in: Takes part in (p) 42.0 %",
          "Unique users reached: Estimate 40,112, Upper bound 41,437, Lower bound 38,829",
          "Impressions by window: Impressions 400",
        ]);
        assert.deepEqual(await rowsOf(page, "Cap denials"), [["MyApp.Caps", "4,211", "12", "3", "all campaigns"]]);
        assert.deepEqual(await rowsOf(page, "Conversions by model"), [
          ["Last touch", "120", "7,198.80", "1.35", "44.44"],
        ]);
        assert.deepEqual(await rowsOf(page, "By creative"), [
          ["7", "90,000", "4,000", "4.44 %", "121.50", "1.35", "0.030"],
          ["8", "30,000", "800", "2.67 %", "40.50", "1.35", "0.051"],
        ]);
        await page.getByRole("button", { name: "Spend", exact: true }).first().click();
        await becomes(() => page.locator(".plot").last().getAttribute("aria-label"), "Spend by window: Spend 0.54");
        assert.deepEqual([...new Set(asked(service, "campaign"))], ["/api/campaign?meter=MyApp.Ads&key=i42"]);
      },
    );

    page(
      "amounts below 0, as corrections are, are on the axis of their curve",
      {
        hash: "#/campaign?meter=MyApp.Ads&key=i42",
        prepare({ answers }) {
          answers.campaign.windows.metrics.impressions = [-2000, -1500, -1900, -1000, -400];
        },
      },
      async ({ page }) => {
        const plot = page.locator(".plot", { has: page.locator("canvas") }).last();
        await becomes(() => plot.getAttribute("aria-label"), "Impressions by window: Impressions -400");
        // The part of the width in which the line is. Nothing else of it is blue.
        const drawn = () =>
          plot.locator("canvas").evaluate((canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const columns = new Set();
            for (let at = 0; at < data.length; at += 4)
              if (data[at + 2] - data[at] > 80) columns.add((at / 4) % canvas.width);
            return columns.size / canvas.width;
          });
        await becomes(async () => (await drawn()) > 0.7, true);
      },
    );

    page(
      "attribution has the models side by side, and what no touch led to",
      { hash: "#/attribution", width: 1600 },
      async ({ page }) => {
        await becomes(
          () => rowsOf(page, "Conversions by model"),
          [
            [
              "42",
              "9,000",
              "162.00",
              "120",
              "110",
              "115.5",
              "118.4",
              "7,198.80",
              "6,598.90",
              "6,928.85",
              "7,102.82",
              "44.44",
              "40.73",
              "42.77",
              "43.84",
              "1.35",
              "1.47",
              "1.40",
              "1.37",
            ],
          ],
        );
        const foot = await rowsOf(page, "Conversions by model", "tfoot");
        assert.deepEqual(
          foot.map((row) => row.slice(0, 5)),
          [
            ["Unattributed", "–", "–", "40", "40"],
            ["All campaigns", "9,000", "162.00", "120", "110"],
          ],
        );
        assert.deepEqual((await rowsOf(page, "Conversions by model", "thead"))[0], [
          "",
          "Conversions",
          "Value",
          "ROAS",
          "CPA",
        ]);
      },
    );

    const health = {
      hash: "#/health",
      prepare({ answers }) {
        answers.health.pacers[0].clock_offsets["ads@10.0.0.9"] = -7900;
      },
    };

    page("health says what is wrong, and what to do", health, async ({ page, service }) => {
      const problems = () =>
        page
          .locator(".problem")
          .evaluateAll((all) => all.map((one) => [...one.children].map((part) => part.textContent)));
      await becomes(problems, [
        [
          "Failing: store MyApp.Store – the disk refuses what is written: no space left on device",
          "What to do: free space on the volume of the store, or move it: see guides/durability.md.",
        ],
        [
          "Warning: sink MyApp.Ads – 14 windows wait for AdTally.Sink.Files",
          "What to do: look into the log for why it fails; beyond :max_waiting the oldest are dropped.",
        ],
      ]);
      assert.deepEqual(await rowsOf(page, "Windows"), [["MyApp.Ads", "6", "54", "5 min 5 s", "14", "3", "0"]]);
      assert.deepEqual(await rowsOf(page, "Leases by node"), [
        ["ads@10.0.0.7", "MyApp.Pacer", "12", "0.91"],
        ["ads@10.0.0.8", "MyApp.Pacer", "11", "0.81"],
      ]);
      assert.deepEqual(await rowsOf(page, "Pacers"), [
        ["MyApp.Pacer", "ads@10.0.0.9", "–", "ads@10.0.0.8: 6.2 s ahead, ads@10.0.0.9: 7.9 s behind"],
      ]);
      assert.equal((await rowsOf(page, "Pacers", "thead"))[0].pop(), "Clocks that differ");
      assert.equal((await rowsOf(page, "Stores"))[0].pop(), "no space left on device");
      service.answers.health.problems = [];
      await becomes(() => text(page.locator(".problems")), "All is well. No part reports a problem.");
      await becomes(() => page.locator("#problems").isHidden(), true);
    });
  });

  describe("Nothing to show", { concurrency: 2 }, () => {
    page(
      "without a meter the page says how to add one",
      {
        prepare({ answers }) {
          Object.assign(answers.overview, { meters: [], attributions: [], parts: [], stores: [], pacers: [] });
        },
      },
      async ({ page }) => {
        await becomes(() => page.locator(".empty").first().isVisible(), true);
        assert.match(await text(page.locator(".empty").first()), /^No meter runs on this node.*AdTally\.Meter/s);
      },
    );

    for (const [view, what] of [
      ["campaigns", "meter"],
      ["attribution", "attribution"],
    ]) {
      page(
        `${view} without any ${what} say how to add one, and ask for none`,
        {
          hash: `#/${view}`,
          prepare: ({ answers }) => Object.assign(answers.overview, { meters: [], attributions: [] }),
        },
        async ({ page, service }) => {
          await becomes(() => text(page.locator(".empty:visible strong")), `No ${what} runs on this node`);
          assert.deepEqual(asked(service, view), []);
        },
      );
    }

    page(
      "what had no room for a row is in a row of its own",
      {
        hash: "#/campaigns",
        prepare({ answers }) {
          answers.campaigns.overflow = {
            impressions: 7,
            clicks: 1,
            purchases: 0,
            spend_micros: 2000000,
            video_starts: 0,
          };
        },
      },
      async ({ page }) => {
        await becomes(
          async () => (await rowsOf(page, "Campaigns", "tfoot")).map((row) => row.slice(0, 3)),
          [
            ["Without a row", "7", "1"],
            ["All campaigns", "125,000", "5,100"],
          ],
        );
      },
    );

    page(
      "without events the page says how to record one",
      {
        hash: "#/campaigns",
        prepare({ answers }) {
          Object.assign(answers.campaigns, { rows: [], count: 0 });
        },
      },
      async ({ page }) => {
        await becomes(() => page.locator("table").isHidden(), true);
        assert.match(
          await text(page.locator("main")),
          /No events in the windows.*AdTally\.Meter\.record\(MyApp\.Ads, event\)/s,
        );
      },
    );

    page(
      "a search that finds nothing says so, and what is found is asked of the service",
      {
        hash: "#/campaigns",
        prepare({ answers }) {
          const all = answers.campaigns;
          answers.campaigns = (query) => {
            const rows = all.rows.filter((row) => row.name.includes(query.get("search") || ""));
            return { ...all, rows, count: rows.length };
          };
        },
      },
      async ({ page }) => {
        const search = page.getByRole("searchbox");
        await search.fill("summer");
        await becomes(() => names(page), ["summer_sale"]);
        await search.fill(SCRIPT.slice(0, 4) + "x");
        await becomes(() => text(page.locator(".empty:visible p").first()), "Nothing has “<scrx” in its name");
        await search.fill("");
        await becomes(async () => (await names(page)).length, 3);
      },
    );

    page("a search that is left at once changes no other view", { hash: "#/campaigns" }, async ({ page }) => {
      await becomes(async () => (await names(page)).length, 3);
      await page.evaluate(() => {
        const search = document.querySelector("input[type=search]");
        search.value = "summer";
        search.dispatchEvent(new Event("input", { bubbles: true }));
        location.hash = "#/health";
      });
      await becomes(() => text(page.locator("h1")), "Health");
      await pause(500);
      assert.equal(new URL(page.url()).hash, "#/health");
    });

    page(
      "a meter or campaign that is not there is what the service says of it",
      {
        hash: "#/campaign?meter=MyApp.Adz&key=i42",
        expected: /404/,
        prepare({ answers }) {
          answers.campaign = fixture("error");
        },
      },
      async ({ page }) => {
        await becomes(
          () => text(page.locator(".empty:visible p").last()),
          'There is no meter named "MyApp.Adz" that runs; those that run are: MyApp.Ads, MyApp.Video.',
        );
      },
    );

    page(
      "a service that wants a token says how to give it",
      {
        expected: /401/,
        prepare({ answers }) {
          answers.overview = { error: "unauthorized", status: 401, message: "token" };
        },
      },
      async ({ page }) => {
        await becomes(() => page.locator("#alarm").isVisible(), true);
        assert.match(await text(page.locator("#alarm")), /open this page once with \?token=/);
      },
    );
  });

  describe("Sorting", { concurrency: 2 }, () => {
    const order = { hash: "#/campaigns", width: 1600 };
    const header = (page, name) => page.getByRole("columnheader", { name });

    page(
      "a click sorts by a column, the largest first, and another one the other way",
      order,
      async ({ page, service }) => {
        await becomes(() => names(page), ["summer_sale", "42", SCRIPT]);
        assert.equal(await header(page, "Spend").getAttribute("aria-sort"), "descending");
        await page.getByRole("button", { name: "Clicks" }).click();
        assert.deepEqual(await names(page), ["42", "summer_sale", SCRIPT]);
        assert.equal(await header(page, "Clicks").getAttribute("aria-sort"), "descending");
        assert.equal(await header(page, "Spend").getAttribute("aria-sort"), null);
        await page.getByRole("button", { name: "Clicks" }).click();
        assert.deepEqual(await names(page), [SCRIPT, "summer_sale", "42"]);
        assert.equal(await header(page, "Clicks").getAttribute("aria-sort"), "ascending");
        await becomes(() => asked(service, "campaigns").pop(), "/api/campaigns?sort=clicks&order=asc");
      },
    );

    page("names are sorted as people sort them, and by the keyboard", order, async ({ page }) => {
      const button = page.getByRole("button", { name: "Campaign", exact: true });
      await button.focus();
      await page.keyboard.press("Enter");
      assert.deepEqual(await names(page), [SCRIPT, "42", "summer_sale"]);
      await page.keyboard.press("Space");
      assert.deepEqual(await names(page), ["summer_sale", "42", SCRIPT]);
      await pause(1100);
      assert.equal(await page.evaluate(() => document.activeElement.textContent), "Campaign");
    });

    page("what is not known is last either way", order, async ({ page }) => {
      for (const last of [SCRIPT, SCRIPT]) {
        await page.getByRole("button", { name: "CPC" }).click();
        assert.equal((await names(page)).pop(), last);
      }
    });

    page(
      "the order is in the address",
      { ...order, hash: "#/campaigns?sort=impressions&order=asc" },
      async ({ page }) => {
        await becomes(() => names(page), ["summer_sale", SCRIPT, "42"]);
        assert.equal(await header(page, "Impressions").getAttribute("aria-sort"), "ascending");
      },
    );

    // The second and the third get figures by which they would be the last and the first.
    function reorder({ answers: { campaigns } }) {
      campaigns.rows[1].spend_micros = "9223372036854775807";
      campaigns.rows[2].spend_micros = 1;
    }
    const before = ["summer_sale", "42", SCRIPT];
    const afterwards = [SCRIPT, "42", "summer_sale"];
    const newSpend = async (page) => (await rowsOf(page, "Campaigns"))[0][8];

    page("rows stay in their order while one of them has the focus", order, async ({ page, service }) => {
      await becomes(() => names(page), before);
      await page.getByRole("link", { name: "42" }).focus();
      reorder(service);
      await becomes(() => newSpend(page), "0.00");
      assert.deepEqual(await names(page), before);
      await page.evaluate(() => document.activeElement.blur());
      await becomes(() => names(page), afterwards);
    });

    page("rows stay in their order while the pointer moves over them", order, async ({ page, service }) => {
      await becomes(() => names(page), before);
      const row = page.getByRole("row", { name: /^42/ });
      // In the page itself, so that it is in time however busy this machine is.
      const timer = await row.evaluate((node) =>
        setInterval(() => node.dispatchEvent(new PointerEvent("pointermove", { bubbles: true })), 50),
      );
      reorder(service);
      await becomes(() => newSpend(page), "0.00");
      assert.deepEqual(await names(page), before);
      await page.evaluate((id) => clearInterval(id), timer);
      await becomes(() => names(page), afterwards);
    });
  });

  describe("Time", { concurrency: 2 }, () => {
    page("figures are live, and elements stay", {}, async ({ page, service }) => {
      const cell = page.locator("table", { hasText: "Events of MyApp.Ads by outcome" }).locator("tbody td").nth(1);
      await becomes(() => text(cell), "130,912");
      await cell.evaluate((node) => {
        node.mark = "same";
      });
      service.answers.overview.meters[0].totals.applied = 130_999;
      await becomes(() => text(cell), "130,999");
      assert.equal(await cell.evaluate((node) => node.mark), "same");
      service.answers.overview.meters.push({ ...fixture("overview").meters[0], name: "MyApp.Video" });
      await becomes(() => panel(page, "MyApp.Video").isVisible(), true);
      service.answers.overview.meters.shift();
      await becomes(() => panel(page, "MyApp.Ads").isVisible(), false);
    });

    page(
      "a service that dies is said to be gone, and goes on when it is back",
      { expected: /ERR_|Failed to load/ },
      async ({ page, service }) => {
        await becomes(() => status(page), "Live");
        await service.die();
        await becomes(() => page.locator("#alarm").isVisible(), true);
        assert.match(
          await text(page.locator("#alarm")),
          /^No answer from the service since \d\d:\d\d:\d\d\. The figures below are of that time\. The page goes on asking\.$/,
        );
        assert.equal(await status(page), "No answer");
        assert.equal((await tiles(panel(page, "MyApp.Ads"))).Counted, "800 /s");
        service.answers.overview.meters[0].rate.applied = 5;
        service.answers.overview.node = "ads@10.0.0.8";
        await service.start(service.port);
        await becomes(() => page.locator("#alarm").isHidden(), true);
        await becomes(async () => (await tiles(panel(page, "MyApp.Ads"))).Counted, "5.0 /s");
        assert.equal(await text(page.locator("#node")), "ads@10.0.0.8");
        assert.equal(await status(page), "Live");
      },
    );

    page(
      "an answer that is not of the service, as of a proxy, is said to be none",
      { expected: /503/ },
      async ({ page, service }) => {
        await becomes(() => status(page), "Live");
        const answer = service.answer;
        service.answer = (request, response) => {
          response.writeHead(503, { "content-type": "text/html" });
          response.end("<html>Too many connections</html>");
        };
        await becomes(() => page.locator("#alarm").isVisible(), true);
        assert.match(await text(page.locator("#alarm")), /\(what answered was not the page's service: status 503\)\./);
        service.answer = answer;
        await becomes(() => status(page), "Live");
      },
    );

    page("a hidden tab asks for nothing, and goes on when it is shown", {}, async ({ page, service }) => {
      await becomes(() => status(page), "Live");
      const hide = (hidden) =>
        page.evaluate((value) => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
          document.dispatchEvent(new Event("visibilitychange"));
        }, hidden);
      await hide(true);
      await pause(100);
      const before = service.asked.length;
      await pause(2300);
      assert.equal(service.asked.length, before);
      await hide(false);
      await becomes(() => service.asked.length > before, true);
    });

    page("refresh is switched off and on, and by hand", {}, async ({ page, service }) => {
      await becomes(() => status(page), "Live");
      await page.getByLabel("Refresh", { exact: true }).selectOption("off");
      await pause(100);
      const before = asked(service, "overview").length;
      await pause(1500);
      assert.equal(asked(service, "overview").length, before);
      assert.equal(await status(page), "Paused");
      await page.getByRole("button", { name: "Refresh now" }).click();
      await becomes(() => asked(service, "overview").length, before + 1);
      await page.reload();
      assert.equal(await page.getByLabel("Refresh", { exact: true }).inputValue(), "0");
      await becomes(() => panel(page, "MyApp.Ads").locator("canvas").count(), 2);
      await page.getByLabel("Refresh", { exact: true }).selectOption("every second");
      await becomes(() => asked(service, "overview").length > before + 3, true);
    });

    page("a round begins after the one before, however slow the service is", {}, async ({ service }) => {
      let [now, most, served] = [0, 0, 0];
      const answer = service.answer.bind(service);
      service.answer = (request, response) => {
        if (!request.url.startsWith("/api/overview")) return answer(request, response);
        most = Math.max(most, (now += 1));
        return setTimeout(() => {
          now -= 1;
          served += 1;
          answer(request, response);
        }, 1300);
      };
      await becomes(() => served >= 2, true);
      assert.equal(most, 1);
    });

    page("in another view the head is not asked for each second", { hash: "#/attribution" }, async ({ service }) => {
      await becomes(() => asked(service, "attribution").length >= 3, true);
      assert.equal(asked(service, "overview").length, 1);
      assert.equal(asked(service, "health").length, 1);
    });
  });

  describe("Everybody", { concurrency: 2 }, () => {
    page("a campaign is found by its key, whatever it is called", { hash: "#/campaigns" }, async ({ page, service }) => {
      service.answers.campaign.row.name = SCRIPT;
      await page.getByRole("link", { name: SCRIPT }).click();
      await becomes(() => text(page.locator("h1")), `Campaign ${SCRIPT}`);
      assert.match(page.url(), /key=bPHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg/);
      assert.match(await page.title(), /^Campaign <script>alert/);
    });

    for (const { view, shown, prepare = () => {}, expected } of NAMED) {
      page(
        `names are text, whatever they are: ${view}`,
        {
          hash: `#/${view}`,
          expected,
          prepare({ answers }) {
            for (const name of Object.keys(answers).filter((one) => one !== "series"))
              answers[name] = renamed(answers[name], h);
            prepare(answers);
          },
        },
        async ({ page }) => {
          const missing = () =>
            page.evaluate((expected) => {
              const all = [...document.querySelectorAll("*")].flatMap((node) => [
                node.textContent,
                node.getAttribute("title"),
                node.getAttribute("aria-label"),
              ]);
              const told = all.join("\n").replaceAll("\u00a0", " ");
              return expected.filter((one) => !told.includes(one));
            }, shown);
          await becomes(missing, []);
          assert.equal(await page.locator(ELEMENTS).count(), 0);
          // Otherwise there would have been some.
          const parsed = await page.evaluate(
            ([html, elements]) =>
              new DOMParser().parseFromString(html, "text/html").querySelectorAll(elements).length,
            [shown.join(""), ELEMENTS],
          );
          assert.equal(parsed, 2 * (shown.join("").split(HTML).length - 1));
        },
      );
    }

    page("everything is reached by keyboard alone", { hash: "#/overview", width: 1600 }, async ({ page }) => {
      const press = async (key, times = 1) => {
        for (let n = 0; n < times; n += 1) await page.keyboard.press(key);
      };
      const focus = () => page.evaluate(() => document.activeElement.textContent.trim());
      await becomes(() => status(page), "Live");
      await press("Tab");
      assert.equal(await focus(), "Skip to the figures");
      await press("Enter");
      assert.equal(await page.evaluate(() => document.activeElement.id), "main");
      await press("Shift+Tab", 5);
      assert.equal(await focus(), "Campaigns");
      await press("Enter");
      await becomes(focus, "Campaigns of MyApp.Ads");
      await becomes(() => names(page).then((all) => all.length), 3);
      let steps = 0;
      while ((await focus()) !== "42" && steps < 40) {
        await press("Tab");
        steps += 1;
      }
      assert.equal(await focus(), "42");
      await press("Enter");
      await becomes(focus, "Campaign 42");
      await press("Shift+Tab");
      assert.equal(await focus(), "All campaigns");
      await page.goBack();
      await becomes(focus, "Campaigns of MyApp.Ads");
    });

    for (const scheme of ["light", "dark"]) {
      page(`axe finds nothing wrong in any view, ${scheme}`, { scheme }, async ({ page, service }) => {
        for (const view of VIEWS) {
          await page.goto(`${service.url}#/${view}`);
          await becomes(() => page.locator("h1").isVisible(), true);
          await becomes(
            () =>
              page
                .locator(".panel:visible")
                .count()
                .then((n) => n > 0),
            true,
          );
          await pause(150);
          assert.deepEqual(await violations(page), [], view);
        }
      });
    }

    for (const width of [400, 1600]) {
      page(
        `no view is wider than a screen of ${width} pixels, light or dark`,
        { width },
        async ({ page, service }) => {
          for (const view of VIEWS) {
            for (const colorScheme of ["light", "dark"]) {
              await page.emulateMedia({ colorScheme });
              await page.goto(`${service.url}#/${view}`);
              await becomes(
                () =>
                  page
                    .locator(".panel:visible")
                    .count()
                    .then((n) => n > 0),
                true,
              );
              await pause(60);
              const [has, back] = await page.evaluate(() => [
                document.documentElement.scrollWidth,
                getComputedStyle(document.body).backgroundColor,
              ]);
              assert.equal(has, width, view);
              assert.equal(back, colorScheme === "light" ? "rgb(245, 246, 248)" : "rgb(14, 18, 23)");
            }
          }
        },
      );
    }

    for (const width of [400, 1600]) {
      page(
        `no name is wider than a screen of ${width} pixels, however long it is`,
        {
          width,
          prepare({ answers }) {
            for (const name of Object.keys(answers).filter((one) => one !== "series"))
              answers[name] = renamed(answers[name], (one) => one + "x".repeat(1000));
            const columns = Array.from({ length: 16 }, (_, n) => ({ key: `m${n}`, role: null, unit: "count" }));
            answers.campaign.columns.push(...columns);
            for (const { key } of columns) answers.campaign.windows.metrics[key] = [1, 2, 3, 4, 5];
          },
        },
        async ({ page, service }) => {
          for (const view of VIEWS) {
            await page.goto(`${service.url}#/${view}`);
            const named = page.locator("main .panel:visible, main .problem:visible", { hasText: "xxxxx" });
            await becomes(async () => (await named.count()) > 0, true);
            await pause(150);
            assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, view);
          }
        },
      );
    }

    page(
      "a table that is wider than a phone scrolls within its panel, by keyboard too",
      { hash: "#/campaigns", width: 400 },
      async ({ page }) => {
        const region = page.getByRole("region", { name: "Campaigns" });
        await becomes(() => region.getAttribute("tabindex"), "0");
        await region.focus();
        await page.keyboard.press("ArrowRight");
        await becomes(() => region.evaluate((node) => node.scrollLeft > 0), true);
        const name = page.getByRole("rowheader", { name: "42" });
        assert.ok((await name.boundingBox()).x < 30);
      },
    );
  });
});
