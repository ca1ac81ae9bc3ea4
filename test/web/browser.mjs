// Chromium, driven by playwright-core. bin/web-test installs both and says where they are:
// AD_TALLY_BROWSER is the program, AD_TALLY_MODULES the folder with node_modules.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { AD_TALLY_BROWSER: executablePath, AD_TALLY_MODULES: modules } = process.env;
if (!executablePath || !modules) throw new Error("run this by bin/web-test");

const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// Chromium needs no sandbox against pages of ours, has none as root, and talks to nobody by itself.
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];

export const launch = () => chromium.launch({ executablePath, args: FLAGS });

/**
 * A page of a service, whose every console message, error, dialog and request is kept. `well()` asserts that there
 * was nothing that should not be; a test that has the service die says which messages it expects.
 */
export async function open(browser, service, { hash = "", width = 1280, scheme = "light", ...more } = {}) {
  const viewport = { width, height: 900 };
  const context = await browser.newContext({ viewport, colorScheme: scheme, timezoneId: "UTC", ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const seen = { messages: [], requests: [] };
  page.on("console", (message) => seen.messages.push(message.text()));
  page.on("pageerror", (error) => seen.messages.push(String(error)));
  page.on("dialog", (dialog) => {
    seen.messages.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => seen.requests.push(request.url()));
  await page.goto(service.url + hash);

  function well(expected = null) {
    assert.deepEqual(expected ? seen.messages.filter((text) => !expected.test(text)) : seen.messages, []);
    assert.deepEqual(
      seen.requests.filter((url) => !url.startsWith(service.url)),
      [],
    );
    assert.ok(seen.requests.length > 0);
  }

  return { page, context, well, ...seen };
}

/** What axe-core, which others wrote, finds wrong in a page as it is now: contrast, names, roles, landmarks. */
export async function violations(page) {
  await page.evaluate(axe);
  const result = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }),
  );
  return result.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join("  ")}`);
}

/** A table as its reader sees it: an array of rows, and each of them its cells' text. */
export function rowsOf(page, caption, part = "tbody") {
  const rows = page.locator("table", { has: page.locator(`caption:text-is(${JSON.stringify(caption)})`) });
  return rows
    .locator(`${part} tr`)
    .evaluateAll((lines) =>
      lines.map((line) => [...line.children].map((cell) => cell.textContent.replaceAll("\u00a0", " ").trim())),
    );
}

/** Waits until `look` gives what is expected, and fails with the difference, or with what it threw. */
export async function becomes(look, expected, patience = 10_000) {
  const end = Date.now() + patience;
  for (;;) {
    try {
      assert.deepEqual(await look(), expected);
      return;
    } catch (error) {
      if (Date.now() >= end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}
