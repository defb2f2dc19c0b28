// Ages on every page, counted on from the server's clock: they go on growing where the connection is lost.
const offset = Number(document.body.dataset.nowUs) / 1000 - Date.now();

export const zone = document.body.dataset.zone;
export const serverNow = () => Date.now() + offset;

export function ageText(us) {
  const s = Math.max(0, (serverNow() - us / 1000) / 1000);
  if (s < 90) return `${Math.round(s)} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 172800) return `${(s / 3600).toFixed(1)} h ago`;
  return `${Math.floor(s / 86400)} days ago`;
}

export function tellAges(root = document) {
  for (const each of root.querySelectorAll("[data-age-us]")) {
    const text = each.dataset.ageUs ? ageText(Number(each.dataset.ageUs)) : "none yet";
    if (each.textContent !== text) each.textContent = text;
  }
}

const stamp = new Intl.DateTimeFormat("en-GB", {
  timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

export function parts(us) {
  return Object.fromEntries(stamp.formatToParts(new Date(us / 1000)).map((each) => [each.type, each.value]));
}

export function when(us) {
  const at = parts(us);
  return `${at.year}-${at.month}-${at.day} ${at.hour}:${at.minute}:${at.second}`;
}

export function length(us) {
  const s = us / 1e6;
  if (s < 120) return `${Number(s.toFixed(1))} s`;
  if (s < 7200) return `${Number((s / 60).toFixed(1))} min`;
  if (s < 172800) return `${Number((s / 3600).toFixed(1))} h`;
  return `${Number((s / 86400).toFixed(1))} days`;
}

tellAges();
setInterval(tellAges, 1000);
