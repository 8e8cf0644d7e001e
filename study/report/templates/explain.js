"use strict";
const data = JSON.parse(document.querySelector("#data").textContent);
const find = (name) => document.querySelector(`#${name}`);
const map = find("map");
const squares = data.x.map((x, pfn) => {
  const square = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of [["x", x + .04], ["y", data.y[pfn] + .04], ["width", .92], ["height", .92]]) {
    square.setAttribute(name, value);
  }
  const hint = document.createElementNS("http://www.w3.org/2000/svg", "title");
  square.append(hint);
  map.append(square);
  return square;
});
map.setAttribute("viewBox", `0 0 ${Math.max(...data.x) + 1} ${Math.max(...data.y) + 1}`);
const names = JSON.parse(find("names").textContent);

// Whose each page is after every step: a row a step.
const owners = [];
for (const step of data.steps) {
  const row = owners.length ? owners[owners.length - 1].slice() : [];
  for (const [pfn, owner] of step.set) row[pfn] = owner;
  owners.push(row);
}

let at = 0;
let timer = null;

function cell(text) {
  const made = document.createElement("td");
  made.textContent = text;
  return made;
}

function line(cells) {
  const row = document.createElement("tr");
  row.append(...cells.map(cell));
  return row;
}

function show(number) {
  at = Math.max(0, Math.min(number, data.steps.length - 1));
  const step = data.steps[at];
  const changed = new Set(at ? step.set.map(([pfn]) => pfn) : []);
  squares.forEach((square, pfn) => {
    const owner = owners[at][pfn];
    square.setAttribute("fill", data.colours[owner]);
    square.setAttribute("class", changed.has(pfn) ? "new" : "");
    square.firstChild.textContent = `page ${pfn}: ${names[owner]}`;
  });
  find("where").textContent = `Step ${step.n} of ${data.steps.length - 1}, ${step.ms.toFixed(3)} ms`;
  find("title").textContent = step.title;
  find("says").replaceChildren(...step.says.map((sentence) => {
    const made = document.createElement("p");
    made.textContent = sentence;
    return made;
  }));
  find("lists").replaceChildren(...step.lists.flatMap((blocks, order) => {
    if (!step.counts[order]) return [];
    const more = step.counts[order] > blocks.length ? " …" : "";
    return [line([order, step.counts[order], blocks.join(" ") + more])];
  }));
  find("free").textContent = `${step.free} pages free; kswapd ${step.awake ? "works" : "rests"}`;
  find("level").style.width = `${Math.min(100, 100 * step.free / data.x.length)}%`;
  find("choice").hidden = !step.choices.length;
  find("choices").replaceChildren(...step.choices.map(([pfn, cost, taken]) =>
    line([pfn, cost, taken ? "emptied" : ""])));
  find("slider").value = at;
  find("back").disabled = at === 0;
  find("next").disabled = at === data.steps.length - 1;
}

function pause() {
  clearInterval(timer);
  timer = null;
  find("play").textContent = "Play";
}

function play() {
  if (at === data.steps.length - 1) show(0);
  find("play").textContent = "Pause";
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
