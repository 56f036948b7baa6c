// Security associations: a family is an IKE SA and those that replaced it; lifetimes run down, traffic is counted.

const CARDS = 60; // families that are drawn; the filter finds the others

function term(name, value) {
  return value === null || value === undefined || value === ""
    ? []
    : [make("dt", {}, name), make("dd", {}, value)];
}

// A bar that runs down and what it says, kept up by `tick`.
function lifetime(from, total, expires, closed, name) {
  if (from === null || !total) return null;
  const bar = make("progress", { max: total, value: 0, "aria-label": `${name}: lifetime left` });
  const text = make("span", { class: "left" });
  const box = make("span", { class: "lifetime" }, bar, text);
  box.until = expires === null ? from + total : expires;
  box.total = total;
  box.closed = closed;
  runDown(box);
  return box;
}

function runDown(box) {
  const left = Math.max(0, box.until - (box.closed === null ? clock() : box.closed));
  box.firstChild.value = left;
  const end = box.closed === null ? "left" : "were left when it ended";
  box.lastChild.textContent = `${duration(left)} of ${duration(box.total)} ${end}`;
}

function goTo(text, spi_i) {
  const link = make("button", { type: "button", class: "link", "data-sa": spi_i }, text);
  link.addEventListener("click", () => {
    byId("by-sa").value = spi_i;
    filterRows();
    const first = visibleRungs()[0];
    if (first) {
      setEntry(first);
      first.focus();
    }
    announcer.say(`The ladder shows ${byId("count").textContent} of IKE SA ${spi_i}`);
  });
  return link;
}

function state(word) {
  return make("span", { class: `state ${word.toLowerCase()}` }, word);
}

function generation(one, place) {
  const role = one.initiator === null ? null : one.initiator ? "this router began it" : "the peer began it";
  const facts = make(
    "dl",
    {},
    ...term("SPIs", `${spi(one.spi_i)} / ${spi(one.spi_r)}`),
    ...term("rekeyed from", one.rekeyed_from && spi(one.rekeyed_from)),
    ...term("superseded by", one.superseded_by && spi(one.superseded_by)),
    ...term("suite", one.suite),
    ...term("identities", one.local_id && one.remote_id && `${one.local_id} and ${one.remote_id}`),
    ...term("NAT", one.nat && { both: "both behind one", local: "this router behind one", remote: "the peer behind one" }[one.nat]),
    ...term("role", role),
    ...term("lifetime", lifetime(one.created, one.lifetime, one.expires, one.closed, `IKE SA ${spi(one.spi_i)}`)),
    ...term("ended", one.closed !== null ? one.reason || "yes" : null),
  );
  return make(
    "li",
    { class: "generation", "data-spi": one.spi_i },
    make("p", {}, `Generation ${place} `, state(one.state), " ", goTo("show its messages", one.spi_i)),
    facts,
  );
}

function counted(child) {
  const told = page.traffic[child.inbound] || child.traffic;
  if (!told) return null;
  const [packetsIn, octetsIn, packetsOut, octetsOut, dropped] = told;
  const lost = dropped ? `, ${plural(dropped, "packet")} dropped` : "";
  return `in ${plural(packetsIn, "packet")}, ${plural(octetsIn, "octet")}; out ${plural(packetsOut, "packet")}, ${plural(octetsOut, "octet")}${lost}`;
}

function childSa(child) {
  const title = `${child.tunnel || "Child SA"}: in ${spi(child.inbound)}, out ${spi(child.outbound)} `;
  const traffic = make("dd", { class: "traffic", "data-inbound": child.inbound });
  traffic.textContent = counted(child) || "";
  const facts = make(
    "dl",
    {},
    ...term("traffic selectors", child.selectors),
    ...term("suite", [child.suite, child.mode && `${child.mode} mode`].filter(Boolean).join(", ")),
    ...term("replaces", child.replaces && spi(child.replaces)),
    ...term("replaced by", child.replaced_by && spi(child.replaced_by)),
    ...term("lifetime", lifetime(child.created, child.lifetime, child.expires, child.closed, `Child SA ${spi(child.inbound)}`)),
    ...term("ended", child.closed !== null ? child.reason || "yes" : null),
    ...(page.live || child.traffic ? [make("dt", {}, "traffic"), traffic] : []),
  );
  return make("li", { class: "child" }, make("p", {}, title, state(child.closed === null ? "UP" : "ENDED")), facts);
}

function familyCard(family) {
  const latest = family.generations[family.generations.length - 1];
  const title = make(
    "h3",
    { id: `family-${family.number}` },
    `${family.router} with ${family.peer || "an unknown peer"} `,
    state(latest.state),
  );
  const first = family.earlier + 1;
  return make(
    "article",
    { class: "family", "aria-labelledby": `family-${family.number}`, "data-family": family.number },
    title,
    family.earlier ? make("p", {}, `${plural(family.earlier, "earlier generation")} not shown.`) : null,
    make("ol", { class: "generations", start: first }, ...family.generations.map((one, place) => generation(one, first + place))),
    family.children.length ? make("h4", {}, "Child SAs") : null,
    family.children.length ? make("ul", { class: "children" }, ...family.children.map(childSa)) : null,
  );
}

function drawFamilies() {
  const open = page.families.filter((one) => one.generations.length);
  const wanted = byId("sa-search").value.trim().toLowerCase();
  const found = wanted ? open.filter((one) => JSON.stringify(one).toLowerCase().includes(wanted)) : open;
  showCards(found.slice(-CARDS).map(cardOf));
  const shown = Math.min(found.length, CARDS);
  byId("family-count").textContent =
    shown === open.length ? plural(open.length, "IKE SA") : `${shown} of ${plural(open.length, "IKE SA")}`;
  byId("sa-tools").hidden = open.length < 4;
}

const cards = new Map(); // number of a family -> what it was and how it was drawn

function cardOf(family) {
  const kept = cards.get(family.number);
  if (kept && kept.family === family) return kept.card;
  const card = familyCard(family);
  cards.set(family.number, { family, card });
  return card;
}

// Cards that stay are left alone; the focus goes to the button that stands where it was.
function showCards(wanted) {
  const box = byId("families");
  if (box.children.length === wanted.length && wanted.every((card, place) => box.children[place] === card)) return;
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.sa : null;
  box.replaceChildren(...wanted);
  const again = focused && Array.from(box.querySelectorAll("[data-sa]")).find((one) => one.dataset.sa === focused);
  if (again) again.focus();
}

function drawFamily(family) {
  const place = page.families.findIndex((one) => one.number === family.number);
  if (place < 0) page.families.push(family);
  else page.families[place] = family;
}

function tick() {
  document.querySelectorAll(".lifetime").forEach((box) => box.closed === null && runDown(box));
}

function drawTraffic() {
  document.querySelectorAll(".traffic").forEach((cell) => {
    const text = counted({ inbound: cell.dataset.inbound });
    if (text && cell.textContent !== text) cell.textContent = text;
  });
}

byId("sa-search").addEventListener("input", drawFamilies);
