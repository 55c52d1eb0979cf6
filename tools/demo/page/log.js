// The audit log, as the daemon tells it.

import { figures } from "./admin.js";

const KEEP = 200; // rows

// follow shows every event as a row of body and hands it to heard. rows is what scrolls.
export function follow(body, rows, heard) {
  const source = new EventSource("/api/events");
  source.addEventListener("open", () => (document.body.dataset.log = "open"));
  source.addEventListener("message", (message) => {
    const event = JSON.parse(message.data);
    body.querySelector(".empty")?.remove();
    body.append(row(event));
    if (body.rows.length > KEEP) body.rows[0].remove();
    rows.scrollTop = rows.scrollHeight;
    heard(event);
  });
}

function row(event) {
  const tr = document.createElement("tr");
  tr.className = event.type;
  cell(tr, new Date(event.time).toLocaleTimeString("en-GB"));
  cell(tr, event.type).className = "step";
  cell(tr, event.admin);
  cell(tr, event.user ? `${event.session} (${event.user})` : event.session);
  cell(tr, details(event));
  return tr;
}

function cell(tr, text) {
  const td = tr.insertCell();
  td.textContent = text;
  return td;
}

function details(event) {
  const parts = [];
  if (event.type === "refused") parts.push(`${event.reason}: ${event.sentence}`);
  else if (event.reason) parts.push(event.reason);
  if (event.detail) parts.push(event.detail);
  if (event.type === "granted") parts.push(`port ${event.port}, token ${event.token ?? ""}…`);
  if (event.type === "connected" || event.type === "rejected") parts.push(`from ${event.viewer}`);
  if (event.type === "ended") parts.push(figures(event));
  return parts.filter(Boolean).join(" · ");
}
