// The form of a model's input schema, and what is typed into it as the row of a request.

const fields = byId("fields");
let form = null; // the answer of /form
let chosen = null; // the segment whose fields are shown

async function readForm() {
  form = (await ask(`${model}/form`)).body;
  const names = Object.keys(form.segments);
  if (!names.includes(chosen)) chosen = names[0] ?? null;
  showForm();
}

function showForm() {
  const list = chosen === null ? [] : form.segments[chosen];
  byId("predict").disabled = chosen === null;
  if (chosen === null) return show(fields, null, () => [make("p", { class: "faint" }, "No form before the first champion.")]);
  const kept = new Map([...fields.querySelectorAll("[name]:not([type=file])")].map((input) => [input.name, input.value]));
  show(fields, [Object.keys(form.segments), list, chosen], () => [...segmentPicker(), ...inOrder(list).map(fieldOf)]);
  for (const input of fields.querySelectorAll("[name]:not([type=file])")) {
    const before = kept.get(input.name);
    if (before !== undefined && before !== "" && (input.tagName !== "SELECT" || [...input.options].some((option) => option.value === before))) input.value = before;
  }
}

function inOrder(list) {
  return [...list.filter((each) => each.role === "input"), ...list.filter((each) => each.role === "key")];
}

function segmentPicker() {
  const names = Object.keys(form.segments);
  const field = form.segments[chosen].find((each) => each.role === "segment");
  if (!field) return [];
  const select = make("select", { id: "segment" }, ...names.map((name) => make("option", { value: name }, name)));
  select.value = chosen;
  select.addEventListener("change", () => {
    chosen = select.value;
    showForm();
    byId("segment").focus();
  });
  return [make("div", { class: "field" }, make("label", { for: "segment" }, field.name), select, make("p", { class: "hint" }, "the segment: it says which model answers"))];
}

let made = 0;
function fieldOf(field) {
  const id = `field-${made++}`;
  const input = inputOf(field);
  fill(input, { id, name: field.name, "aria-describedby": `${id}-hint ${id}-wrong`, "data-type": field.type, "data-nullable": field.nullable }, []);
  if (!field.nullable) input.required = true;
  const optional = field.nullable ? make("span", { class: "faint" }, field.role === "key" ? " optional" : " may be missing") : null;
  const plain = field.choices || ["a number", "an int", "text", "true or false"].includes(field.right);
  const preview = field.type === "image" ? previewOf(input) : null;
  return make(
    "div",
    { class: "field" },
    make("label", { for: id }, field.name, optional),
    input,
    preview,
    make("p", { class: "hint", id: `${id}-hint`, hidden: plain }, field.right),
    make("p", { class: "wrong", id: `${id}-wrong`, role: "alert" }),
  );
}

function inputOf(field) {
  const usual = field.usual === null || field.usual === undefined ? "" : String(field.usual);
  if (field.type === "image") return make("input", { type: "file", accept: "image/png,image/jpeg,image/bmp,image/webp" });
  if (field.choices || field.type === "bool") {
    const choices = field.choices ?? ["true", "false"];
    const none = field.nullable ? [make("option", { value: "" }, "(missing)")] : [];
    const select = make("select", {}, ...none, ...choices.map((choice) => make("option", { value: choice }, choice)));
    if (choices.includes(usual)) select.value = usual;
    return select;
  }
  if (field.type === "int" || field.type === "float") {
    const step = field.type === "int" ? 1 : "any";
    return make("input", { type: "number", inputmode: field.type === "int" ? "numeric" : "decimal", step, min: field.min, max: field.max, value: usual });
  }
  if (field.type === "datetime") return make("input", { type: "datetime-local", step: 1, value: new Date().toISOString().slice(0, 19) });
  return make("input", { type: "text", value: usual, spellcheck: "false" });
}

function previewOf(input) {
  const picture = make("img", { class: "preview", alt: "the chosen image", hidden: true });
  input.addEventListener("change", () => {
    if (picture.src) URL.revokeObjectURL(picture.src);
    picture.hidden = !input.files.length;
    if (input.files.length) picture.src = URL.createObjectURL(input.files[0]);
  });
  return picture;
}

// Returns the request's row; a field that cannot be sent is marked, and then there is none.
async function rowOf() {
  const row = {};
  let right = true;
  for (const input of fields.querySelectorAll("[name]")) {
    const problem = input.validity.valid ? "" : input.validationMessage;
    mark(input, problem);
    right &&= !problem;
    if (!problem) await put(row, input);
  }
  const picked = form.segments[chosen].find((field) => field.role === "segment");
  if (picked) row[picked.name] = chosen;
  if (!right) fields.querySelector("[aria-invalid=true]").focus();
  return right ? row : null;
}

async function put(row, input) {
  const { type } = input.dataset;
  const key = form.segments[chosen].find((field) => field.role === "key");
  if (input.value === "") {
    if (input.name !== key?.name && (type !== "str" || "nullable" in input.dataset)) row[input.name] = null;
    else if (input.name !== key?.name) row[input.name] = "";
  } else if (type === "image") row[input.name] = await base64(input.files[0]);
  else if (type === "int" || type === "float") row[input.name] = Number(input.value);
  else if (type === "bool") row[input.name] = input.value === "true";
  else if (type === "datetime") row[input.name] = `${input.value}Z`;
  else row[input.name] = input.value;
}

async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

function mark(input, problem) {
  input.setAttribute("aria-invalid", problem ? "true" : "false");
  byId(`${input.id}-wrong`).textContent = problem;
}

// Shows what the endpoint found wrong beside the fields that it named.
function markAll(problems) {
  const inputs = [...fields.querySelectorAll("[name]")];
  for (const problem of problems) {
    const input = inputs.find((each) => each.name === problem.field);
    if (input) mark(input, `found ${problem.found}; right is ${problem.right}`);
  }
  fields.querySelector("[aria-invalid=true]")?.focus();
}
