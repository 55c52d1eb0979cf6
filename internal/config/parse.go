package config

import (
	"slices"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/keyfile"
	"vda.internal/shadow/sessions"
)

// An Error is all that is wrong with a file.
type Error = keyfile.Error

// A Problem is one thing that is wrong with a file.
type Problem = keyfile.Problem

const (
	staticKey = "sessions.static"
	rulesKey  = "consent.rules"
)

// parse reads the content of the file that is called name.
func parse(name string, data []byte) (*Config, error) {
	c := Default()
	r, err := keyfile.Parse(name, data, c.keys())
	if err != nil {
		return nil, err
	}
	static := r.Tables(staticKey, "session")
	rules := r.Tables(rulesKey, "rule")
	r.ReadKeys()
	c.Sessions.Static = readStatic(r, static)
	c.Consent.Rules = readRules(r, rules)
	check(r, c)
	if err := r.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// readStatic reads the static sessions.
func readStatic(r *keyfile.Reader, list []map[string]any) []sessions.StaticSession {
	var all []sessions.StaticSession
	first := map[string]string{} // id → key of the table that has it
	for i, t := range list {
		name := keyfile.Element(staticKey, i)
		var s sessions.StaticSession
		for _, k := range staticKeys(&s) {
			if _, there := t[k.Name]; !there && !slices.Contains([]string{"xauthority", "locale", "bus"}, k.Name) {
				r.Fail(name, "%s is missing; a session needs id, display and user", k.Name)
			}
		}
		r.ReadTable(name, t, staticKeys(&s))
		if other, twice := first[s.ID]; twice && s.ID != "" {
			r.Fail(keyfile.Join(name, "id"), "%q is there twice; the other one is in line %d", s.ID, r.Line(other))
		}
		first[s.ID] = name
		all = append(all, s)
	}
	return all
}

// check looks at what keys mean together.
func check(r *keyfile.Reader, c *Config) {
	if c.Ports.First > c.Ports.Last {
		key := "ports.last"
		if !r.Has(key) {
			key = "ports.first"
		}
		r.Fail(key, "the last port, %d, is below the first, %d", c.Ports.Last, c.Ports.First)
	}
	if c.Consent.Prompter == "exec" && len(c.Consent.Exec) == 0 {
		r.Fail("consent.prompter", `"exec" needs consent.exec, the program and its arguments`)
	}
	if t := c.Consent.Texts; t.Yes != "" && t.Yes == t.No {
		r.Fail("consent.texts.yes", "%q is what the other button says, too", t.Yes)
	}
	if c.Consent.PurposeHint != "" && c.Consent.PurposePattern == "" && c.Consent.Purpose != "required" {
		r.Fail("consent.purpose_hint", `has no effect: no reason is refused with purpose = %q and no consent.purpose_pattern`, c.Consent.Purpose)
	}
	if i := c.Consent.Rules.WithoutYes(); i >= 0 && !c.Consent.Banner {
		r.Fail("consent.banner", "false isn't allowed with %s, which allows viewing without a Yes: only the banner informs the user", keyfile.Element(rulesKey, i))
	}
	if t := c.Consent.Timeout; c.Consent.Rules.Notifies() && t < consent.MinNoticeTimeout {
		r.Fail("consent.timeout", `%v is too short for answer = "notify": the notice must be in view for %v; allowed are times from "%v"`, t, consent.NoticeTime, consent.MinNoticeTimeout)
	}
	if i := slices.IndexFunc(c.Consent.Rules, func(rule policy.Rule) bool { return rule.Answer == policy.Ask && rule.Unanswered }); i >= 0 {
		key := keyfile.Element(rulesKey, i)
		if c.Consent.Timeout <= consent.NoticeTime && c.Consent.Prompter == "x11" {
			r.Fail("consent.timeout", `%v is too short for unanswered = "allow" of %s: the question must be in view for %v`, c.Consent.Timeout, key, consent.NoticeTime)
		}
		if c.Consent.Prompter == "notify" {
			r.Fail("consent.prompter", `with "notify" it is unknown whether the question was seen, so unanswered = "allow" of %s never allows anything`, key)
		}
	}
	if len(c.Fleet.Servers) > 0 && c.Fleet.Credentials == "" {
		r.Fail("fleet.servers", "fleet.credentials is missing: shadowctl enroll writes both")
	}
	if c.Source.Kind == "dial" && c.Source.Dial == "" {
		r.Fail("source.kind", `"dial" needs source.dial, the address`)
	}
	if c.Sessions.Resolver == "exec" && len(c.Sessions.Exec) == 0 {
		r.Fail("sessions.resolver", `"exec" needs sessions.exec, the program and its arguments`)
	}
	switch static := c.Sessions.Resolver == "static"; {
	case static && !r.Has(staticKey):
		r.Fail("sessions.resolver", `"static" needs at least one [[%s]]`, staticKey)
	case !static && len(c.Sessions.Static) > 0:
		r.Fail(staticKey, `does nothing: sessions.resolver is %q; set it to "static"`, c.Sessions.Resolver)
	}
}
