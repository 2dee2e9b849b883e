// The page of a training: speaks the trainer dialect, as any client of it would.

import { connect, element, make, server } from "../../web/socket.js";
import { Chart } from "./chart.js";

const EVENTS = ["training_progress", "training_status", "sample_progress", "system_stats"];
/** What is worth having from before the page was opened, and how many of each. */
const KEPT = { training_progress: 1, training_status: 1, sample_generated: 60, validation_result: 100, log: 30 };
const OVER = ["stopped", "completed", "error"];
const ROWS_MAX = 60;
const LINES_MAX = 200;

const chart = new Chart(element("chart"));
const wanted = new URLSearchParams(location.search).get("room");
const seen = new Set();
let room = wanted;
let isAcquainted = false;
let lastStep = 0;

const socket = connect(`ws://${server(8100)}/ws`, {
  shown: element("connection"),
  opened: (opened) => {
    const ask = (message) =>
      opened.send(JSON.stringify({ type: "subscribe", ...message, ...(wanted && { room: wanted }) }));
    // After an interruption the server knows where this page was, and sends what it missed.
    for (const [event, replay] of Object.entries(KEPT)) {
      ask(isAcquainted ? { events: [event] } : { events: [event], replay });
    }
    ask({ events: EVENTS });
    isAcquainted = true;
  },
  received: (message) => {
    if (message.room && message.room !== room) enter(message.room);
    show[message.type]?.(message);
  },
});

/** The page shows one training: the newest, where none was asked for. */
function enter(name) {
  room = name;
  element("room").textContent = name;
  begin();
}

function begin() {
  lastStep = 0;
  seen.clear();
  chart.clear();
  for (const id of ["samples", "custom"]) element(id).replaceChildren();
}

const show = {
  training_progress(event) {
    if (event.global_step < lastStep) begin();
    lastStep = event.global_step;
    const done = (event.epoch * event.max_step + event.epoch_step) / (event.max_step * event.max_epoch);
    element("bar").style.width = `${(100 * done).toFixed(1)}%`;
    element("epoch").textContent = `${event.epoch + 1} / ${event.max_epoch}`;
    element("step").textContent = event.global_step.toLocaleString("en");
    element("loss").textContent = event.loss?.toFixed(4) ?? "–";
    element("rate").textContent = event.learning_rate?.toExponential(1) ?? "–";
    if (!OVER.includes(element("status").dataset.status) && event.eta_seconds !== null) {
      element("left").textContent = `${duration(event.eta_seconds)} left`;
    }
    element("start").hidden = true;
    if (event.loss !== null) chart.add("training", event.global_step, event.loss);
  },

  training_status({ status, message, error }) {
    element("status").dataset.status = status;
    element("status").textContent = status;
    element("status").title = error ?? message;
    const isOver = OVER.includes(status);
    if (isOver) element("left").textContent = error ?? "";
    for (const button of document.querySelectorAll("[data-command]")) {
      const { command } = button.dataset;
      button.disabled =
        isOver || (command === "pause" && status === "paused") || (command === "resume" && status === "training");
    }
  },

  validation_result({ step, validation_loss }) {
    chart.add("validation", step, validation_loss);
  },

  sample_progress({ step, max_step }) {
    element("drawing").textContent = step < max_step ? `drawing ${Math.round((100 * step) / max_step)} %` : "";
  },

  sample_generated({ sample_id, sample_type, prompt, epoch, path, thumbnail_path }) {
    if (seen.has(sample_id)) return;
    seen.add(sample_id);
    const image = make("img");
    [image.alt, image.title] = [prompt, `${prompt}, epoch ${epoch + 1}`];
    image.src = path || thumbnail_path;
    if (sample_type === "custom") {
      const figure = make("li");
      figure.append(image, make("figcaption", "", `epoch ${epoch + 1}`));
      element("custom").prepend(figure);
      while (element("custom").children.length > 8) element("custom").lastChild.remove();
    } else {
      row(epoch).append(image);
    }
  },

  system_stats(event) {
    const share = (used, total) => (total ? used / total : 0);
    const figures = [
      ["CPU", event.cpu_percent / 100, `${Math.round(event.cpu_percent)} %`],
      ["Memory", share(event.ram_used_gb, event.ram_total_gb), gigabytes(event.ram_used_gb, event.ram_total_gb)],
    ];
    if (event.gpu_memory_total_gb) {
      const { gpu_memory_used_gb: used, gpu_memory_total_gb: total, gpu_utilization_percent: load } = event;
      figures.push(["GPU", (load ?? 0) / 100, `${Math.round(load ?? 0)} %`]);
      figures.push(["GPU memory", share(used, total), gigabytes(used, total)]);
    }
    element("host").replaceChildren(
      ...figures.map(([name, value, text]) => {
        const item = make("li", "", name);
        const meter = make("meter");
        [meter.min, meter.max, meter.value] = [0, 1, value];
        item.append(make("b", "", text), meter);
        return item;
      }),
    );
  },

  log({ timestamp, level, message, source }) {
    const key = `${timestamp} ${message}`;
    if (seen.has(key)) return;
    seen.add(key);
    const line = make("li", level);
    line.title = source;
    line.append(make("time", "", new Date(timestamp).toLocaleTimeString("en-GB")), message);
    const list = element("log");
    list.prepend(line);
    while (list.children.length > LINES_MAX) list.lastChild.remove();
  },

  command_received({ command }) {
    answer(`${command}: passed on…`);
  },

  command_result({ command, ok, result, error }) {
    const text = ok ? (result?.status ?? "done") : (error?.message ?? JSON.stringify(error));
    answer(`${command}: ${text}`, !ok);
  },

  error({ error_code, message }) {
    answer(`${error_code}: ${message}`, true);
  },
};

/** The row of an epoch's samples; the newest epoch stands first. */
function row(epoch) {
  const list = element("samples");
  if (list.firstChild && Number(list.firstChild.dataset.epoch) === epoch) return list.firstChild;
  const made = make("li");
  made.dataset.epoch = epoch;
  made.append(make("span", "", `ep. ${epoch + 1}`));
  list.prepend(made);
  while (list.children.length > ROWS_MAX) list.lastChild.remove();
  return made;
}

function answer(text, isBad = false) {
  element("answer").textContent = text;
  element("answer").classList.toggle("bad", isBad);
}

function duration(seconds) {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function gigabytes(used, total) {
  return `${used.toFixed(1)} of ${total.toFixed(0)} GB`;
}

for (let digit = 0; digit < 10; digit++) element("digit").append(make("option", "", digit));

document.addEventListener("click", ({ target }) => {
  const { command } = target.dataset;
  if (!command) return;
  const message = { type: "command", command };
  if (command === "sample") message.args = { digit: Number(element("digit").value) };
  if (room) message.room = room;
  if (!socket.send(message)) answer("not connected", true);
});
