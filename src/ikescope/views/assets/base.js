// Small means that every part of the page uses. Text enters the page as text, never as markup.

const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function plural(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function seconds(value) {
  return value === null ? "" : value.toFixed(3);
}

// 86400 -> 1 d, 3725 -> 1:02:05.
function duration(value) {
  const whole = Math.max(0, Math.floor(value));
  const days = Math.floor(whole / 86400);
  const two = (part) => String(part).padStart(2, "0");
  const clock = `${Math.floor((whole % 86400) / 3600)}:${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`;
  return days ? `${days} d ${clock}` : clock;
}

function spi(text) {
  return text && !text.startsWith("?") ? `0x${text.toUpperCase()}` : "unknown";
}

// What a reader who does not look at the screen is told; one sentence at a time, the latest.
const announcer = {
  waiting: null,
  say(text) {
    if (this.waiting === null) {
      setTimeout(() => {
        byId("said").textContent = this.waiting;
        this.waiting = null;
      }, 300);
    }
    this.waiting = text;
  },
};

// The page's state: `details` by row number where the file holds them, `source` where a router is asked for them.
const page = {
  rows: [],
  families: [],
  traffic: {},
  details: new Map(),
  strings: [],
  addresses: {},
  now: 0,
  heard: 0,
  live: document.body.dataset.live === "yes",
};

// The records' clock now: it runs on while a router is watched and stands still in a file.
function clock() {
  return page.live ? page.now + (performance.now() - page.heard) / 1000 : page.now;
}
