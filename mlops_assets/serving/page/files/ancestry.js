// The ancestry of a prediction or model as columns of records in the order of the flow, and lines from what to what.

const BOX = { width: 124, height: 40, gap: 12, between: 24, top: 26 };

function ancestryOf({ columns, edges }) {
  const places = new Map();
  const tallest = Math.max(...columns.map((column) => column.nodes.length));
  const height = BOX.top + tallest * (BOX.height + BOX.gap);
  columns.forEach((column, across) => {
    const free = (tallest - column.nodes.length) * (BOX.height + BOX.gap);
    column.nodes.forEach((node, down) => places.set(node.id, { x: across * (BOX.width + BOX.between), y: BOX.top + free / 2 + down * (BOX.height + BOX.gap), node }));
  });
  const width = columns.length * (BOX.width + BOX.between) - BOX.between;
  const lines = edges.filter(([from, to]) => places.has(from) && places.has(to)).map(([from, to]) => edge(places.get(from), places.get(to), from, to));
  const titles = columns.map((column, across) => draw("text", { class: "title", x: across * (BOX.width + BOX.between), y: 12 }, column.stage));
  const boxes = [...places].map(([id, place]) => boxOf(id, place));
  const svg = draw("svg", { viewBox: `-1 0 ${width + 2} ${height}`, role: "img", "aria-label": spoken(columns) }, ...lines, ...titles, ...boxes);
  svg.style.maxWidth = `${width + 2}px`;
  svg.style.minWidth = `${Math.round(width * 0.85)}px`;
  svg.addEventListener("pointerover", (event) => light(svg, event.target.closest("[data-id]")?.dataset.id));
  svg.addEventListener("pointerleave", () => light(svg, null));
  return make("div", { class: "graph", tabindex: 0, role: "region", "aria-label": "ancestry" }, svg);
}

function edge(from, to, fromId, toId) {
  const [x1, y1, x2, y2] = [from.x + BOX.width, from.y + BOX.height / 2, to.x, to.y + BOX.height / 2];
  const bend = Math.max((x2 - x1) / 2, 20);
  return draw("path", { class: "edge", d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, "data-from": fromId, "data-to": toId });
}

function boxOf(id, { x, y, node }) {
  const kind = node.problem ? "bad" : node.here ? "here" : node.more ? "more" : "";
  const title = [node.title, node.detail, node.problem, node.more ? "" : `record ${id}`].filter(Boolean).join("\n");
  return draw(
    "g",
    { "data-id": id },
    draw("title", {}, title),
    draw("rect", { class: `box ${kind}`, x, y, width: BOX.width, height: BOX.height, rx: 7 }),
    draw("text", { x: x + 10, y: y + 17 }, cut(node.title)),
    draw("text", { class: "small", x: x + 10, y: y + 32 }, cut(node.problem ? "broken" : node.detail)),
  );
}

function cut(words) {
  return words.length > 18 ? `${words.slice(0, 17)}…` : words;
}

function light(svg, id) {
  for (const path of svg.querySelectorAll(".edge")) path.classList.toggle("on", id !== null && id !== undefined && (path.dataset.from === id || path.dataset.to === id));
}

function spoken(columns) {
  return columns.map((column) => `${column.stage}: ${column.nodes.map((node) => node.title).join(", ")}`).join("; then ");
}
