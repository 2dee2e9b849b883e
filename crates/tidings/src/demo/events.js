// The list of the newest events.

const SHOWN_MAX = 200;
const DATA_CHARS_MAX = 2_000;

export class EventList {
  #list;

  constructor(list) {
    this.#list = list;
  }

  clear() {
    this.#list.replaceChildren();
  }

  /** Newest first; what comes late, as history does, stands where its time says. */
  add(event) {
    const item = document.createElement("li");
    item.dataset.time = event.time;
    item.dataset.topic = event.topic;
    const time = document.createElement("time");
    time.textContent = clock(event.time);
    const data = span("data", dataText(event));
    item.title = `${event.stream} ${event.seq}`;
    item.append(time, span("topic", event.topic), data);
    let before = this.#list.firstElementChild;
    while (before && Number(before.dataset.time) > event.time) before = before.nextElementSibling;
    this.#insert(item, before);
  }

  addGap(gap) {
    this.#addLine("gap", gapText(gap));
  }

  addNotice(text) {
    this.#addLine("notice", text);
  }

  #addLine(className, text) {
    const item = document.createElement("li");
    item.className = className;
    // Beside the newest event, whatever the clocks of this machine and the server's say.
    item.dataset.time = this.#list.firstElementChild?.dataset.time ?? 0;
    item.textContent = text;
    this.#insert(item, this.#list.firstElementChild);
  }

  #insert(item, before) {
    this.#list.insertBefore(item, before);
    while (this.#list.childElementCount > SHOWN_MAX) this.#list.lastElementChild.remove();
  }
}

/** What a gap means, for people. */
export function gapText({ stream, epoch, from, to, reason }) {
  const lost = from <= to ? `events ${from}–${to} will not come` : "nothing of it is missing";
  if (reason === "epoch") {
    return `${stream}: a new epoch, ${epoch}, began at event 1 (epoch): ${lost}`;
  }
  return `${stream}: ${lost} (${reason})`;
}

function dataText({ data, bytes, content_type: type, binary }) {
  if (bytes) return `${bytes.length} bytes of ${type}`;
  if (binary) return `bytes of ${data.content_type}`;
  const text = typeof data === "string" ? data : JSON.stringify(data);
  return text.length > DATA_CHARS_MAX ? `${text.slice(0, DATA_CHARS_MAX)}…` : text;
}

function clock(time) {
  const date = new Date(time);
  const two = (number) => String(number).padStart(2, "0");
  const tenth = Math.floor(date.getMilliseconds() / 100);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${tenth}`;
}

function span(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}
