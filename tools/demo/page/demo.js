// The page of the demo: the user's half, and the administrator's, which is the gate's own page.

import { showDesktop } from "./desktop.js";

showDesktop(document.getElementById("desktop"), document.getElementById("desktop-state"));

const { name, password } = await (await fetch("account")).json();
document.getElementById("account").textContent = `name ${name}, password ${password}`;
// The administrator is signed in already, unless the address says #sign-in.
if (location.hash !== "#sign-in" && (await fetch("/api/v1/me")).status === 401) {
  await fetch("/api/v1/signin", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name, password }),
  });
}
document.getElementById("console").src = "/";
