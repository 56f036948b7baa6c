// The ladder: routers as columns, a row a message, what changed between them.

const SIGNS = { info: "·", good: "✓", notice: "·", error: "✕" };
const ROWS = 4000; // of a router that runs for weeks the latest are drawn

const ladder = {
  list: byId("rungs"),
  chosen: null,
  drawn: new Map(),
  columns: [],
};

// Columns are the names in the order in which they are met; of a hub with many peers only this side and "peers".
function columnsOf(rows) {
  const names = [];
  for (const row of rows) {
    for (const name of [row.left, row.right]) if (name && !names.includes(name)) names.push(name);
  }
  return names.length <= 4 ? names : [names[0], "peers"];
}

function column(name) {
  const place = ladder.columns.indexOf(name);
  return place < 0 ? ladder.columns.length - 1 : place;
}

function across(place) {
  const count = ladder.columns.length;
  return count < 2 ? 10 : 8.5 + (83 * place) / (count - 1);
}

function spread(element, from, to) {
  const [left, right] = [Math.min(across(from), across(to)), Math.max(across(from), across(to))];
  element.style.marginLeft = `${left}%`;
  element.style.marginRight = `${100 - right}%`;
}

function lanes() {
  const lifelines = make("span", { class: "lifelines", "aria-hidden": "true" });
  ladder.columns.forEach((_, place) => {
    const line = make("span", { class: "lifeline" });
    line.style.left = `${across(place)}%`;
    lifelines.append(line);
  });
  return lifelines;
}

function titled(row) {
  const kind = row.response ? "response" : "request";
  return `${row.name} ${kind}${row.id === null ? "" : ` ${row.id}`}`;
}

function remarks(row) {
  const told = [];
  if (row.size !== null) told.push(`${row.size} octets`);
  if (row.fragments.length) told.push(`in ${plural(row.fragments.length, "fragment")}`);
  if (row.repeat) told.push(`sent again, ${row.repeat}`);
  if (row.lost) told.push("lost on the way");
  return told;
}

function label(row) {
  const when = row.seconds === null ? "" : `at ${seconds(row.seconds)} seconds, `;
  const parts = [`${when}${row.source} to ${row.destination}: ${titled(row)}`, row.payloads, ...remarks(row)];
  if (row.severity === "error") parts.unshift("Failure");
  return parts.filter(Boolean).join(", ");
}

function drawMessage(row) {
  const from = column(row.source);
  const to = column(row.destination);
  const words = make(
    "span",
    { class: "words" },
    make("span", { class: "name" }, titled(row)),
    " ",
    make("span", { class: "payloads" }, row.payloads),
    " ",
    make("span", { class: "remarks" }, remarks(row).join(", ")),
    ladder.columns.includes(row.destination) && ladder.columns.includes(row.source)
      ? null
      : make("span", { class: "remarks" }, ` ${row.source} → ${row.destination}`),
  );
  const way = to >= from ? "right" : "left";
  const arrow = make("span", { class: `arrow ${way}${row.response ? " response" : ""}${row.lost ? " lost" : ""}` });
  spread(words, from, to);
  spread(arrow, from, to);
  const button = make(
    "button",
    {
      type: "button",
      class: `rung ${row.severity}`,
      tabindex: -1,
      "aria-label": label(row),
      "aria-controls": "detail",
      "aria-pressed": "false",
      "data-n": row.n,
      "data-exchange": row.name,
    },
    make("span", { class: "time" }, seconds(row.seconds)),
    make("span", { class: "lane" }, lanes(), words, arrow),
  );
  return make("li", { class: "message" }, button);
}

function drawMark(row) {
  const text = make(
    "span",
    { class: "words" },
    make("span", { class: "sign", "aria-hidden": "true" }, SIGNS[row.severity] || "·"),
    ` ${row.at}: ${row.text}`,
  );
  if (row.what) {
    text.append(
      make("span", { class: "finding" }, make("strong", {}, "Finding: "), `${row.what}.`),
      make("span", { class: "finding" }, make("strong", {}, "Change: "), `${row.change}.`),
    );
  }
  const side = column(row.at);
  text.classList.add(side === 0 ? "near" : "far");
  const item = make(
    "li",
    { class: `mark ${row.kind} ${row.severity}` },
    make("span", { class: "time" }, seconds(row.seconds)),
    make("span", { class: "lane" }, lanes(), text),
  );
  if (row.severity === "error") item.prepend(make("span", { class: "unseen" }, "Failure: "));
  return item;
}

function drawHeads() {
  const heads = byId("columns");
  heads.replaceChildren();
  ladder.columns.forEach((name, place) => {
    const head = make("span", { class: "head" }, make("strong", {}, name), make("small", {}, page.addresses[name] || ""));
    head.style.left = `${across(place)}%`;
    heads.append(head);
  });
}

function drawRow(row) {
  const item = row.kind === "message" ? drawMessage(row) : drawMark(row);
  const before = ladder.drawn.get(row.n);
  if (before) {
    if (ladder.chosen === row.n) choose(item, true);
    before.item.replaceWith(item);
  } else {
    ladder.list.append(item);
  }
  ladder.drawn.set(row.n, { row, item });
  return item;
}

// Every row anew: the columns may have changed.
function drawLadder() {
  ladder.columns = columnsOf(page.rows);
  ladder.list.replaceChildren();
  ladder.drawn.clear();
  drawHeads();
  for (const row of page.rows) drawRow(row);
  drawChoices();
  filterRows();
  if (!ladder.list.querySelector('.rung[tabindex="0"]')) setEntry(visibleRungs()[0]);
}

function drawMore(rows) {
  for (const row of rows) {
    const place = page.rows.findIndex((one) => one.n === row.n);
    if (place < 0) page.rows.push(row);
    else page.rows[place] = row;
  }
  page.rows.sort((one, other) => one.n - other.n);
  const many = page.rows.length > ROWS;
  if (many) page.rows.splice(0, page.rows.length - ROWS + ROWS / 4);
  const wanted = columnsOf(page.rows);
  const disordered = page.rows.slice(-rows.length).some((row, place) => row.n !== rows[place].n);
  if (many || disordered || wanted.join("\n") !== ladder.columns.join("\n")) {
    drawLadder();
  } else {
    rows.forEach(drawRow);
    drawChoices();
    filterRows();
    if (!ladder.list.querySelector('.rung[tabindex="0"]')) setEntry(visibleRungs()[0]);
  }
}

// Filters.

function drawChoices() {
  const fill = (id, values, all) => {
    const select = byId(id);
    const known = Array.from(select.options, (option) => option.value).filter(Boolean);
    if (known.join("\n") === values.join("\n") && select.options.length) return;
    const before = select.value;
    select.replaceChildren(make("option", { value: "" }, all), ...values.map((name) => make("option", { value: name }, name)));
    select.value = values.includes(before) ? before : "";
  };
  const of = (name) => Array.from(new Set(page.rows.map((row) => row[name]).filter(Boolean)));
  fill("by-exchange", of("exchange"), "every exchange");
  fill("by-sa", of("sa"), "every IKE SA");
  fill("by-peer", Array.from(new Set([...of("left"), ...of("right")])), "every router");
}

function filterRows() {
  const [exchange, sa, peer] = ["by-exchange", "by-sa", "by-peer"].map((id) => byId(id).value);
  const text = byId("search").value.trim().toLowerCase();
  const failures = byId("failures").checked;
  let [shown, all] = [0, 0];
  for (const { row, item } of ladder.drawn.values()) {
    const fits =
      (!exchange || row.exchange === exchange) &&
      (!sa || row.sa === sa) &&
      (!peer || row.left === peer || row.right === peer) &&
      (!failures || row.severity === "error") &&
      (!text || `${row.text} ${row.at} ${row.left} ${row.right} ${row.what || ""}`.toLowerCase().includes(text));
    item.hidden = !fits;
    if (row.kind === "message") {
      all += 1;
      shown += fits ? 1 : 0;
    }
  }
  byId("count").textContent = shown === all ? plural(all, "message") : `${shown} of ${plural(all, "message")}`;
}

// The keyboard: one message takes the focus of Tab, arrows go on from there.

function visibleRungs() {
  return Array.from(ladder.list.querySelectorAll("li.message:not([hidden]) > .rung"));
}

function setEntry(rung) {
  ladder.list.querySelectorAll('.rung[tabindex="0"]').forEach((one) => one.setAttribute("tabindex", "-1"));
  if (rung) rung.setAttribute("tabindex", "0");
}

function step(from, by) {
  const all = visibleRungs();
  const place = all.indexOf(from);
  const next = by === Infinity ? all.length - 1 : by === -Infinity ? 0 : Math.min(Math.max(place + by, 0), all.length - 1);
  if (all[next]) {
    setEntry(all[next]);
    all[next].focus();
  }
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

function choose(item, pressed) {
  const rung = item.querySelector(".rung");
  if (rung) rung.setAttribute("aria-pressed", String(pressed));
}

function open(rung, byKey) {
  const number = Number(rung.dataset.n);
  const before = ladder.drawn.get(ladder.chosen);
  if (before) choose(before.item, false);
  ladder.chosen = number;
  setEntry(rung);
  rung.setAttribute("aria-pressed", "true");
  inspect(ladder.drawn.get(number).row, byKey);
}

ladder.list.addEventListener("click", (event) => {
  const rung = event.target.closest(".rung");
  // A click that a key made has no place on the screen.
  if (rung) open(rung, event.detail === 0);
});
ladder.list.addEventListener("keydown", (event) => {
  const rung = event.target.closest(".rung");
  if (rung && event.key in STEPS && !event.altKey && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    step(rung, STEPS[event.key]);
  }
});
for (const id of ["by-exchange", "by-sa", "by-peer", "failures"]) byId(id).addEventListener("change", filterRows);
byId("search").addEventListener("input", filterRows);
document.addEventListener("keydown", (event) => {
  const typing = ["INPUT", "SELECT"].includes(event.target.tagName);
  if (event.key === "/" && !typing) {
    event.preventDefault();
    byId("search").focus();
  } else if (event.key === "Escape") {
    const chosen = ladder.drawn.get(ladder.chosen);
    if (chosen && byId("detail").contains(event.target)) chosen.item.querySelector(".rung").focus();
  }
});
