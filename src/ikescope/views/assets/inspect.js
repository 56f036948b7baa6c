// One message, opened: what it is for, its fields as a tree, its octets.

const OCTETS_A_LINE = 16;
const inspector = { nodes: [], rows: [], octets: {}, chosen: -1 };

async function inspect(row, moveFocus) {
  const heading = byId("detail-title");
  heading.textContent = `${titled(row)}, ${row.source} to ${row.destination}`;
  byId("detail-hint").hidden = true;
  byId("detail-body").hidden = false;
  byId("detail-facts").textContent = [
    row.seconds === null ? "" : `${seconds(row.seconds)} s`,
    `${row.from} → ${row.to}`,
    ...remarks(row),
  ].filter(Boolean).join(" · ");
  if (moveFocus) heading.focus();
  const detail = await detailOf(row.n);
  if (ladder.chosen !== row.n) return;
  showTree(detail);
  showOctets(detail);
  showNotes(detail.notes);
}

async function detailOf(number) {
  if (!page.live) return { ...(page.details.get(String(number)) || EMPTY), strings: page.strings };
  try {
    const answer = await fetch(`message/${page.epoch}/${number}`, { credentials: "same-origin" });
    return answer.ok ? await answer.json() : { ...EMPTY, notes: [["The router holds this message no longer"]] };
  } catch {
    return { ...EMPTY, notes: [["The router does not answer"]] };
  }
}

const EMPTY = { notes: [], tree: [], octets: null, opened: null, strings: [] };

// Each sentence is followed by the payloads and fields that it speaks of.
function showNotes(notes) {
  const told = notes.map(([title, ...lines]) =>
    make("div", { class: "remark" }, make("h4", {}, title), ...lines.map(([line, places]) => sentence(line, places))),
  );
  byId("detail-notes").replaceChildren(...told);
  byId("detail-notes").hidden = !told.length;
}

function sentence(line, places) {
  const chips = places.map((place) => {
    const name = inspector.nodes[place].name;
    return make("button", { type: "button", class: "chip", "data-place": place, "aria-label": `Show the octets of ${name}` }, name);
  });
  return make("p", {}, line, ...chips.flatMap((chip) => [" ", chip]));
}

byId("detail-notes").addEventListener("click", (event) => {
  const chip = event.target.closest(".chip");
  if (chip) chooseField(Number(chip.dataset.place), { reveal: true });
});

// The tree, as one flat list of items that know their level.

function showTree(detail) {
  const flat = [];
  const walk = (nodes, level, parent) => {
    nodes.forEach(([name, value, offset, length, section, inside, children], place) => {
      const at = flat.length;
      flat.push({
        name: detail.strings[name],
        value: detail.strings[value],
        section: detail.strings[section],
        offset, length, level, parent,
        inside: Boolean(inside),
        place: place + 1,
        of: nodes.length,
        group: children.length > 0,
        open: level < 3 && detail.strings[name] !== "IKE header",
      });
      walk(children, level + 1, at);
    });
  };
  walk(detail.tree, 1, -1);
  inspector.nodes = flat;
  inspector.chosen = -1;
  inspector.rows = flat.map((node, place) => treeItem(node, place));
  byId("tree").replaceChildren(...inspector.rows);
  byId("tree").hidden = !flat.length;
  byId("no-tree").hidden = Boolean(flat.length);
  foldTree();
  if (inspector.rows[0]) inspector.rows[0].setAttribute("tabindex", "0");
}

function treeItem(node, place) {
  const where = node.length ? `octets ${node.offset} to ${node.offset + node.length - 1}` : "";
  const item = make(
    "li",
    {
      role: "treeitem",
      tabindex: -1,
      "aria-level": node.level,
      "aria-setsize": node.of,
      "aria-posinset": node.place,
      "aria-selected": "false",
      "aria-expanded": node.group ? String(node.open) : null,
      "data-place": place,
      title: [where && `${where}${node.inside ? " inside the Encrypted payload" : ""}`, node.section].filter(Boolean).join(", "),
      class: node.value.startsWith("malformed") ? "malformed" : "",
    },
    make("span", { class: "twist", "aria-hidden": "true" }),
    make("span", { class: "field" }, node.name),
    node.value ? make("span", { class: "value" }, node.value) : null,
    node.level === 1 && node.section ? make("span", { class: "section" }, node.section) : null,
  );
  item.style.paddingLeft = `${(node.level - 1) * 1.1 + 0.3}rem`;
  return item;
}

function foldTree() {
  const shown = [];
  inspector.nodes.forEach((node, place) => {
    shown[place] = node.parent < 0 || (shown[node.parent] && inspector.nodes[node.parent].open);
    inspector.rows[place].hidden = !shown[place];
  });
}

function setOpen(place, value) {
  inspector.nodes[place].open = value;
  inspector.rows[place].setAttribute("aria-expanded", String(value));
  foldTree();
}

function chooseField(place, { focus = false, reveal = false } = {}) {
  const before = inspector.rows[inspector.chosen];
  if (before) before.setAttribute("aria-selected", "false");
  for (let up = inspector.nodes[place].parent; up >= 0; up = inspector.nodes[up].parent) {
    if (!inspector.nodes[up].open) setOpen(up, true);
  }
  inspector.chosen = place;
  const [item, node] = [inspector.rows[place], inspector.nodes[place]];
  inspector.rows.forEach((one) => one.setAttribute("tabindex", "-1"));
  item.setAttribute("tabindex", "0");
  item.setAttribute("aria-selected", "true");
  if (focus) item.focus();
  if (reveal) byId("tree").scrollTop = Math.max(0, item.offsetTop - byId("tree").offsetTop - 60);
  markOctets(node);
}

byId("tree").addEventListener("click", (event) => {
  const item = event.target.closest("[role=treeitem]");
  if (!item) return;
  const place = Number(item.dataset.place);
  const fold = event.target.classList.contains("twist") || event.detail === 2;
  if (inspector.nodes[place].group && fold) setOpen(place, !inspector.nodes[place].open);
  chooseField(place, { focus: true });
});
byId("tree").addEventListener("focusin", (event) => {
  const item = event.target.closest("[role=treeitem]");
  if (item && Number(item.dataset.place) !== inspector.chosen) chooseField(Number(item.dataset.place));
});
byId("tree").addEventListener("keydown", (event) => {
  const item = event.target.closest("[role=treeitem]");
  if (!item || event.altKey || event.ctrlKey || event.metaKey) return;
  const place = Number(item.dataset.place);
  const node = inspector.nodes[place];
  const shown = inspector.rows.filter((row) => !row.hidden);
  const at = shown.indexOf(item);
  const go = (row) => row && chooseField(Number(row.dataset.place), { focus: true });
  const acts = {
    ArrowDown: () => go(shown[at + 1]),
    ArrowUp: () => go(shown[at - 1]),
    Home: () => go(shown[0]),
    End: () => go(shown[shown.length - 1]),
    ArrowRight: () => (node.group && !node.open ? setOpen(place, true) : node.group && go(shown[at + 1])),
    ArrowLeft: () => (node.group && node.open ? setOpen(place, false) : node.parent >= 0 && go(inspector.rows[node.parent])),
    Enter: () => node.group && setOpen(place, !node.open),
    " ": () => node.group && setOpen(place, !node.open),
  };
  if (acts[event.key]) {
    event.preventDefault();
    acts[event.key]();
  }
});

// Octets: sixteen a line, those of the chosen field marked.

function showOctets(detail) {
  inspector.octets = {
    false: dump("octets", detail.octets),
    true: dump("opened", detail.opened),
  };
  byId("octets-none").hidden = detail.octets !== null || detail.opened !== null;
  byId("octets-range").textContent = "";
}

function dump(id, hex) {
  const box = byId(id);
  byId(`${id}-part`).hidden = hex === null;
  box.replaceChildren();
  if (hex === null) return [];
  const cells = [];
  for (let start = 0; start < hex.length / 2; start += OCTETS_A_LINE) {
    const line = make("div", { class: "line" }, make("span", { class: "offset", "aria-hidden": "true" }, start.toString(16).padStart(4, "0")));
    let text = "";
    for (let at = start; at < Math.min(start + OCTETS_A_LINE, hex.length / 2); at += 1) {
      const pair = hex.slice(at * 2, at * 2 + 2);
      const code = parseInt(pair, 16);
      const cell = make("span", { class: "octet", "data-at": at }, pair);
      cells.push(cell);
      line.append(cell);
      text += code > 32 && code < 127 ? String.fromCharCode(code) : "·";
    }
    line.append(make("span", { class: "ascii", "aria-hidden": "true" }, text));
    box.append(line);
  }
  return cells;
}

function markOctets(node) {
  document.querySelectorAll(".octet.marked").forEach((cell) => cell.classList.remove("marked"));
  const cells = (inspector.octets[node.inside] || []).slice(node.offset, node.offset + node.length);
  cells.forEach((cell) => cell.classList.add("marked"));
  if (cells[0]) {
    const box = cells[0].closest(".dump");
    box.scrollTop = Math.max(0, cells[0].offsetTop - box.offsetTop - 40);
  }
  const inside = node.inside ? " inside the Encrypted payload" : "";
  byId("octets-range").textContent = node.length
    ? `${node.name}: octets ${node.offset} to ${node.offset + node.length - 1}${inside}`
    : "";
}

for (const [id, inside] of [["octets", false], ["opened", true]]) {
  byId(id).addEventListener("click", (event) => {
    const cell = event.target.closest(".octet");
    if (!cell) return;
    const at = Number(cell.dataset.at);
    let found = -1;
    inspector.nodes.forEach((node, place) => {
      if (node.inside === inside && node.offset <= at && at < node.offset + node.length) {
        if (found < 0 || node.level > inspector.nodes[found].level) found = place;
      }
    });
    if (found >= 0) chooseField(found, { reveal: true });
  });
}
