// The host's figures: a card each.

import { Chart } from "./charts.js";

const byId = (id) => document.getElementById(id);

export class Figures {
  #root;
  /** How much later than the server this machine's clock is, at the least. */
  #lagMs = Infinity;
  #charts;

  constructor(root) {
    this.#root = root;
    const now = () => Date.now() - (Number.isFinite(this.#lagMs) ? this.#lagMs : 0);
    const chart = (id, options) => new Chart(byId(`${id}-chart`), { ...options, now });
    const shares = { lines: ["first"], format: percent, max: 100 };
    const rates = { lines: ["first", "second"], format: decimal };
    this.#charts = {
      cpu: chart("cpu", shares),
      memory: chart("memory", shares),
      network: chart("network", rates),
      disk: chart("disk", rates),
      gpu: chart("gpu", shares),
    };
    const drawAll = () => Object.values(this.#charts).forEach((one) => one.draw());
    // Time goes on even where nothing comes.
    setInterval(drawAll, 1000);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  }

  show({ topic, time, data }) {
    this.#lagMs = Math.min(this.#lagMs, Date.now() - time);
    const name = topic.slice(this.#root.length + 1);
    const shown = this.#card(name, data);
    if (!shown) return;
    const chart = this.#charts[name];
    chart.add(time, shown.values);
    byId(name).textContent = shown.title;
    byId(`${name}-note`).textContent = shown.note;
    chart.drawSoon();
  }

  addGap() {
    for (const chart of Object.values(this.#charts)) chart.addGap();
  }

  #card(name, data) {
    switch (name) {
      case "cpu": {
        const cores = `${data.cores.length} ${data.cores.length === 1 ? "core" : "cores"}`;
        const load = data.load_1m === undefined ? "" : `, load ${data.load_1m.toFixed(2)}`;
        const note = `${cores}, the busiest at ${percent(Math.max(...data.cores))}${load}`;
        return { values: [data.percent], title: percent(data.percent), note };
      }
      case "memory": {
        const title = `${bytes(data.used_bytes)} of ${bytes(data.total_bytes)}`;
        const swap = `swap ${bytes(data.swap_used_bytes)} of ${bytes(data.swap_total_bytes)}`;
        const note = data.swap_total_bytes > 0 ? swap : `${bytes(data.available_bytes)} available`;
        return { values: [data.percent], title, note };
      }
      case "network": {
        const values = [data.received_bytes_per_second, data.sent_bytes_per_second];
        const note = data.interfaces.map((one) => one.name).join(", ");
        return { values, title: values.map(rate).join(" / "), note };
      }
      case "disk": {
        const values = [data.read_bytes_per_second, data.written_bytes_per_second];
        const used = `${percent(data.percent)} of ${bytes(data.total_bytes)}`;
        return { values, title: values.map(rate).join(" / "), note: used };
      }
      case "gpu":
        return this.#gpu(data.gpus);
      default:
        return null;
    }
  }

  #gpu(gpus) {
    byId("gpu-card").hidden = false;
    const told = gpus.map((gpu) => gpu.percent).filter((one) => one !== undefined);
    const mean = told.reduce((sum, one) => sum + one, 0) / Math.max(told.length, 1);
    const memory = (gpu) => `${bytes(gpu.memory_used_bytes)} of ${bytes(gpu.memory_total_bytes)}`;
    const note = gpus.map((gpu) => `${gpu.name}: ${memory(gpu)}`).join("; ");
    return { values: [mean], title: percent(mean), note };
  }
}

function percent(value) {
  return `${value < 10 && value > 0 && value % 1 !== 0 ? value.toFixed(1) : Math.round(value)} %`;
}

/** Of memory and disks, in powers of 1024. */
function bytes(value) {
  return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
}

/** Of rates, in powers of 1000, as the scales of charts have them. */
function decimal(value) {
  return scaled(value, 1000, ["B", "kB", "MB", "GB", "TB"]);
}

function rate(value) {
  return `${decimal(value)}/s`;
}

function scaled(value, step, units) {
  let at = 0;
  let number = value;
  while (number >= 1000 && at < units.length - 1) {
    number /= step;
    at += 1;
  }
  const isWhole = number >= 10 || Number.isInteger(number);
  return `${isWhole ? Math.round(number) : number.toFixed(1)} ${units[at]}`;
}
