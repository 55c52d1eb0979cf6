// What an end means, by its reason: a title, and what to do next.
const again = "To look again, ask again.";

const ends = {
  session_ended: ["The session has ended", "Its user logged out, or the host is going down."],
  stopped_by_user: ["The user stopped the view", "Ask the user before you ask again."],
  stopped_by_admin: ["An administrator stopped the view", again],
  superseded: ["Another administrator is viewing now", "The user agreed to a newer request. A session has one viewer at a time."],
  viewer_absent: ["This address is too old", `Nobody connected in time. ${again}`],
  viewer_left: ["The view has ended", again],
  viewer_violation: ["The host ended this view", "This browser sent something that a view-only connection doesn't allow."],
  source_failed: ["The picture stopped", "The host could no longer read the screen. Its log says why."],
  prompt_failed: ["The user could no longer be told", "The notice on the user's screen stopped working, so the view ended."],
  display_unreachable: ["The screen can't be reached", "The session's display stopped answering."],
  disabled: ["Viewing was switched off", "The host's settings no longer allow it."],
  shutdown: ["The host's viewing service is going down", "Try again when it is back."],
};

const refusals = {
  "token missing": ["This address is incomplete", "It lacks the part after #. Copy the whole address."],
  "token wrong": ["This address isn't valid here", "It belongs to another view, or it has ended."],
  "token used": ["This address was used already", `It works once, for one viewer. ${again}`],
};

const codes = {
  1009: ["The host ended this view", "This browser sent too much at once."],
  1013: ["The host has no room for another viewer", "Try again in a moment."],
  4008: ["The connection was too slow", `The browser took no data for too long. ${again}`],
};

// Words for a WebSocket's close event.
export function endWords({ code, reason }) {
  return ends[reason] ?? refusals[reason] ?? codes[code] ?? ["The connection was lost", again];
}

export const missing = refusals["token missing"];

export const unreachable = ["The host doesn't answer", `The view has ended, or the network is down. ${again}`];
