// The examples' pages in a real browser: the demo serves them, their own programs feed them.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { launch } from "../browser.js";
import { Server } from "../server.js";

const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));
const PYTHON = process.env.PYTHON ?? path.join(REPOSITORY, "build/examples/venv/bin/python");
const PATIENCE_MS = 60_000;
const PHONE = { width: 390, height: 844 };

let browser;
let server;
let programs = [];

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
  for (const program of programs) program.kill();
  programs = [];
});

/** Runs a program until the test is over. */
function start(command, ...options) {
  const env = { ...process.env, PYTHONUNBUFFERED: "1", OPENBLAS_NUM_THREADS: "1" };
  const program = spawn(command, options, { cwd: REPOSITORY, env, stdio: ["ignore", "inherit", "inherit"] });
  programs.push(program);
}

/** Opens the page of an example by its link on the demo's page. */
async function open(name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 860 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") page.errors.push(message.text());
  });
  await page.goto(server.page);
  await page.locator(`#examples a[data-example="${name}"]`).click();
  return page;
}

const isOpen = (page, selector = "#connection") => page.locator(`${selector}[data-state="open"]`).first().waitFor();

/** On a phone nothing is wider than the screen, and the page can be looked at where one asks for it. */
async function fits(page, name) {
  const shoot = async (size) => {
    if (!process.env.SCREENSHOTS) return;
    await page.screenshot({ path: path.join(process.env.SCREENSHOTS, `${name}-${size}.png`), fullPage: true });
  };
  await shoot("wide");
  await page.setViewportSize(PHONE);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  await shoot("phone");
  assert.ok(wide <= PHONE.width, `${wide} pixels wide`);
}

/** Whether anything is drawn on a canvas. */
const isDrawn = (page, id) =>
  page.waitForFunction((name) => {
    const canvas = document.getElementById(name);
    if (!canvas.width || !canvas.height) return false;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((byte, at) => at % 4 === 3 && byte > 0);
  }, id);

test("a training is watched, paused, asked to draw, and stopped", async () => {
  const page = await open("trainer");
  await isOpen(page);
  const native = `ws://${server.listen}/v1/ws`;
  const where = ["--url", native, "--publish", `http://${server.admin}`];
  start(PYTHON, "examples/trainer/train.py", ...where, "--epochs", "2000", "--sample-every", "2");
  await page.locator('#status[data-status="training"]').waitFor();
  await page.locator("#samples li img").nth(19).waitFor();
  await isDrawn(page, "chart");
  await page.locator("#host meter").first().waitFor();

  await page.locator('[data-command="pause"]').click();
  await page.locator('#status[data-status="paused"]').waitFor();
  await page.locator("#digit").selectOption("7");
  await page.locator('[data-command="sample"]').click();
  await page.locator('#custom img[alt="digit 7"]').waitFor();
  await fits(page, "trainer");

  // Who comes later sees what was before.
  const late = await open("trainer");
  await late.locator("#samples li img").nth(9).waitFor();
  await late.locator('#status[data-status="paused"]').waitFor();

  await page.locator('[data-command="resume"]').click();
  await page.locator('#status[data-status="training"]').waitFor();
  await page.locator('[data-command="stop"]').click();
  await page.locator('#status[data-status="stopped"]').waitFor();
  assert.deepEqual([...page.errors, ...late.errors], []);
});

test("the pool table is drawn as it is seen, and filmed", async () => {
  const page = await open("table");
  await isOpen(page);
  start(PYTHON, "examples/table/play.py", "--publish", `http://${server.admin}`);
  await isDrawn(page, "table");
  await page.waitForFunction(() => document.getElementById("camera").naturalWidth > 300);
  await page.locator("#events .game_started").waitFor();
  await page.locator("#events .shot_taken").first().waitFor();
  await page.waitForFunction(() => /\d+ states\/s/.test(document.getElementById("rate").textContent));
  await fits(page, "table");
  assert.deepEqual(page.errors, []);
});

test("a spoken file is understood", async () => {
  const file = path.join(mkdtempSync(path.join(tmpdir(), "spoken-")), "spoken.wav");
  const spoken = "computer, turn on the light in the kitchen";
  const speaking = spawnSync("espeak-ng", ["-v", "en-us", "-s", "140", "-w", file, spoken]);
  assert.equal(speaking.status, 0, String(speaking.stderr));
  const page = await open("speech");
  await isOpen(page);
  const native = `ws://${server.listen}/v1/ws`;
  start(PYTHON, "examples/speech/recognizer.py", "--url", native, "--publish", `http://${server.admin}`);
  // A command is answered once the recogniser is there.
  await page.waitForFunction(() => {
    document.querySelector('[data-command="start_session"]').click();
    return /session_id/.test(document.getElementById("answer").textContent);
  }, undefined, { polling: 500 });
  await page.locator("#file").setInputFiles(file);
  await page.locator('#wake[data-awake="yes"]').waitFor();
  await page.locator("#transcript li").first().waitFor();
  assert.match(await page.locator("#transcript li").first().textContent(), /computer turn on the light/);
  await fits(page, "speech");
  assert.deepEqual(page.errors, []);
});

test("a stroke is recognised and seen by others, and a question is answered", async () => {
  const [page, other] = [await open("gesture"), await open("gesture")];
  await Promise.all([isOpen(page), isOpen(other)]);
  start(PYTHON, "examples/gesture/answerer.py");
  const pad = await page.locator("#pad").boundingBox();
  const at = (x, y) => [pad.x + x * pad.width, pad.y + y * pad.height];
  await page.mouse.move(...at(0.2, 0.5));
  await page.mouse.down();
  await page.mouse.move(...at(0.8, 0.5), { steps: 20 });
  await page.mouse.up();
  for (const seen of [page, other]) await seen.locator("#gestures b", { hasText: "swipe right" }).waitFor();

  await page.locator("#query").fill("What is a wave?");
  // It is asked again until the service has started.
  await page.waitForFunction(() => {
    if (document.querySelector("#answers p")) return true;
    document.querySelector("#ask button").click();
    return false;
  }, undefined, { polling: 1_000 });
  for (const seen of [page, other]) await seen.locator("#answers p", { hasText: "from side to side" }).first().waitFor();
  await fits(page, "gesture");
  assert.deepEqual(other.errors, []);
});

test("a document reaches the devices of its user, and no others", async () => {
  start(path.join(path.dirname(PYTHON), "nats-server"), "--addr", "127.0.0.1", "--port", "4222");
  start(PYTHON, "examples/studio/service.py", "--sentence-ms", "100");
  const page = await open("studio");
  await isOpen(page, ".state");
  const device = (name) => page.locator(`[data-device="${name}"]`);
  await device("ada/laptop").locator("textarea").fill("The sea was calm. Nobody was there. The sea slept.");
  // It is asked again until the service has started.
  await page.waitForFunction(() => {
    const laptop = document.querySelector('[data-device="ada/laptop"]');
    if (laptop.querySelector(".document")) return true;
    laptop.querySelector("form button").click();
    return false;
  }, undefined, { polling: 2_000 });
  const there = device("ada/phone").locator(".document").first();
  await there.waitFor();
  await there.locator('[data-processor="words"]').click();
  for (const name of ["ada/laptop", "ada/phone"]) {
    await device(name).locator(".derived li", { hasText: "sea (2)" }).first().waitFor();
  }
  await device("ben/desktop").locator("form button").click();
  await device("ben/tablet").locator(".document").first().waitFor();
  await fits(page, "studio");
  for (const name of ["ben/desktop", "ben/tablet"]) {
    assert.equal(await device(name).locator(".document", { hasText: "sea" }).count(), 0);
  }
  assert.deepEqual(page.errors, []);
});
