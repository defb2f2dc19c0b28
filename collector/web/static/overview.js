// The overview follows what the server verified last. Cells change in place; rows move only where their rank changed.
import { tellAges } from "./base.js";

const live = document.getElementById("live");
let heard = 0;

function rowOf(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // our own server's markup, every value escaped by its template
  return template.content.querySelector("tr");
}

function update(body, rows) {
  const there = new Map([...body.querySelectorAll("tr[data-id]")].map((row) => [row.dataset.id, row]));
  const wanted = rows.map(({ id, html }) => {
    const fresh = rowOf(html);
    const old = there.get(id);
    if (!old) return fresh;
    there.delete(id);
    if (old.className !== fresh.className) old.className = fresh.className;
    [...fresh.cells].forEach((cell, at) => {
      tellAges(cell);
      if (old.cells[at].innerHTML !== cell.innerHTML && !old.cells[at].contains(document.activeElement)) old.cells[at].innerHTML = cell.innerHTML;
    });
    return old;
  });
  for (const gone of there.values()) gone.remove();
  const now = [...body.querySelectorAll("tr[data-id]")];
  if (wanted.length !== now.length || wanted.some((row, at) => row !== now[at])) {
    const focused = document.activeElement;
    body.replaceChildren(...wanted);
    if (body.contains(focused)) focused.focus();
  }
}

function show(found) {
  if (found.wrong) {
    live.textContent = `not live: ${found.wrong}`;
    live.classList.add("lost");
    return;
  }
  heard = Date.now();
  live.classList.remove("lost");
  if (live.textContent !== "live, verified just now") live.textContent = "live, verified just now";
  update(document.getElementById("devices"), found.devices);
  update(document.getElementById("gateways"), found.gateways);
  const summary = document.getElementById("summary");
  if (summary.innerHTML !== found.summary) summary.innerHTML = found.summary;
  document.getElementById("newest-age").dataset.ageUs = found.newest_us ?? "";
  tellAges();
}

const source = new EventSource("/events");
source.addEventListener("overview", (event) => show(JSON.parse(event.data)));
setInterval(() => {
  if (heard && Date.now() - heard < 10000) return;
  if (!heard && source.readyState !== EventSource.CLOSED && performance.now() < 10000) return;
  live.textContent = "connection lost: values are old";
  live.classList.add("lost");
}, 1000);
addEventListener("pagehide", () => source.close());
