// The browser, and waiting for what a page shows.

import { chromium } from "playwright-core";

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Opens the demo's page and waits until it is live. Errors of the page are kept in `errors`. */
export async function openDemo(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 940 }, ...options });
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("console", (message) => {
    // A browser reports each attempt to connect that failed; trying again is the page's business.
    const isAttempt = /WebSocket connection to|ERR_INTERNET_DISCONNECTED/.test(message.text());
    if (message.type() === "error" && !isAttempt) page.errors.push(message.text());
  });
  await page.goto(server.page);
  await isState(page, "open");
  return page;
}

export function isState(page, state, timeout = 20_000) {
  return page.locator(`#state[data-state="${state}"]`).waitFor({ timeout });
}

/** The page's position in a stream. */
export async function position(page, stream) {
  const cells = page.locator(`#positions tr[data-stream="${stream}"] td`);
  const [, epoch, seq] = await cells.allTextContents();
  return { epoch, seq: Number(seq) };
}

/** Waits until the page's position in a stream is behind `seq`. */
export function isBehind(page, stream, seq) {
  return page.waitForFunction(
    ([name, behind]) => {
      const row = document.querySelector(`#positions tr[data-stream="${name}"]`);
      return row !== null && Number(row.lastChild.textContent) > behind;
    },
    [stream, seq],
  );
}

/** The gaps that the page shows, the newest first. */
export function gaps(page) {
  return page.locator("#gaps .gap").evaluateAll((items) =>
    items.map(({ dataset }) => ({
      stream: dataset.stream,
      epoch: dataset.epoch,
      from: Number(dataset.from),
      to: Number(dataset.to),
      reason: dataset.reason,
    })),
  );
}
