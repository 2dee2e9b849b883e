// The page of the table: speaks the table dialect, as any client of it would.

import { connect, element, make, server } from "../../web/socket.js";
import { Drawing } from "./drawing.js";

const HAPPENINGS = ["game_started", "game_ended", "shot_taken", "ball_pocketed", "foul", "alert"];
const LINES_MAX = 100;
const PING_MS = 5_000;
const CORNERS = ["top left", "top middle", "top right", "bottom left", "bottom middle", "bottom right"];

const at = server(8000);
const drawing = new Drawing(element("table"));
const figures = { client: "–", quality: "–", "round trip": "–", camera: "–", vision: "–", published: "–" };
/** What happened last comes again after an interruption. */
const known = new Set();
let colours = {};
let states = 0;
let asked = 0;

element("camera").src = `http://${at}/api/v1/websocket/frame.mjpeg`;

const socket = connect(`ws://${at}/api/v1/ws`, {
  shown: element("connection"),
  opened: (opened) => {
    const subscribe = (data) => opened.send(JSON.stringify({ type: "subscribe", data }));
    subscribe({ streams: ["config"], last: 1 });
    subscribe({ streams: ["state", "trajectory", "performance"] });
    subscribe({ streams: HAPPENINGS, last: 20 });
  },
  received: ({ type, data, timestamp, sequence }) => {
    if (HAPPENINGS.includes(type)) happened(type, data, timestamp, sequence);
    else show[type]?.(data);
  },
});

const show = {
  connection({ client_id }) {
    figures.client = client_id.slice(0, 8);
  },

  config(config) {
    colours = config.colours;
    drawing.config = config;
    element("camera-note").textContent = `${config.image.width} × ${config.image.height}`;
  },

  state(state) {
    states += 1;
    drawing.state = state;
    element("start").hidden = true;
    element("shots").textContent = `shot ${state.shots}`;
    if (element("pocketed").childElementCount === state.pocketed.length) return;
    element("pocketed").replaceChildren(...state.pocketed.map(ball));
  },

  trajectory(trajectory) {
    drawing.shot = trajectory;
  },

  performance({ fps, capture_ms, vision_ms, published, failures }) {
    figures.camera = `${fps} frames/s, ${capture_ms} ms`;
    figures.vision = `${vision_ms} ms`;
    figures.published = `${published.toLocaleString("en")}${failures ? `, ${failures} failed` : ""}`;
  },

  pong({ quality_score }) {
    figures.quality = `${Math.round(100 * quality_score)} %`;
    figures["round trip"] = `${Math.round(performance.now() - asked)} ms`;
  },

  error({ code, message }) {
    line("warning", `${code}: ${message}`, Date.now());
  },
};

function happened(type, data, timestamp, sequence) {
  const key = `${type} ${sequence} ${timestamp}`;
  if (known.has(key)) return;
  known.add(key);
  if (type === "shot_taken") drawing.shot = null;
  line(type === "alert" ? data.level : type, says[type](data), timestamp);
}

const says = {
  game_started: ({ balls }) => `A game begins with ${balls.length} balls.`,
  game_ended: ({ shots, seconds }) => `The table is cleared, after ${shots} shots in ${Math.round(seconds)} s.`,
  shot_taken: ({ shot, speed }) => `Shot ${shot}, at ${speed} m/s`,
  ball_pocketed: ({ ball, pocket }) =>
    `${ball === "cue" ? "The cue ball" : `Ball ${ball}`} falls, ${CORNERS[pocket]}.`,
  foul: ({ reason }) => `Foul: ${reason}.`,
  alert: ({ message }) => message,
};

function line(className, text, timestamp) {
  const item = make("li", className);
  item.append(make("time", "", new Date(timestamp).toLocaleTimeString("en-GB")), text);
  element("events").prepend(item);
  if (element("events").children.length > LINES_MAX) element("events").lastChild.remove();
}

function ball(name) {
  const item = make("li", "", name === "cue" ? "" : name);
  item.style.background = colours[name] ?? "#888";
  item.title = name;
  return item;
}

setInterval(() => {
  element("rate").textContent = states ? `${states} states/s` : "";
  states = 0;
  element("figures").replaceChildren(
    ...Object.entries(figures).map(([name, value]) => {
      const entry = make("div");
      entry.append(make("dt", "", name), make("dd", "", value));
      return entry;
    }),
  );
}, 1000);

setInterval(() => {
  asked = performance.now();
  socket.send({ type: "ping", data: {} });
}, PING_MS);
