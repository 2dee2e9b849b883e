// A WebSocket that comes back by itself.

const PAUSE_MS = [500, 15_000];

/** Where the server is: `?at=host:port`, or the usual port on the host that the page is from. */
export function server(usualPort) {
  const at = new URLSearchParams(location.search).get("at");
  return at ?? `${location.hostname || "127.0.0.1"}:${usualPort}`;
}

/**
 * Connects, and again whenever the connection is lost. `opened` and `received` are called with the
 * socket and, for `received`, with each message: an object, or an ArrayBuffer. The element
 * `shown` says how it stands.
 */
export function connect(url, { shown, opened, received, protocols = [] }) {
  let socket = null;
  let pause = PAUSE_MS[0];
  const show = (state, text) => {
    shown.dataset.state = state;
    shown.textContent = text;
  };
  const open = () => {
    show("connecting", "connecting…");
    socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      pause = PAUSE_MS[0];
      show("open", "connected");
      opened?.(socket);
    };
    socket.onmessage = ({ data }) => {
      const messages = typeof data === "string" ? JSON.parse(data) : data;
      for (const message of Array.isArray(messages) ? messages : [messages]) received(message, socket);
    };
    socket.onclose = ({ code, reason }) => {
      // Half of the pause is drawn, so that many pages do not come back at once.
      const wait = pause * (0.5 + Math.random() / 2);
      pause = Math.min(pause * 2, PAUSE_MS[1]);
      const why = reason || (code === 1006 ? "no server" : `closed with ${code}`);
      show("waiting", `${why} – again in ${Math.ceil(wait / 1000)} s`);
      setTimeout(open, wait);
    };
  };
  open();
  return {
    /** Sends an object where the connection is open; whether it did. */
    send(message) {
      if (socket.readyState !== WebSocket.OPEN) return false;
      socket.send(message instanceof ArrayBuffer ? message : JSON.stringify(message));
      return true;
    },
  };
}

/** The element with this id. */
export const element = (id) => document.getElementById(id);

/** A new element with a class and a text. */
export function make(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
