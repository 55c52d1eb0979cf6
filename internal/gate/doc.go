// Package gate is the console: it signs people in, shows them what the access table lets them see
// of some hosts, asks for views in their names, and carries the views' bytes. It decides nothing that
// a host decides: every request goes to the host's shadowd with the name and the groups of who is
// signed in, and the host's own rules and its user have the last word.
//
//	GET    /api/v1/signin           the ways to sign in
//	POST   /api/v1/signin           {"name","password"}; 204 and the cookie
//	GET    /signin/oidc             to the provider; back at /signin/oidc/callback
//	POST   /api/v1/signout          {"next"}
//	GET    /api/v1/me               who is signed in, and what they may
//	GET    /api/v1/me/signins       where else
//	POST   /api/v1/me/signins/end   {"id"} or {"others":true}, {"password"?}; 204
//	GET    /api/v1/hosts            {"hosts": […]}
//	GET    /api/v1/sessions         {"sessions": […]}
//	GET    /api/v1/sessions/events  the same, and its changes, as server-sent events
//	POST   /api/v1/shadows          {"host"?,"session","purpose"?,"monitor"?}; waits for the user; 201
//	GET    /api/v1/shadows          {"shadows": […]}
//	GET    /api/v1/shadows/{id}     one of them
//	DELETE /api/v1/shadows/{id}     ends it; 204
//	GET    /api/v1/events           what happens, as server-sent events
//	GET    /api/v1/activity         what happened, also as CSV and JSON lines
//	GET    /api/v1/rules            a host's consent rules
//	POST   /api/v1/rules/test       which of them would decide about a wish
//	GET    /view/{id}               the view's WebSocket; without an upgrade, its page
//	GET    /metrics, /healthz, /readyz
//
// docs/openapi.yaml has the details; errors are problems as shadowd's are.
//
// # Views
//
// The gate joins the browser's connection to the host's granted port below the WebSocket: it passes
// the handshake on, with the token, and then bytes, frames and all. So it has no queue, and close
// codes need no translation. Of what the browser sends it reads the frames' headers, to know
// whether a view was closed or lost. A view that is lost may come back as long as the host keeps it,
// also to a gate that was restarted meanwhile: the browser holds what that takes, sealed.
package gate
