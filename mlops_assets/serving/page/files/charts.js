// A small chart of the last minutes: its nodes are made once and only their paths change, so it can run for days.

const WIDTH = 240;
const HEIGHT = 100;

class Chart {
  // `series` names the classes of its lines; `told` turns a value into words. With `log` its scale is in decades, which
  // shows a median below what is a hundred times slower; without, it begins at 0 and its first line bounds an area.
  constructor(place, label, series, told, log = false) {
    this.log = log;
    this.told = told;
    this.label = label;
    this.values = series.map(() => []);
    this.area = draw("path", { class: "c-area" });
    this.paths = series.map((name) => draw("path", { class: `c-${name}` }));
    this.at = draw("line", { class: "at", y1: 0, y2: HEIGHT, visibility: "hidden" });
    const grid = [0, 0.5, 1].map((y) => draw("line", { class: "grid", x1: 0, x2: WIDTH, y1: y * HEIGHT, y2: y * HEIGHT }));
    const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label };
    this.svg = draw("svg", box, this.area, ...grid, ...this.paths, this.at);
    this.high = make("span", { class: "high" });
    this.low = make("span");
    this.said = make("span", { class: "said" });
    this.since = make("span");
    place.append(make("div", { class: "chart" }, this.svg, this.high, this.said), make("div", { class: "ends chart" }, this.since, this.low, make("span", {}, "now")));
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
  }

  // `values` has a list for each line, oldest first and `step` seconds apart; null where there is none.
  update(values, step) {
    this.values = values;
    this.step = step;
    const known = values.flat().filter((value) => value !== null);
    const most = Math.max(...known, 0);
    this.top = this.log ? decade(most, Math.ceil) : roundUp(most);
    this.bottom = this.log ? Math.min(decade(Math.min(...known, most || 1), Math.floor), this.top / 10) : 0;
    this.paths.forEach((path, place) => path.setAttribute("d", this.line(values[place])));
    const first = this.log ? "" : this.line(values[0]);
    this.area.setAttribute("d", first ? `${first}V${HEIGHT}H${this.x(0)}Z` : "");
    this.high.textContent = most > 0 ? this.told(this.top) : "";
    this.low.textContent = this.log && most > 0 ? `from ${this.told(this.bottom)} up, in decades` : "";
    const span = Math.round(values[0].length * step);
    this.since.textContent = span < 60 ? `${span} s ago` : `${Number((span / 60).toFixed(1))} min ago`;
    const now = values.map((list) => list.at(-1)).map((value) => (value === null || value === undefined ? "none" : this.told(value)));
    this.svg.setAttribute("aria-label", `${this.label}; now ${now.join(", ")}; highest in the last minutes ${this.told(most)}`);
  }

  x(place) {
    const last = Math.max(this.values[0].length - 1, 1);
    return Number(((place / last) * WIDTH).toFixed(2));
  }

  part(value) {
    if (!this.log) return value / this.top;
    return Math.log(Math.max(value, this.bottom) / this.bottom) / Math.log(this.top / this.bottom);
  }

  line(values) {
    let path = "";
    let pen = "M";
    values.forEach((value, place) => {
      if (value === null) {
        pen = "M";
        return;
      }
      const y = HEIGHT * (1 - this.part(value));
      const alone = pen === "M" && (place + 1 >= values.length || values[place + 1] === null);
      path += `${pen}${this.x(place)} ${y.toFixed(1)}${alone ? "h.8" : ""}`;
      pen = "L";
    });
    return path;
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const count = this.values[0].length;
    if (!count || !box.width) return;
    const place = Math.min(count - 1, Math.max(0, Math.round(((event.clientX - box.left) / box.width) * (count - 1))));
    const told = this.values.map((list) => (list[place] === null ? "–" : this.told(list[place])));
    this.at.setAttribute("x1", this.x(place));
    this.at.setAttribute("x2", this.x(place));
    this.at.setAttribute("visibility", "visible");
    this.said.textContent = `${Math.round((count - 1 - place) * this.step)} s ago: ${told.join(" · ")}`;
  }

  leave() {
    this.at.setAttribute("visibility", "hidden");
    this.said.textContent = "";
  }
}

function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((bound) => bound >= value * 0.999);
}

function decade(value, rounded) {
  return 10 ** rounded(Math.log10(Math.max(value, 1)) + (rounded === Math.ceil ? 1e-9 : 0));
}
