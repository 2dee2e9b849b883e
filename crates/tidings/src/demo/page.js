// The demo's page: what its parts show, fed by one client with two subscriptions.

import { Client } from "./client.js";
import { exampleCards } from "./examples.js";
import { EventList, gapText } from "./events.js";
import { Figures } from "./figures.js";

/** As many as the stream keeps: the charts begin full. */
const FIGURES_LAST = 600;
/** Events of a pattern that was just typed. */
const EVENTS_LAST = 50;
const GAPS_SHOWN_MAX = 50;

const byId = (id) => document.getElementById(id);

const answer = await fetch("/demo/server.json");
const server = await answer.json();
const host = server.host ?? location.hostname;
for (const command of server.commands) {
  const line = document.createElement("pre");
  line.textContent = command;
  byId("try").append(line);
}

byId("examples").append(...exampleCards(server.examples, host));

const figures = new Figures(server.root);
const list = new EventList(byId("events"));
const client = new Client(`ws://${host}:${server.port}/v1/ws`, {
  onStatus: showStatus,
  onGap: showGap,
  onPositions: showPositionsSoon,
});
client.subscribe({ topics: [`${server.root}.>`], from: { last: FIGURES_LAST } }, {
  onEvent: (event) => figures.show(event),
});
let endWatch = watch();

byId("watch").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  watchAnew();
});
byId("without-figures").addEventListener("change", watchAnew);

function watchAnew() {
  endWatch();
  endWatch = watch();
}

/** Lists the events of the pattern that was typed; the result ends it. */
function watch() {
  list.clear();
  byId("pattern-error").textContent = "";
  const body = {
    topics: [byId("pattern").value.trim()],
    except: byId("without-figures").checked ? server.figures : [],
    from: { last: EVENTS_LAST },
  };
  return client.subscribe(body, {
    onEvent: (event) => list.add(event),
    onRefused: (error) => {
      byId("pattern-error").textContent = error.message;
    },
    onReplayLost: (stream) => {
      list.addNotice(`the connection broke before all earlier events of ${stream} had come`);
    },
  });
}

let isOpenBefore = false;
let countdown = null;

function showStatus({ state, why, waitMs, client: id }) {
  clearInterval(countdown);
  const texts = {
    connecting: "connecting…",
    open: `live, as client ${id?.slice(0, 8)}`,
    closed: `ended: ${why}`,
  };
  const show = (text) => {
    byId("state").dataset.state = state;
    byId("state").querySelector("span").textContent = text;
  };
  show(texts[state] ?? why);
  if (state === "waiting") {
    const until = Date.now() + waitMs;
    const tick = () => {
      const seconds = Math.max(0, (until - Date.now()) / 1000);
      show(`${why}; trying again in ${seconds.toFixed(1)} s`);
    };
    tick();
    countdown = setInterval(tick, 100);
  }
  if (state === "open" && isOpenBefore) list.addNotice("connected again; going on where it was");
  isOpenBefore ||= state === "open";
}

let gapCount = 0;

function showGap(gap) {
  gapCount += 1;
  byId("gap-count").textContent = gapCount;
  byId("gap-count").dataset.some = "";
  const item = document.createElement("li");
  item.className = "gap";
  Object.assign(item.dataset, gap);
  item.textContent = `${new Date().toLocaleTimeString()} · ${gapText(gap)}`;
  byId("gaps").prepend(item);
  while (byId("gaps").childElementCount > GAPS_SHOWN_MAX) byId("gaps").lastChild.remove();
  list.addGap(gap);
  if (gap.stream === server.stream) figures.addGap();
}

let isPositionsDue = false;

/** At most once per frame, however many events come. */
function showPositionsSoon() {
  if (isPositionsDue) return;
  isPositionsDue = true;
  requestAnimationFrame(() => {
    isPositionsDue = false;
    const rows = client.positions.map(([stream, { epoch, seq }]) => {
      const row = document.createElement("tr");
      row.dataset.stream = stream;
      for (const text of [stream, epoch ?? "?", seq]) row.insertCell().textContent = text;
      row.lastChild.className = "number";
      return row;
    });
    byId("positions").replaceChildren(...rows);
  });
}
