// The user's half: an ordinary, interactive noVNC, in place of a screen.

import RFB from "/demo/novnc/core/rfb.js";

const RETRY = 1000; // ms from a lost connection to the next

// showDesktop keeps the desktop in target, and says in state how it is.
export function showDesktop(target, state) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const rfb = new RFB(target, `${scheme}//${location.host}/demo/desktop`);
  rfb.scaleViewport = true;
  rfb.background = "transparent";
  const say = (name, words) => {
    document.body.dataset.desktop = name;
    state.textContent = words;
  };
  rfb.addEventListener("connect", () => {
    say("live", "session demo");
    target.querySelector("canvas").setAttribute("aria-label", target.dataset.label);
  });
  rfb.addEventListener("disconnect", () => {
    say("lost", "connection lost, trying again");
    setTimeout(() => {
      target.replaceChildren();
      showDesktop(target, state);
    }, RETRY);
  });
}
