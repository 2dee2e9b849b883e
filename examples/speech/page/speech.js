// The page of the speech server: speaks the speech dialect, as any client of it would.

import { connect, element, make, server } from "../../web/socket.js";

const RATE = 16_000;
const CHUNK = RATE / 10;
const AWAKE_MS = 4_000;

const at = server(8080);
let wakeWord = "computer";
let awake = 0;
let recording = null;

const socket = connect(`ws://${at}/events`, {
  shown: element("connection"),
  opened: () => status(),
  received: (message) => show[message.event]?.(message),
});

const show = {
  transcription({ text, is_final }) {
    element("partial").textContent = is_final ? "" : text;
    if (!is_final || !text) return;
    const line = make("li");
    const said = make("span");
    const [first, ...others] = text.split(" ");
    if (first === wakeWord) said.append(make("b", "", first), ` ${others.join(" ")}`);
    else said.textContent = text;
    line.append(make("time", "", new Date().toLocaleTimeString("en-GB")), said);
    element("transcript").prepend(line);
  },

  wake_word({ word, confidence }) {
    element("wake").dataset.awake = "yes";
    element("wake").textContent = `${word} · ${Math.round(100 * confidence)} %`;
    clearTimeout(awake);
    awake = setTimeout(() => {
      element("wake").dataset.awake = "no";
    }, AWAKE_MS);
  },

  command_result({ command, ok, result, error }) {
    if (command.startsWith("audio_")) return;
    if (ok && result?.wake_word) wakeWord = result.wake_word;
    const [[name, value] = []] = Object.entries(result ?? {});
    answer(ok ? `${command}: ${name} ${value ?? "–"}` : `${command}: ${error?.message ?? error}`, !ok);
  },

  error({ message }) {
    answer(message, true);
  },
};

function answer(text, isBad = false) {
  element("answer").textContent = text;
  element("answer").classList.toggle("bad", isBad);
}

async function status() {
  const response = await fetch(`http://${at}/system/status`).catch(() => null);
  const told = response?.ok ? await response.json() : null;
  element("status").textContent = told ? `${told.status}, ${told.active_connections} connected` : "";
}

/** Audio goes out as binary frames, between two commands. */
function begin() {
  socket.send({ command: "audio_start", data: { format: "pcm16", rate: RATE } });
}

function end() {
  socket.send({ command: "audio_end" });
}

function send(chunk) {
  draw(new Int16Array(chunk));
  if (!socket.send(chunk)) stop();
}

async function record() {
  const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true };
  const stream = await navigator.mediaDevices.getUserMedia({ audio });
  const context = new AudioContext({ sampleRate: RATE });
  await context.audioWorklet.addModule(new URL("recorder.js", import.meta.url));
  const recorder = new AudioWorkletNode(context, "recorder");
  recorder.port.onmessage = ({ data }) => send(data);
  context.createMediaStreamSource(stream).connect(recorder);
  recording = { context, stream };
  element("microphone").dataset.on = "";
  element("microphone").textContent = "Stop";
  begin();
}

function stop() {
  if (!recording) return;
  for (const track of recording.stream.getTracks()) track.stop();
  recording.context.close();
  recording = null;
  delete element("microphone").dataset.on;
  element("microphone").textContent = "Speak";
  end();
}

/** A file is sent as fast as somebody would speak it. */
async function play(file) {
  const bytes = await file.arrayBuffer();
  const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
  const samples = Int16Array.from(sound.getChannelData(0), (s) => Math.max(-1, Math.min(1, s)) * 32767);
  begin();
  for (let from = 0; from < samples.length; from += CHUNK) {
    element("sending").textContent = `${Math.round((100 * from) / samples.length)} %`;
    send(samples.slice(from, from + CHUNK).buffer);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  end();
  element("sending").textContent = "sent";
}

const loudness = new Array(120).fill(0);

function draw(samples) {
  loudness.push(Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length) / 12_000);
  loudness.shift();
  const canvas = element("level");
  const sharp = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [canvas.clientWidth * sharp, canvas.clientHeight * sharp];
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).getPropertyValue("--first");
  const wide = canvas.width / loudness.length;
  loudness.forEach((value, number) => {
    const high = Math.max(Math.min(value, 1) * canvas.height * 0.9, sharp);
    context.fillRect(number * wide, (canvas.height - high) / 2, wide * 0.6, high);
  });
}

element("microphone").addEventListener("click", () => {
  if (recording) stop();
  else record().catch((error) => (element("sending").textContent = `no microphone: ${error.message}`));
});
element("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  play(file).catch((error) => (element("sending").textContent = `not a sound: ${error.message}`));
  target.value = "";
});
element("configure").addEventListener("submit", (event) => {
  event.preventDefault();
  sendCommand("configure", { wake_word: element("word").value });
});
document.addEventListener("click", ({ target }) => {
  if (target.dataset.command) sendCommand(target.dataset.command, {});
});

function sendCommand(command, data) {
  if (!socket.send({ command, data })) answer("not connected", true);
}

setInterval(status, 10_000);
