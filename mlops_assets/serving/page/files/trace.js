// The proof of one prediction or version, as the endpoint computed it for this page.

const ref = decodeURIComponent(location.pathname.split("/").at(-1));
const WORDS = { proven: "proven", partly: "partly proven", broken: "broken" };
byId("ref").textContent = ref;
document.title = `${short(ref)} · ${product}`;

async function read() {
  try {
    showProof((await ask(`${model}/trace/${encodeURIComponent(ref)}`)).body);
  } catch (problem) {
    if (problem.status === 429) {
      state("unknown", "waiting for another trace…");
      setTimeout(read, 1000);
      return;
    }
    state("bad", problem.status === 404 ? "not known" : "does not answer");
    byId("proof").replaceChildren(make("p", { class: "note bad", id: "problem" }, problem.message));
  }
}

function showProof({ verdict, words, seconds, proof, ancestry }) {
  state({ proven: "good", partly: "unknown", broken: "bad" }[verdict], WORDS[verdict]);
  byId("seen").textContent = `computed in ${number(seconds)} s, for this page`;
  const parts = [
    make("p", { class: verdict === "broken" ? "note bad" : "note" }, words),
    ...problems("Broken", proof.broken),
    prediction(proof.prediction),
    section("Where it comes from", ancestry.columns.length ? ancestryOf(ancestry) : null),
    version(proof.model),
    acts(proof.approvals),
    snapshots(proof.data, proof.labels),
    checks(proof.checks),
    ...problems("Not hashed anew", proof.unverified),
  ];
  byId("proof").replaceChildren(...parts.filter((part) => part !== null));
  for (const graph of document.querySelectorAll(".graph")) graph.scrollLeft = graph.scrollWidth; // what is asked about stands at the end
}

function section(title, ...children) {
  const id = `s-${title.replaceAll(/\W+/g, "-")}`;
  if (children.every((child) => child === null)) return null;
  return make("section", { "aria-labelledby": id }, make("h2", { id }, title), ...children);
}

function pairs(entries) {
  const list = make("dl", { class: "pairs" });
  for (const [name, value] of entries) {
    if (value !== null && value !== undefined && value !== "") list.append(make("dt", {}, name), make("dd", {}, value));
  }
  return list;
}

function prediction(made) {
  if (!made) return null;
  const acted = made.decision === null ? null : `${made.decision ? "acted on" : "not acted on"}, from ${made.threshold}`;
  const inputs = Object.entries(made.input).map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value === null ? make("span", { class: "faint" }, "missing") : valueOf(name, value))));
  return section(
    "The prediction",
    make("p", { class: "output" }, number(made.output)),
    pairs([
      ["decision", acted],
      ["at", `${made.at.slice(0, 23).replace("T", " ")} UTC`],
      ["segment", made.segment],
      ["answered by", `version ${made.model_version}, ${made.variant}`],
      ["key", made.key],
      ["deployment", make("code", {}, made.deployment)],
      ["kept", made.sealed ? "in a sealed window" : "in the endpoint's log; its window is open, or not sealed yet"],
    ]),
    make("h3", {}, "Input"),
    make("div", { class: "scroll" }, make("table", { class: "narrow" }, make("tbody", {}, ...inputs))),
  );
}

const IMAGES = /^(iVBORw0KGgo|\/9j\/|UklGR|Qk0)[A-Za-z0-9+/=]{40,}$/; // how PNG, JPEG, WebP and BMP begin in base64

function valueOf(name, value) {
  if (typeof value === "string" && IMAGES.test(value)) return make("img", { class: "preview", alt: `the image in ${name}`, src: `data:image/png;base64,${value}` });
  return cutValue(value);
}

function cutValue(value) {
  const words = typeof value === "object" ? JSON.stringify(value) : String(value);
  return words.length > 80 ? `${words.slice(0, 79)}…` : words;
}

function version(made) {
  if (!made) return null;
  const metrics = Object.entries(made.metrics).map(([name, value]) => `${name} ${number(value)}`).join(", ");
  return section(
    "The model",
    pairs([
      ["version", made.version],
      ["origin", made.origin ? "unknown: it was not trained here" : null],
      ["trained", `${made.trigger.kind}${made.trigger.reason ? `: ${made.trigger.reason}` : ""}`],
      ["measured", metrics],
      ["bytes", make("code", {}, `sha256 ${made.sha256}`)],
      ["record", make("code", {}, made.record)],
      ["code", make("code", {}, `${made.code.id ?? "unknown"}${made.code.commit ? ` (commit ${made.code.commit})` : ""}`)],
      ["MLflow run", made.mlflow_run_id],
    ]),
  );
}

function acts(list) {
  if (!list.length) return null;
  const rows = list.map((act) => make("li", {}, make("b", {}, act.act), ` by ${act.by}${act.role ? ` as ${act.role}` : ""}${act.proof ? ` (${act.proof})` : ""}: ${act.reason} `, make("span", { class: "faint" }, act.at.slice(0, 19))));
  return section("Who let it through", make("ul", { class: "list" }, ...rows));
}

function snapshots(data, labels) {
  const rows = [...data, ...labels].map((each) =>
    make("tr", {}, make("th", { scope: "row" }, each.asset), make("td", {}, each.partition), make("td", { class: "n" }, number(each.rows)), make("td", {}, make("code", { title: each.root }, short(each.root)))),
  );
  if (!rows.length) return null;
  const head = make("tr", {}, ...["table", "partition"].map((name) => make("th", { scope: "col" }, name)), make("th", { scope: "col", class: "n" }, "rows"), make("th", { scope: "col" }, "content root"));
  return section("Data and labels", make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "data and labels" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
}

function checks(list) {
  if (!list.length) return null;
  const failed = list.filter((check) => !check.passed);
  const said = make("p", {}, `${list.length - failed.length} of ${list.length} checks passed.`);
  const rows = failed.map((check) => make("li", {}, `${check.asset}[${check.partition}] ${check.name}`));
  return section("Checks", said, rows.length ? make("ul", { class: "list" }, ...rows) : null);
}

function problems(title, list) {
  if (!list.length) return [];
  return [section(title, make("ul", { class: "list" }, ...list.map((each) => make("li", {}, each))))];
}

read();
