package main

import (
	"encoding/json"
	"os/user"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
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
		assert.Equal(t, exitUsage, shadowctl(t.Context(), args...).status, args)
	}
}
