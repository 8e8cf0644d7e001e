"use strict";
const data = JSON.parse(document.querySelector("#data").textContent);
const names = JSON.parse(document.querySelector("#names").textContent);
const find = (name) => document.querySelector(`#${name}`);
const map = find("map");
const FREE = 16;

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function box(pfn, wide, high) {
  const rect = shape("rect", {
    x: data.x[pfn] + .04, y: data.y[pfn] + .04, width: wide - .08, height: high - .08,
  });
  rect.append(shape("title", {}));
  return rect;
}

const squares = data.x.map((_, pfn) => box(pfn, 1, 1));
const blocks = shape("g", {});
map.append(...squares, blocks);
map.setAttribute("viewBox", `0 0 ${Math.max(...data.x) + 1} ${Math.max(...data.y) + 1}`);

// Whose each page is after every step: a row a step.
const owners = [];
for (const step of data.steps) {
  const row = owners.length ? owners[owners.length - 1].slice() : new Uint8Array(data.x.length);
  for (const [pfn, owner] of step.set) row[pfn] = owner;
  owners.push(row);
}

// A free block: a rectangle of all its pages, with its order.
function block(pfn, order, isNew) {
  const [wide, high] = [1 << (order + 1 >> 1), 1 << (order >> 1)];
  const made = shape("g", {});
  const rect = box(pfn, wide, high);
  rect.setAttribute("fill", data.colours[FREE + order]);
  rect.setAttribute("class", isNew ? "new" : "");
  rect.firstChild.textContent = `pages ${pfn} to ${pfn + (1 << order) - 1}: ${names[FREE + order]}`;
  const label = shape("text", {
    x: data.x[pfn] + wide / 2, y: data.y[pfn] + high / 2,
    fill: order >= 1 && order <= 5 ? "#101112" : "#ffffff", "pointer-events": "none",
  });
  label.textContent = order;
  made.append(rect, label);
  return made;
}

let at = 0;
let timer = null;

function line(cells, numbers) {
  const row = document.createElement("tr");
  row.append(...cells.map((text, column) => {
    const made = document.createElement("td");
    made.textContent = text;
    if (column < numbers) made.className = "number";
    return made;
  }));
  return row;
}

function show(number) {
  at = Math.max(0, Math.min(number, data.steps.length - 1));
  const step = data.steps[at];
  const changed = new Set(at ? step.set.map(([pfn]) => pfn) : []);
  const free = [];
  squares.forEach((square, pfn) => {
    const owner = owners[at][pfn];
    square.setAttribute("fill", data.colours[owner]);
    square.setAttribute("class", changed.has(pfn) ? "new" : "");
    square.firstChild.textContent = `page ${pfn}: ${names[owner]}`;
    if (owner >= FREE && pfn % (1 << owner - FREE) === 0) {
      free.push(block(pfn, owner - FREE, changed.has(pfn)));
    }
  });
  blocks.replaceChildren(...free);
  find("where").textContent = `Step ${step.n} of ${data.steps.length - 1}, ${step.ms.toFixed(3)} ms`;
  find("title").textContent = step.title;
  find("lesson").hidden = true;
  for (const button of document.querySelectorAll("[data-step]")) {
    const here = Number(button.dataset.step) === at;
    button.setAttribute("aria-pressed", String(here));
    if (here) {
      find("lesson").hidden = false;
      find("lesson").textContent = button.dataset.lesson;
    }
  }
  find("says").replaceChildren(...step.says.map((sentence) => {
    const made = document.createElement("p");
    made.textContent = sentence;
    return made;
  }));
  find("lists").replaceChildren(...step.lists.slice(0, data.orders).map((firsts, order) => {
    const more = step.counts[order] > firsts.length ? " …" : "";
    const row = line([order, step.counts[order], firsts.join(" ") + more], 2);
    row.className = firsts.length ? "" : "none";
    return row;
  }));
  const beyond = step.free > data.bar ? ", more than the bar shows" : "";
  find("free").textContent = `${step.free} pages free${beyond}; kswapd ${step.awake ? "works" : "rests"}`;
  find("level").style.width = `${Math.min(100, 100 * step.free / data.bar)}%`;
  find("choice").hidden = !step.choices.length;
  find("choices").replaceChildren(...step.choices.map(([pfn, cost, taken]) =>
    line([pfn, cost, taken ? "emptied" : ""], 2)));
  find("slider").value = at;
  find("back").disabled = at === 0;
  find("next").disabled = at === data.steps.length - 1;
}

function pause() {
  clearInterval(timer);
  timer = null;
  find("play").textContent = "Play";
  find("says").setAttribute("aria-live", "polite");
}

function play() {
  if (at === data.steps.length - 1) show(0);
  find("play").textContent = "Pause";
  // Nobody can listen so fast.
  find("says").setAttribute("aria-live", "off");
  timer = setInterval(() => {
    show(at + 1);
    if (at === data.steps.length - 1) pause();
  }, Number(find("speed").value));
}

const toggle = () => (timer === null ? play() : pause());
const step = (by) => { pause(); show(at + by); };
find("play").addEventListener("click", toggle);
find("back").addEventListener("click", () => step(-1));
find("next").addEventListener("click", () => step(1));
find("slider").addEventListener("input", (event) => { pause(); show(Number(event.target.value)); });
find("speed").addEventListener("change", () => { if (timer !== null) { pause(); play(); } });
for (const button of document.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => { pause(); show(Number(button.dataset.step)); });
}
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "ArrowRight") step(1);
  else if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "Home") step(-at);
  else if (event.key === "End") step(data.steps.length);
  else if (event.key === " " && !event.target.matches("button")) { event.preventDefault(); toggle(); }
});
find("slider").max = data.steps.length - 1;
show(0);
