// Two lines over steps, on a canvas.

const POINTS_MAX = 1500;
const COLOURS = { training: "--first", validation: "--second" };
const MARGIN = { left: 38, right: 6, top: 6, bottom: 20 };

export class Chart {
  #canvas;
  #lines = { training: [], validation: [] };
  #isAsked = false;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#ask()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#ask());
  }

  add(line, step, value) {
    const points = this.#lines[line];
    if (points.length > 0 && points.at(-1)[0] >= step) return;
    points.push([step, value]);
    // Every other point is enough for what is old.
    if (points.length > POINTS_MAX) this.#lines[line] = points.filter((_, at) => at % 2 === 0);
    this.#ask();
  }

  clear() {
    this.#lines = { training: [], validation: [] };
    this.#ask();
  }

  #ask() {
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      this.#draw();
    });
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const sharp = devicePixelRatio || 1;
    [this.#canvas.width, this.#canvas.height] = [width * sharp, height * sharp];
    const context = this.#canvas.getContext("2d");
    context.scale(sharp, sharp);
    const all = Object.values(this.#lines).flat();
    if (all.length === 0) return;

    const first = Math.min(...all.map(([step]) => step));
    const last = Math.max(...all.map(([step]) => step), first + 1);
    const top = Math.min(Math.max(...all.map(([, value]) => value)), 1.25);
    const x = (step) => MARGIN.left + ((step - first) / (last - first)) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => MARGIN.top + (1 - Math.min(value / top, 1)) * (height - MARGIN.top - MARGIN.bottom);
    const colour = (name) => getComputedStyle(this.#canvas).getPropertyValue(name);

    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colour("--quiet");
    context.strokeStyle = colour("--grid");
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      const at = y(top * share);
      context.beginPath();
      context.moveTo(MARGIN.left, at);
      context.lineTo(width - MARGIN.right, at);
      context.stroke();
      context.fillText((top * share).toFixed(2), MARGIN.left - 6, at);
    }
    context.fillText(`step ${last.toLocaleString("en")}`, width - MARGIN.right, height - 7);

    for (const [name, points] of Object.entries(this.#lines)) {
      context.strokeStyle = colour(COLOURS[name]);
      context.lineWidth = name === "training" ? 1.2 : 2;
      context.lineJoin = "round";
      context.beginPath();
      for (const [step, value] of points) context.lineTo(x(step), y(value));
      context.stroke();
    }
  }
}
