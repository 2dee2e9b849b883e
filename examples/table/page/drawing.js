// The table on a canvas, as its state says.

const WOOD = "#54321e";
const CLOTH = "#1c7a54";
const WOOD_METRES = 0.1;

export class Drawing {
  config = null;
  state = null;
  shot = null;
  #canvas;

  constructor(canvas) {
    this.#canvas = canvas;
    const frame = () => {
      if (this.config) this.#draw();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  #draw() {
    const { width, height } = this.config.table;
    const sharp = devicePixelRatio || 1;
    const canvas = this.#canvas;
    const [wide, high] = [canvas.clientWidth * sharp, canvas.clientHeight * sharp].map(Math.round);
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = WOOD;
    context.fillRect(0, 0, canvas.width, canvas.height);
    const scale = canvas.width / (width + 2 * WOOD_METRES);
    context.setTransform(scale, 0, 0, scale, WOOD_METRES * scale, WOOD_METRES * scale);

    context.fillStyle = CLOTH;
    context.fillRect(0, 0, width, height);
    for (const [x, y] of this.config.pockets) disc(context, x, y, 0.058, "#0c0c0c");
    if (this.shot && this.state?.is_still) this.#aim(context);
    for (const ball of this.state?.balls ?? []) this.#ball(context, ball);
  }

  #aim(context) {
    context.lineWidth = 0.007;
    for (const { ball, points } of this.shot.lines) {
      context.strokeStyle = this.config.colours[ball] ?? "#fff";
      context.setLineDash(ball === "cue" ? [0.02, 0.02] : []);
      context.beginPath();
      for (const [x, y] of points) context.lineTo(x, y);
      context.stroke();
    }
    context.setLineDash([]);
    const ghost = this.shot.lines[0].points.at(-1);
    context.strokeStyle = "rgb(255 255 255 / 70%)";
    context.beginPath();
    context.arc(...ghost, this.config.ball_radius, 0, 2 * Math.PI);
    context.stroke();
    this.#cue(context, this.shot.lines[0].points[0]);
  }

  /** The cue is drawn back and comes forward at the end. */
  #cue(context, [x, y]) {
    const { angle, swing } = this.shot;
    const back = 0.05 + 0.16 * Math.sin(Math.min(swing * 1.2, 1) * Math.PI * 0.85);
    const [along, across] = [Math.cos(angle), Math.sin(angle)];
    context.lineCap = "round";
    for (const [from, to, colour, wide] of [
      [back, back + 0.9, "#d9a86a", 0.018],
      [back + 0.5, back + 0.9, "#2b1a10", 0.02],
      [back, back + 0.02, "#7db4ff", 0.018],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.beginPath();
      context.moveTo(x - along * from, y - across * from);
      context.lineTo(x - along * to, y - across * to);
      context.stroke();
    }
    context.lineCap = "butt";
  }

  #ball(context, { id, x, y, vx, vy, is_visible }) {
    const radius = this.config.ball_radius;
    context.globalAlpha = is_visible ? 1 : 0.4;
    // A short trail in the direction from which it comes.
    context.strokeStyle = "rgb(255 255 255 / 25%)";
    context.lineWidth = radius;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x - vx * 0.06, y - vy * 0.06);
    context.stroke();
    context.lineCap = "butt";
    disc(context, x + 0.006, y + 0.008, radius, "rgb(0 0 0 / 30%)");
    disc(context, x, y, radius, this.config.colours[id] ?? "#888");
    disc(context, x - radius * 0.3, y - radius * 0.35, radius * 0.28, "rgb(255 255 255 / 55%)");
    context.globalAlpha = 1;
  }
}

function disc(context, x, y, radius, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
