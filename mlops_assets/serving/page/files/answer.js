// A prediction from the form: what was said, by whom, and why.

const MOST_REASONS = 12;
let explains = true; // until a model says that its answers cannot be explained

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = byId("predict");
  const row = await rowOf();
  if (!row || button.disabled) return;
  button.disabled = true;
  button.textContent = "Asking…";
  try {
    const began = performance.now();
    const { body, headers } = await predict(row);
    showAnswer(body, headers, row, performance.now() - began);
  } catch (problem) {
    markAll(problem.problems ?? []);
    byId("answer").replaceChildren(make("p", { class: "note bad" }, problem.message));
  } finally {
    button.disabled = false;
    button.textContent = "Predict";
  }
});

async function predict(row) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(row) };
  if (explains) {
    try {
      return await ask(`${model}/infer?explain=true`, options);
    } catch (problem) {
      if (!problem.message.includes("explain=true")) throw problem;
      explains = false;
    }
  }
  return ask(`${model}/infer`, options);
}

function showAnswer(body, headers, row, ms) {
  const traced = latest?.traces ? make("a", { href: `/trace/${encodeURIComponent(body.inference_id)}` }, "What it rests on") : null;
  const copy = make("button", { type: "button", class: "small" }, "Copy id");
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(body.inference_id);
    copy.textContent = "Copied";
  });
  const parts = [
    make("p", { class: "faint" }, headline(body)),
    make("p", { class: "output", id: "output" }, typeof body.output === "number" ? number(body.output) : body.output),
    decided(body.decision),
    ...probabilities(body.probabilities),
    make(
      "dl",
      { class: "pairs" },
      ...pair("answered by", `version ${body.model_version}, ${variantOf(body)}${latest?.segment_field ? `, for ${body.segment}` : ""}`),
      ...pair("in", `${Math.round(ms)} ms as this browser sees it`),
      ...pair("inference id", make("code", { id: "inference-id" }, body.inference_id)),
    ),
    make("p", { class: "actions" }, traced, copy),
    ...reasons(body.reasons, row),
  ];
  byId("answer").replaceChildren(...parts.filter((part) => part !== null));
}

function headline(body) {
  const label = latest?.label ?? "the label";
  if (body.probabilities) return `likeliest ${label}`;
  if (latest?.task === "regression") return label;
  const positive = latest?.segments.find((each) => each.segment === body.segment)?.positive ?? "1";
  return `probability of ${["1", "true"].includes(positive) ? label : positive}`;
}

function variantOf(body) {
  const segment = latest?.segments.find((each) => each.segment === body.segment);
  return segment?.variants.find((each) => String(each.version) === body.model_version && each.variant !== "shadow")?.variant ?? "champion before";
}

function decided(decision) {
  if (decision === null || decision === undefined) return null;
  return make("p", {}, make("span", { class: `decided ${decision ? "yes" : ""}` }, decision ? "acted on" : "not acted on"));
}

function pair(name, value) {
  return [make("dt", {}, name), make("dd", {}, value)];
}

function probabilities(found) {
  if (!found) return [];
  const rows = Object.entries(found).sort((a, b) => b[1] - a[1]).slice(0, MOST_REASONS);
  return [make("table", { class: "bars" }, make("tbody", {}, ...rows.map(([name, share]) => barRow(name, percent(share), share, 0, 1))))];
}

function reasons(found, row) {
  if (!found) return [];
  const all = Object.entries(found.features).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  const most = Math.max(...all.map(([, value]) => Math.abs(value)), 1e-12);
  const parts = all.slice(0, MOST_REASONS).map(([name, value]) => [name, Math.abs(value) < most * 1e-9 ? 0 : value]);
  const [low, high] = [Math.min(...parts.map(([, value]) => value), 0), Math.max(...parts.map(([, value]) => value), 0)];
  const left = all.length > parts.length ? `; ${all.length - parts.length} smaller ones are left out` : "";
  const title = found.of ? `Why ${found.of}` : "Why";
  return [
    make("h3", {}, title, make("span", { class: "faint" }, ` what each feature adds, in ${found.unit}`)),
    make("table", { class: "bars", id: "reasons" }, make("tbody", {}, ...parts.map(([name, value]) => barRow(named(name, row), signed(value), value, low, high || most)))),
    make("p", { class: "faint" }, `from ${number(found.base)} to ${number(found.score)}${left}`),
  ];
}

function named(name, row) {
  const value = row[name];
  return value === undefined || typeof value === "object" || String(value).length > 24 ? name : `${name} = ${value}`;
}

function signed(value) {
  return value > 0 ? `+${number(value)}` : number(value);
}

function barRow(name, words, value, low, high) {
  const at = (x) => ((x - low) / (high - low)) * 100;
  const [from, to] = [at(Math.min(0, value)), at(Math.max(0, value))];
  const bar = value === 0 ? null : draw("rect", { class: value < 0 ? "down" : "up", x: from, width: Math.max(to - from, 0.5), y: 2, height: 8, rx: 1 });
  const axis = low < 0 || value === 0 ? draw("line", { class: "axis", x1: at(0), x2: at(0), y1: 0, y2: 12 }) : null;
  const svg = draw("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" }, bar, axis);
  return make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "n" }, words), make("td", { class: "bar" }, svg));
}
