package main

import (
	"encoding/json"
	"os/user"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/server"
	"vda.internal/shadow/internal/usage"
)

func TestRules(t *testing.T) {
	e := &fakeEngine{}
	socket := daemon(t, e)
	assert.Equal(t, result{0, "There are no rules: users are asked.\n", ""}, shadowctl(t.Context(), "--socket", socket, "rules"))
	me, err := user.Current()
	require.NoError(t, err)
	test := []string{"--socket", socket, "rules", "test", "--admin", `CORP\ada`, "--session", "c2", "--group", "helpdesk", "--group", "berlin"}
	assert.Equal(t, result{0, "no rule matches, for account " + me.Username + ": the user is asked; silence means No; a locked screen means No\n", ""},
		shadowctl(t.Context(), test...))

	e.rules = policy.Rules{{Groups: []string{"audit"}, Answer: policy.Deny}, {Groups: []string{"ber*"}, Unanswered: true, Locked: true}}
	assert.Equal(t, result{0, "RULE   ANSWER   IN FULL\n" +
		"1      deny     groups = [\"audit\"] answer = \"deny\"\n" +
		"2      ask      groups = [\"ber*\"] answer = \"ask\" unanswered = \"allow\" locked = \"allow\"\n", ""},
		shadowctl(t.Context(), "--socket", socket, "rules"))
	assert.Equal(t, result{0, "rule 1 doesn't match: groups: \"helpdesk\", \"berlin\" is none of \"audit\"\n" +
		"rule 2 matches: groups: \"berlin\" fits \"ber*\"\n" +
		"rule 2 decides, for account " + me.Username + ": the user is asked; silence means Yes; a locked screen means Yes\n", ""},
		shadowctl(t.Context(), test...))
	var v api.Verdict
	require.NoError(t, json.Unmarshal([]byte(shadowctl(t.Context(), append(test, "--json")...).stdout), &v))
	assert.Equal(t, 2, v.Number)
	for _, args := range [][]string{{"rules", "test"}, {"rules", "test", "--admin", "a"}, {"rules", "all"}, {"rules", "test", "--admin", "a", "--session", "b", "x"}} {
		assert.Equal(t, usage.Status, shadowctl(t.Context(), args...).status, args)
	}
}

// Where the prompter doesn't ask the user, nothing says that it does.
func TestRulesWithoutAsking(t *testing.T) {
	for prompter, c := range map[string]struct{ none, list, test string }{
		"x11":    {"There are no rules: users are asked.\n", "", "the user is asked; silence means Yes"},
		"notify": {"There are no rules: users are asked.\n", "", "the user is asked; silence means Yes"},
		"exec": {"There are no rules: a program of this host decides (consent.prompter = \"exec\").\n",
			"Where the answer is \"ask\", or no rule matches: a program of this host decides (consent.prompter = \"exec\").\n",
			"a program of this host decides (consent.prompter = \"exec\"); silence means Yes"},
		"deny": {"There are no rules: nobody is asked, and the request is refused (consent.prompter = \"deny\").\n",
			"Where the answer is \"ask\", or no rule matches: nobody is asked, and the request is refused (consent.prompter = \"deny\").\n",
			"nobody is asked, and the request is refused (consent.prompter = \"deny\")"},
		"allow": {"There are no rules: nobody is asked, and the request is granted (consent.prompter = \"allow\").\n",
			"Where the answer is \"ask\", or no rule matches: nobody is asked, and the request is granted (consent.prompter = \"allow\").\n",
			"nobody is asked, and the request is granted (consent.prompter = \"allow\")"},
	} {
		t.Run(prompter, func(t *testing.T) {
			e := &fakeEngine{}
			socket := daemonWith(t, e, server.Options{Terms: &api.Terms{Prompter: prompter}})
			assert.Equal(t, result{0, c.none, ""}, shadowctl(t.Context(), "--socket", socket, "rules"))
			e.rules = policy.Rules{{Users: []string{"kiosk"}, Answer: policy.Notify}, {Accounts: []string{"gate:*"}, Unanswered: true}}
			assert.Equal(t, result{0, "RULE   ANSWER   IN FULL\n1      notify   users = [\"kiosk\"] answer = \"notify\"\n" +
				"2      ask      accounts = [\"gate:*\"] answer = \"ask\" unanswered = \"allow\"\n" + c.list, ""}, shadowctl(t.Context(), "--socket", socket, "rules"))
			test := []string{"--socket", socket, "rules", "test", "--admin", "ada", "--session", "c2", "--account", "gate:gate1"}
			assert.Contains(t, shadowctl(t.Context(), test...).stdout, "\nrule 2 decides, for account gate:gate1: "+c.test+"; a locked screen means No\n")
			e.rules = policy.Rules{{Answer: policy.Notify}}
			assert.Contains(t, shadowctl(t.Context(), test...).stdout, "\nrule 1 decides, for account gate:gate1: the user is informed, not asked; a locked screen means No\n", "the prompter has no say")
		})
	}
}
