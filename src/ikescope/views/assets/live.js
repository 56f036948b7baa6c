// Where the page's content comes from: the file it stands in, or the router that runs.

const STANDING = 1000000; // numbers of families from here on are of SAs without records

function drawVerdict(lines) {
  byId("verdict").replaceChildren(...lines.map((line) => make("p", {}, line)));
}

function take(told) {
  if (told.verdict) drawVerdict(told.verdict);
  if (told.now !== undefined) {
    page.now = told.now;
    page.heard = performance.now();
  }
  if (told.addresses) page.addresses = told.addresses;
  if (told.traffic) page.traffic = told.traffic;
}

function whole(told) {
  take(told);
  page.rows = told.rows;
  page.families = [...told.families, ...(told.standing || [])];
  cards.clear();
  drawLadder();
  drawFamilies();
}

function changed(told) {
  take(told);
  if (told.rows && told.rows.length) {
    drawMore(told.rows);
    tell(told.rows);
    const drawing = ladder.list.parentElement;
    if (byId("follow").checked) drawing.scrollTop = drawing.scrollHeight;
    const chosen = ladder.drawn.get(ladder.chosen);
    if (chosen && (told.touched || []).includes(ladder.chosen) && !byId("detail").contains(document.activeElement)) {
      inspect(chosen.row, false);
    }
  }
  if (told.families && told.families.length) told.families.forEach(drawFamily);
  if (told.standing) keepStanding(told.standing);
  if ((told.families && told.families.length) || told.standing) drawFamilies();
  if (told.traffic) drawTraffic();
}

// SAs of which the router has a status and no records: their list is whole each time.
function keepStanding(standing) {
  const numbers = new Set(standing.map((one) => one.number));
  page.families = page.families.filter((one) => one.number < STANDING || numbers.has(one.number));
  standing.forEach(drawFamily);
}

// A failure is told at once, of the rest the latest.
function tell(rows) {
  const failed = rows.filter((row) => row.severity === "error" && row.kind !== "message");
  if (failed.length) {
    const one = failed[failed.length - 1];
    byId("alarm").textContent = `Failure at ${one.at}: ${one.text}. ${one.what || ""}`;
  } else {
    const last = rows[rows.length - 1];
    announcer.say(last.kind === "message" ? label(last) : `${last.at}: ${last.text}`);
  }
}

function connection(text, kind) {
  const box = byId("connection");
  if (box.textContent !== text) box.textContent = text;
  box.className = kind;
}

function follow() {
  const source = new EventSource("events");
  source.addEventListener("whole", (event) => {
    const told = JSON.parse(event.data);
    page.epoch = told.epoch;
    whole(told);
    connection(told.missed ? `live; ${plural(told.missed, "record")} not seen` : "live", "good");
  });
  source.addEventListener("changed", (event) => changed(JSON.parse(event.data)));
  source.addEventListener("behind", () => connection("too slow for the router: reading anew", "notice"));
  source.addEventListener("gone", () => {
    source.close();
    connection("the router ended", "error");
  });
  source.onerror = () => connection("connection lost: trying again", "notice");
}

byId("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).getPropertyValue("--dark").trim() === "1";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  byId("theme").textContent = dark ? "Dark" : "Light";
});

if (page.live) {
  setInterval(tick, 1000);
  follow();
} else {
  const told = JSON.parse(byId("data").textContent);
  page.details = new Map(Object.entries(told.details.messages));
  page.strings = told.details.strings;
  whole(told);
}
