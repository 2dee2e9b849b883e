// The page of the studio: each card is a client of the studio dialect, with its own token.

import { connect, element, make, server } from "../../web/socket.js";

const EVENTS = ["blob.*", "processor.*", "book.updated"];
const COLOURS = ["var(--first)", "var(--second)", "var(--good)", "var(--bad)"];
const STARTS = [
  "It was a bright morning, and the harbour was still asleep. A single boat came in. Nobody saw who left it. By noon the whole harbour talked about the boat.",
  "The archive kept every letter that was ever sent. Most letters were dull. One letter, however, had never been opened. It was addressed to the archive itself.",
];

const tokens = location.hash.slice(1).split(",").filter(Boolean);
element("no-token").hidden = tokens.length > 0;

/** What a token says of itself; the server alone checks it. */
function claims(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

class Device {
  #root = element("device").content.cloneNode(true).firstElementChild;
  #documents = new Map();
  #asked = 0;

  constructor(token, users) {
    const { sub = "?", device_id = "" } = claims(token);
    if (!users.includes(sub)) users.push(sub);
    const number = users.indexOf(sub);
    this.#root.dataset.device = `${sub}/${device_id}`;
    this.#root.style.setProperty("--user", COLOURS[number % COLOURS.length]);
    this.#find(".user").textContent = sub;
    this.#find(".name").textContent = device_id;
    this.#find("textarea").value = STARTS[number % STARTS.length];
    element("devices").append(this.#root);

    const socket = connect(`ws://${server(8010)}/api/v1/ws?token=${encodeURIComponent(token)}`, {
      shown: this.#find(".state"),
      opened: (opened) => opened.send(JSON.stringify({ type: "subscribe", events: EVENTS })),
      received: ({ type, data, id }) => this.#receive(type, data, id),
    });
    const send = (type, data) => {
      const isSent = socket.send({ type, data, id: ++this.#asked });
      if (!isSent) this.#say("not connected", true);
    };
    this.#find("form").addEventListener("submit", (event) => {
      event.preventDefault();
      send("create_blob", { content: this.#find("textarea").value, schema_id: "text-input-v1" });
    });
    this.#find(".documents").addEventListener("click", ({ target }) => {
      const { processor } = target.dataset;
      if (!processor) return;
      send("process_blob", { blob_id: target.closest(".document").dataset.blob, processor_id: processor });
    });
  }

  #receive(type, data) {
    const shown = {
      "blob.created": ({ blob_id, preview }) => {
        this.#document(blob_id).querySelector(".preview").textContent = preview;
      },
      "processor.status": ({ blob_id, status, progress, message }) => {
        this.#progress(blob_id, status === "processing" ? progress : null, message);
      },
      "processor.completed": ({ blob_id }) => this.#progress(blob_id, null, ""),
      "blob.derived": ({ parent_id, derived_id, processor_id, preview }) => {
        const list = this.#document(parent_id).querySelector(".derived");
        // What came shortly before an interruption may come again.
        if (list.querySelector(`[data-blob="${CSS.escape(derived_id)}"]`)) return;
        const item = make("li");
        item.dataset.blob = derived_id;
        item.append(make("b", "", processor_id), preview);
        list.prepend(item);
      },
      result: ({ command }) => this.#say(`${command}: done`),
      error: ({ message, retry_after }) =>
        this.#say(retry_after ? `${message} (again in ${retry_after} s)` : message, true),
    };
    shown[type]?.(data);
  }

  #document(blob) {
    const known = this.#documents.get(blob);
    if (known) return known;
    const made = element("document").content.cloneNode(true).firstElementChild;
    made.dataset.blob = blob;
    this.#documents.set(blob, made);
    this.#find(".documents").prepend(made);
    return made;
  }

  #progress(blob, share, message) {
    const root = this.#document(blob);
    const bar = root.querySelector("progress");
    bar.hidden = share === null;
    bar.value = share ?? 0;
    root.querySelector(".message").textContent = message;
  }

  #say(text, isBad = false) {
    const answer = this.#find(".answer");
    answer.textContent = text;
    answer.classList.toggle("bad", isBad);
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }
}

const users = [];
for (const token of tokens) new Device(token, users);
addEventListener("hashchange", () => location.reload());
