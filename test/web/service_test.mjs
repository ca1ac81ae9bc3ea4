// The page of a real service, of service.exs, and what that answers itself: headers, a token, a kill.
import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { becomes, launch, open, rowsOf } from "./browser.mjs";
import { VM } from "./vm.mjs";

const MARKUP = "<script>alert(1)</script>";
const text = (node) => node.evaluate((one) => one.textContent.replaceAll("\u00a0", " ").trim());

let browser;
let vm;
before(async () => {
  vm = new VM();
  browser = await launch();
  await vm.start("known");
});
after(async () => {
  await browser.close();
  await vm.stop();
});

// The longer a report took, the later it is made again: where all cores are busy, in half a minute and more.
const NEXT_REPORT = 60_000;

/** Of a table the row of a name. */
const row = async (page, caption, name) => (await rowsOf(page, caption)).find(([first]) => first === name);

async function visit(options, test) {
  const opened = await open(browser, options.service || vm, options);
  try {
    await test(opened.page);
    opened.well(options.expected);
  } finally {
    await opened.context.close();
  }
}

it("every view has what was recorded", async () => {
  await visit({ width: 1600 }, async (page) => {
    // 1,110 impressions and 40 clicks, and five copies.
    await becomes(async () => (await row(page, "Events of MyApp.Ads by outcome", "Counted"))?.[2], "1,150");
    assert.equal((await row(page, "Events of MyApp.Ads by outcome", "Duplicates"))[2], "5");
    assert.equal((await row(page, "Stores", "MyApp.Store"))[6], "0");
    await becomes(() => page.locator(".plot canvas").count(), 3);

    await page.getByRole("link", { name: "Campaigns" }).click();
    await becomes(
      async () => (await rowsOf(page, "Campaigns")).map(([name]) => name).sort(),
      ["42", MARKUP, "summer_sale"],
    );
    const known = await row(page, "Campaigns", "42");
    // Name, impressions, clicks and their rate, five conversions under three models, spend and what follows from it.
    assert.deepEqual(known.slice(0, 12), [
      "42",
      "1,000",
      "40",
      "4.00 %",
      "5",
      "5",
      "5",
      "3.25",
      "3.25",
      "0.081",
      "0.65",
      "30.77",
    ]);
    const reached = Number(known[12].replace(",", ""));
    assert.ok(Math.abs(reached - 501) <= 10, `${reached} users instead of 501`);

    await page.getByRole("link", { name: "42" }).click();
    await becomes(() => text(page.locator("h1")), "Campaign 42");
    assert.deepEqual(
      (await rowsOf(page, "By creative")).map((cells) => cells.slice(0, 3)),
      [
        ["banner", "750", "40"],
        ["video", "250", "0"],
      ],
    );
    assert.match(await text(page.locator("section", { hasText: "Budget in MyApp.Pacer" })), /Spent2\.50 of 10\.00/);

    await page.getByRole("link", { name: "Attribution" }).click();
    await becomes(
      async () => (await row(page, "Conversions by model", "42"))?.slice(0, 9),
      ["42", "40", "2.00", "5", "5", "5", "100.00", "100.00", "100.00"],
    );
    assert.deepEqual((await rowsOf(page, "Conversions by model", "tfoot"))[0].slice(0, 4), [
      "Unattributed",
      "–",
      "–",
      "1",
    ]);

    await page.getByRole("link", { name: "Health" }).click();
    await becomes(() => text(page.locator(".problems")), "All is well. No part reports a problem.");
  });
});

it("rows sorted and searched by the service are those that the page shows", async () => {
  await visit({ hash: "#/campaigns?sort=name&order=asc" }, async (page) => {
    const names = async () => (await rowsOf(page, "Campaigns")).map(([name]) => name);
    await becomes(names, [MARKUP, "42", "summer_sale"]);
    for (const column of [
      "Impressions",
      "Clicks",
      "CTR",
      "Last touch",
      "Spend",
      "eCPM",
      "CPC",
      "CPA",
      "ROAS",
      "Reach",
      "Frequency",
    ]) {
      const answered = page.waitForResponse((response) => /sort=.*order=desc/.test(response.url()));
      await page.locator("thead").getByRole("button", { name: column }).first().click();
      assert.equal((await answered).status(), 200, column);
    }
    await page.getByRole("searchbox").fill("SUMMER");
    await becomes(names, ["summer_sale"]);
  });
});

it("what is recorded is on the page with the next report", async () => {
  await visit({ hash: "#/campaigns" }, async (page) => {
    await becomes(async () => (await row(page, "Campaigns", "42"))?.[1], "1,000");
    await vm.tell("impressions 234");
    await becomes(async () => (await row(page, "Campaigns", "42"))[1], "1,234", NEXT_REPORT);
  });
});

it("no script and no style but those of the page's files are let in", async () => {
  await visit({ expected: /Content Security Policy/ }, async (page) => {
    const ran = await page.evaluate(async () => {
      const [script, style, image] = ["script", "style", "img"].map((tag) => document.createElement(tag));
      script.textContent = "window.ran = true";
      style.textContent = "body { margin: 77px }";
      image.src = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=";
      document.body.append(script, style, image);
      await new Promise((resolve) => {
        image.onerror = resolve;
        image.onload = resolve;
      });
      return [window.ran, getComputedStyle(document.body).margin, image.naturalWidth];
    });
    assert.deepEqual(ran, [undefined, "0px", 0]);
  });
});

it("a page with a token is opened once with it, and is closed to others", async () => {
  const token = "a-token-of-some-length";
  const service = { url: (await vm.tell(`token ${token}`)).replace(/\/?$/, "/") };
  const shut = await fetch(service.url);
  assert.equal(shut.status, 401);
  const opened = await open(browser, { url: `${service.url}?token=${token}` });
  await becomes(() => text(opened.page.locator("#status")), "Live");
  assert.equal(opened.page.url().includes(token), false);
  await opened.page.goto(service.url);
  await becomes(() => text(opened.page.locator("#status")), "Live");
  assert.deepEqual(
    await opened.context.cookies().then((all) => all.map(({ httpOnly, sameSite }) => [httpOnly, sameSite])),
    [[true, "Strict"]],
  );
  assert.deepEqual(opened.messages, []);
  await opened.context.close();
});

it("a VM that is killed is said to be gone, and the page goes on with what its store has kept", async () => {
  await visit({ hash: "#/campaigns", expected: /ERR_|Failed to load/ }, async (page) => {
    await becomes(async () => (await row(page, "Campaigns", "42"))?.[1], "1,234");
    await vm.tell("sync");
    await vm.kill();
    await becomes(() => page.locator("#alarm").isVisible(), true);
    assert.match(await text(page.locator("#alarm")), /^No answer from the service since/);
    assert.equal((await row(page, "Campaigns", "42"))[1], "1,234");
    await vm.start("kept");
    await becomes(() => page.locator("#alarm").isHidden(), true);
    assert.equal((await row(page, "Campaigns", "42"))[1], "1,234");
    // 234 of these 300 are copies of what the killed one had counted.
    await vm.tell("impressions 300");
    await becomes(async () => (await row(page, "Campaigns", "42"))[1], "1,300", NEXT_REPORT);
  });
});
