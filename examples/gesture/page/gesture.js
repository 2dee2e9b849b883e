// The page of gestures and answers: speaks the gesture dialect, as any client of it would.

import { connect, element, make, server } from "../../web/socket.js";
import { recognize } from "./strokes.js";

const GESTURES_MAX = 40;
const HEARTBEAT_MS = 30_000;
const FADE_MS = 1_200;

const at = server(3001);

const socket = connect(`ws://${at}/`, {
  shown: element("connection"),
  opened: (opened) =>
    opened.send(JSON.stringify({ type: "subscribe", channels: ["gesture", "ai_response", "system", "error"] })),
  received: ({ type, data }) => show[type]?.(data),
});

setInterval(() => socket.send({ type: "heartbeat" }), HEARTBEAT_MS);

const show = {
  gesture({ type, position, confidence }) {
    const item = make("li");
    const place = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    place.setAttribute("viewBox", "0 0 1 1");
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [name, value] of Object.entries({ cx: position.x, cy: position.y, r: 0.1, fill: "var(--first)" })) {
      dot.setAttribute(name, value);
    }
    place.append(dot);
    const meter = make("meter");
    meter.value = confidence ?? 0;
    meter.title = `confidence ${(confidence ?? 0).toFixed(2)}`;
    item.append(place, make("b", "", type.replaceAll("_", " ")), meter);
    element("gestures").prepend(item);
    if (element("gestures").children.length > GESTURES_MAX) element("gestures").lastChild.remove();
  },

  ai_response({ query, response, metadata }) {
    const item = make("li");
    const about = [metadata?.model, metadata?.inferenceTime !== undefined && `${metadata.inferenceTime} ms`];
    item.append(make("q", "", query), make("p", "", response), make("small", "note", about.filter(Boolean).join(" · ")));
    element("answers").prepend(item);
  },

  system({ event, message }) {
    if (event === "connection_count") element("count").textContent = message;
  },

  error({ error, details, code }) {
    problem(code === "AI_ERROR" ? `${error}${details ? `: ${details}` : ""}` : error);
  },
};

function problem(text) {
  element("problem").textContent = text;
}

async function post(path, body) {
  const response = await fetch(`http://${at}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    const { error } = await response.json().catch(() => ({}));
    throw new Error(error?.message ?? error ?? `${response.status}`);
  }
}

const pad = element("pad");
let stroke = null;
let ended = 0;

const place = ({ offsetX, offsetY }) => [offsetX / pad.clientWidth, offsetY / pad.clientHeight];

pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  stroke = [place(event)];
  ended = 0;
  draw();
});

pad.addEventListener("pointermove", (event) => {
  if (!stroke || ended) return;
  for (const part of event.getCoalescedEvents?.() ?? [event]) stroke.push(place(part));
});

pad.addEventListener("pointerup", () => {
  if (!stroke || ended) return;
  ended = performance.now();
  // A square is one on the pad, whatever its sides.
  const tall = pad.clientHeight / pad.clientWidth;
  const gesture = recognize(stroke.map(([x, y]) => [x, y * tall]));
  element("recognized").textContent = gesture ? gesture.type.replaceAll("_", " ") : "not recognised";
  if (!gesture) return;
  gesture.position.y /= tall;
  post("/api/gesture/process", { ...gesture, timestamp: Date.now() }).catch(({ message }) => problem(message));
});

pad.addEventListener("pointercancel", () => {
  stroke = null;
});

function draw() {
  const sharp = devicePixelRatio || 1;
  [pad.width, pad.height] = [pad.clientWidth * sharp, pad.clientHeight * sharp];
  const faded = ended ? (performance.now() - ended) / FADE_MS : 0;
  if (!stroke || faded > 1) return;
  const context = pad.getContext("2d");
  context.globalAlpha = 1 - faded;
  context.strokeStyle = getComputedStyle(pad).getPropertyValue("--first");
  [context.lineWidth, context.lineCap, context.lineJoin] = [5 * sharp, "round", "round"];
  context.beginPath();
  for (const [x, y] of stroke) context.lineTo(x * pad.width, y * pad.height);
  context.stroke();
  requestAnimationFrame(draw);
}

element("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  problem("");
  post("/api/ai/infer", { query: element("query").value }).catch(({ message }) => problem(message));
});
