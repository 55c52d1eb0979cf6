// The page of the demo: the user's half, the administrator's half, the log.

import { showDesktop } from "./desktop.js";
import { Administrator } from "./admin.js";
import { follow } from "./log.js";

showDesktop(document.getElementById("desktop"), document.getElementById("desktop-state"));
const admin = new Administrator();
follow(document.getElementById("events"), document.getElementById("rows"), (event) => admin.heard(event));
