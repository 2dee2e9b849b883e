// The demo's page in a real browser, with the real server.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { gaps, isBehind, isState, launch, openDemo, position } from "./browser.js";
import { Server } from "./server.js";

/** More than the stream of the figures keeps. */
const MORE_THAN_KEPT = 700;

let browser;
let server;

before(async () => {
  browser = await launch();
  server = await Server.start();
});

after(async () => {
  await browser?.close();
  await server?.end("SIGKILL");
});

afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});

test("figures arrive, and move", async () => {
  const page = await openDemo(browser, server);
  await page.locator("#none").waitFor();
  await page.locator("#without-figures").uncheck();
  await page.locator('#events li[data-topic="host.cpu"]').first().waitFor();
  const { seq } = await position(page, "host");
  await isBehind(page, "host", seq + 10);
  for (const id of ["cpu", "memory", "network", "disk"]) {
    assert.match(await page.locator(`#${id}`).textContent(), /\d/, id);
    const coloured = await page.locator(`#${id}-chart`).evaluate((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((byte, at) => at % 4 === 3 && byte > 0);
    });
    assert.ok(coloured, `the chart of ${id} shows nothing`);
  }
  assert.deepEqual(await gaps(page), []);
  assert.deepEqual(page.errors, []);
});

test("a published line stands in the list of the pattern that selects it", async () => {
  const page = await openDemo(browser, server);
  await page.locator("#pattern").fill("browser.*");
  await page.locator("#watch button").click();
  await server.publish("browser.other.deep", "not selected");
  await server.publish("browser.line", " r  b   swpd   free");
  const item = page.locator('#events li[data-topic="browser.line"]');
  await item.waitFor();
  assert.equal(await item.locator(".data").textContent(), " r  b   swpd   free");
  assert.equal(await page.locator("#events li").count(), 1);

  await page.locator("#pattern").fill("a..b");
  await page.locator("#watch button").click();
  await page.locator("#pattern-error:not(:empty)").waitFor();

  // What is kept comes first when a pattern is typed.
  await page.locator("#pattern").fill("browser.>");
  await page.locator("#watch button").click();
  await page.locator('#events li[data-topic="browser.other.deep"]').waitFor();
  assert.equal(await page.locator("#events li").count(), 2);
  assert.equal(await page.locator("#pattern-error").textContent(), "");
  assert.deepEqual(page.errors, []);
});

test("who was away for longer than events are kept sees which ones are lost", async () => {
  const page = await openDemo(browser, server);
  await isBehind(page, "host", 0);
  await page.context().setOffline(true);
  await isState(page, "waiting", 30_000);
  const { epoch, seq } = await position(page, "host");
  await server.publishMany("host.fill", MORE_THAN_KEPT);
  const { first: firstBefore } = await server.ask("GET", "/v1/streams/host");
  await page.context().setOffline(false);
  await isState(page, "open");
  await page.locator('#gaps .gap[data-stream="host"]').waitFor();
  const { first: firstAfter } = await server.ask("GET", "/v1/streams/host");

  const [gap, ...others] = await gaps(page);
  assert.deepEqual(others, []);
  assert.equal(gap.reason, "retention");
  assert.equal(gap.epoch, epoch);
  assert.equal(gap.from, seq + 1);
  assert.ok(gap.to >= firstBefore - 1 && gap.to < firstAfter, `${gap.to} of ${firstBefore}`);
  await isBehind(page, "host", gap.to);
  assert.deepEqual(page.errors, []);
});

test("after a crash of the server the page comes back by itself and tells the new epoch", async () => {
  const page = await openDemo(browser, server);
  await isBehind(page, "host", 0);
  const before = await position(page, "host");
  await server.end("SIGKILL");
  await isState(page, "waiting");
  server = await Server.start(server);
  await isState(page, "open", 40_000);
  await page.locator('#gaps .gap[data-stream="host"]').waitFor();

  const gap = (await gaps(page)).find(({ stream }) => stream === "host");
  assert.equal(gap.reason, "epoch");
  assert.notEqual(gap.epoch, before.epoch);
  assert.deepEqual([gap.from, gap.to], [1, 0]);
  assert.ok((await page.locator("#events li.gap").count()) > 0);
  await isBehind(page, "host", 0);
  assert.equal((await position(page, "host")).epoch, gap.epoch);
  assert.deepEqual(page.errors, []);
});

test("a drain sends the page away, and the next server gets it back", async () => {
  const page = await openDemo(browser, server);
  assert.equal(await server.end("SIGTERM"), 0);
  await isState(page, "waiting");
  server = await Server.start(server);
  await isState(page, "open", 40_000);
  await isBehind(page, "host", 0);
  assert.deepEqual(page.errors, []);
});

test("a page that the operator sends away does not come back", async () => {
  const page = await openDemo(browser, server);
  const { connections } = await server.ask("GET", "/v1/connections");
  assert.equal(connections.length, 1);
  await server.ask("DELETE", `/v1/connections/${connections[0].id}`);
  await isState(page, "closed");
  assert.match(await page.locator("#state").textContent(), /4403/);
});
