// A topic's images in an `<img>` of a real browser.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { launch } from "./browser.js";
import { Server } from "./server.js";

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

/** A JPEG in one colour, made by the page. */
async function jpeg(page, colour) {
  const bytes = await page.evaluate(async (fill) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 48];
    const context = canvas.getContext("2d");
    context.fillStyle = fill;
    context.fillRect(0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg"));
    return Array.from(new Uint8Array(await blob.arrayBuffer()));
  }, colour);
  return Uint8Array.from(bytes);
}

async function publish(topic, image) {
  const response = await fetch(`http://${server.admin}/v1/publish/${topic}`, {
    method: "POST",
    body: image,
    headers: { "content-type": "image/jpeg" },
  });
  assert.equal(response.status, 200, await response.text());
}

/** Waits until the image, drawn to a canvas, is nearly of this colour everywhere. */
function shows(page, colour) {
  return page.waitForFunction(
    (wanted) => {
      const image = document.querySelector("img");
      if (image.naturalWidth !== 64) return false;
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [64, 48];
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      return data.every((byte, at) => at % 4 === 3 || Math.abs(byte - wanted[at % 4]) < 12);
    },
    colour,
    { timeout: 20_000 },
  );
}

test("an image shows what is kept at once, and then each newer one", async () => {
  const page = await (await browser.newContext()).newPage();
  // A page of the same origin: what comes from elsewhere cannot be read from a canvas.
  await page.goto(`http://${server.listen}/`);
  await publish("camera.front", await jpeg(page, "rgb(250, 20, 20)"));
  await page.evaluate(() => {
    const image = document.createElement("img");
    image.src = "/v1/mjpeg/camera.front";
    document.body.append(image);
  });
  await shows(page, [250, 20, 20]);
  for (const [red, green, blue] of [[20, 200, 20], [20, 20, 250], [128, 128, 128]]) {
    await publish("camera.front", await jpeg(page, `rgb(${red}, ${green}, ${blue})`));
    await shows(page, [red, green, blue]);
  }
});
