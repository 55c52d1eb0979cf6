// Package api is what travels over the control API of shadowd, HTTP/1.1 and JSON on a
// unix socket, and its client. Package server answers it.
//
//	POST   /v1/shadows       {"session","admin","client"?}; waits for the user; 201 and the grant
//	GET    /v1/shadows       {"shadows": […]}
//	GET    /v1/shadows/{id}  one of them
//	DELETE /v1/shadows/{id}  ends it; 204
//	GET    /v1/sessions      {"sessions": […]}, each with "shadowable" and, if false, "reason" and "detail"
//	GET    /v1/events        the audit as server-sent events, from now on
//	GET    /metrics          Prometheus
//	GET    /healthz          "ok"; the header Shadowd-Config has the fingerprint of the loaded configuration,
//	                         Shadowd-Audit, if it is there, why the audit can't be written
//
// Errors are problem documents (RFC 9457); a refusal carries its reason, in the
// vocabulary of the shadow package, as "reason".
//
// A client:
//
//	grant, err := api.Client{}.Shadow(ctx, api.Request{Session: "2", Admin: `CORP\alice`})
//	var problem *api.Problem
//	switch {
//	case errors.As(err, &problem) && problem.Reason != "":
//		fmt.Println("refused:", problem.Reason)
//	case err == nil:
//		fmt.Println(grant.URL)
//	}
package api
