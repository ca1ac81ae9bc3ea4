// The pictures of guides/observability.md, by bin/web-test --screenshots. Takes three minutes, so that curves have a
// past.
import { join } from "node:path";
import { becomes, launch, open } from "./browser.mjs";
import { VM } from "./vm.mjs";

const [, , dir] = process.argv;
const PAST = 150_000;

const vm = new VM();
const browser = await launch();
await vm.start("traffic");

/** A picture of a view, which has been looked at for a while if curves of its own are to have a past. */
async function picture(name, view, { height, link = null, wait = 1500 }) {
  const { page, context } = await open(browser, vm, { hash: `#/${view}`, width: 1280 });
  await page.setViewportSize({ width: 1280, height });
  if (link) await page.getByRole("link", { name: link }).click();
  await page.locator(".panel:visible").first().waitFor();
  await page.waitForTimeout(wait);
  await page.screenshot({ path: join(dir, `page-${name}.png`) });
  await context.close();
  console.log(join(dir, `page-${name}.png`));
}

try {
  await picture("campaign", "campaigns", { height: 1180, link: "new_game_launch", wait: PAST });
  await picture("overview", "overview", { height: 1060 });
  await picture("campaigns", "campaigns", { height: 640 });
} finally {
  await browser.close();
  await vm.stop();
}
