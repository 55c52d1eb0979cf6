package access

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMay(t *testing.T) {
	all := Rights()
	table := Table{
		{Groups: []string{"helpdesk"}, Users: []string{"kiosk*"}, May: []Right{List, Shadow}},
		{Groups: []string{"helpdesk"}, Hosts: []string{"vda1", "lab-*"}, May: []Right{List}},
		{Names: []string{`CORP\boss`, "chief"}, May: all},
		{Names: []string{"both"}, Groups: []string{"ops"}, May: all},
		{Groups: []string{"auditors"}, May: []Right{Audit}},
		{Groups: []string{"none"}},
	}
	for name, c := range map[string]struct {
		person Person
		right  Right
		host   string
		user   string
		want   bool
	}{
		"user matches":                  {Person{"ann", []string{"helpdesk"}}, Shadow, "any", "kiosk7", true},
		"other user":                    {Person{"ann", []string{"helpdesk"}}, Shadow, "vda1", "bob", false},
		"rights of another rule":        {Person{"ann", []string{"helpdesk"}}, List, "vda1", "bob", true},
		"no rule for that host":         {Person{"ann", []string{"helpdesk"}}, List, "vda2", "bob", false},
		"pattern of hosts":              {Person{"ann", []string{"x", "HELPDESK"}}, List, "LAB-3", "bob", true},
		"pattern is for the whole name": {Person{"ann", []string{"helpdesk2"}}, List, "vda1", "bob", false},
		"right not given":               {Person{"ann", []string{"helpdesk"}}, Stop, "vda1", "kiosk7", false},
		"by name":                       {Person{`corp\Boss`, nil}, Stop, "h", "u", true},
		"a letter like s":               {Person{"CORP\\bo\u017fs", nil}, Stop, "h", "u", false},
		"a letter like k":               {Person{"ann", []string{"helpdes\u212a"}}, List, "vda1", "bob", false},
		"name is no group":              {Person{"x", []string{"chief"}}, List, "h", "u", false},
		"group is no name":              {Person{"helpdesk", nil}, List, "vda1", "kiosk1", false},
		"needs the group, too":          {Person{"both", []string{"dev"}}, List, "h", "u", false},
		"has both":                      {Person{"both", []string{"ops"}}, List, "h", "u", true},
		"user not known":                {Person{"ann", []string{"helpdesk"}}, Shadow, "vda1", "", false},
		"user not known, any will do":   {Person{"x", []string{"auditors"}}, Audit, "vda1", "", true},
		"rule without rights":           {Person{"x", []string{"none"}}, List, "h", "u", false},
		"nobody":                        {Person{"", []string{"helpdesk", "auditors"}}, Audit, "h", "u", false},
		"star is a pattern only":        {Person{"*", []string{"*"}}, List, "vda1", "kiosk1", false},
		"a right that there isn't":      {Person{"chief", nil}, "", "h", "u", false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, table.May(c.person, c.right, c.host, c.user))
			if c.want {
				require.True(t, table.MayAnywhere(c.person, c.right))
			}
		})
	}
	require.False(t, Table(nil).May(Person{"chief", nil}, List, "h", "u"), "nothing matches, nothing may")
	require.False(t, Table{{May: all}}.May(Person{}, List, "h", "u"), "who isn't signed in is nobody")
}

func TestOf(t *testing.T) {
	table := Table{{Names: []string{"x"}, May: []Right{List}}, {Groups: []string{"g"}, Users: []string{"a*"}, May: []Right{Shadow}}}
	require.Equal(t, []Permit{{Rule: 2, Hosts: []string{"*"}, Users: []string{"a*"}, Rights: []Right{Shadow}}}, table.Of(Person{"y", []string{"g"}}))
	require.Equal(t, []Permit{}, table.Of(Person{"z", nil}), "an empty list in JSON, not null")
}
