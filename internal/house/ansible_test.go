package house

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"vda.internal/shadow/internal/config"
)

const ansible = "../../dist/ansible"

// A step is a task or a handler of the example.
type step map[string]any

// taskWords are the keys of a task that aren't its module.
var taskWords = map[string]bool{
	"name": true, "when": true, "notify": true, "loop": true, "no_log": true, "diff": true, "register": true, "changed_when": true,
}

// yamlFile reads one strictly: a key that is there twice is an error.
func yamlFile(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, v), path)
}

// The example's tasks are what Ansible takes: each has a name and one module with its collection,
// handlers and files that it names are there, and so is a default for each variable.
func TestAnsibleExample(t *testing.T) {
	role := filepath.Join(ansible, "roles", "shadowd")
	var defaults map[string]any
	yamlFile(t, filepath.Join(role, "defaults", "main.yml"), &defaults)
	var handlers []step
	yamlFile(t, filepath.Join(role, "handlers", "main.yml"), &handlers)
	known := map[any]bool{}
	for _, h := range handlers {
		known[h["name"]] = true
	}
	files, err := filepath.Glob(filepath.Join(role, "tasks", "*.yml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	included, tasks := map[string]bool{"main.yml": true}, handlers
	for _, file := range files {
		var list []step
		yamlFile(t, file, &list)
		tasks = append(tasks, list...)
	}
	collection := regexp.MustCompile(`^ansible\.builtin\.[a-z_]+$`) // ansible-core has it
	for _, task := range tasks {
		assert.NotEmpty(t, task["name"], "%v", task)
		var modules []string
		for key := range task {
			if !taskWords[key] {
				modules = append(modules, key)
			}
		}
		require.Len(t, modules, 1, "%v", task)
		assert.Regexp(t, collection, modules[0])
		if n, there := task["notify"]; there {
			assert.True(t, known[n], "no handler %q", n)
		}
		if modules[0] == "ansible.builtin.include_tasks" {
			included[task[modules[0]].(string)] = true
		}
	}
	for _, file := range files {
		assert.True(t, included[filepath.Base(file)], "%s isn't included", file)
	}
	assert.Len(t, included, len(files))

	variable := regexp.MustCompile(`\bshadowd_[a-z_]+`)
	used := map[string]bool{}
	require.NoError(t, filepath.WalkDir(ansible, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Base(filepath.Dir(path)) == "defaults" {
			return err
		}
		if strings.HasSuffix(path, ".yml") {
			var any any
			yamlFile(t, path, &any)
		}
		data, err := os.ReadFile(path)
		for _, name := range variable.FindAllString(string(data), -1) {
			used[name] = true
			assert.Contains(t, defaults, name, path)
		}
		return err
	}))
	for name := range defaults {
		assert.True(t, used[name], "%s is used nowhere", name)
	}
}

// What the template makes is a configuration without mistakes.
func TestAnsibleTemplate(t *testing.T) {
	template, err := os.ReadFile(filepath.Join(ansible, "roles", "shadowd", "templates", "shadowing.toml.j2"))
	require.NoError(t, err)
	values := map[string]any{
		"shadowd_host": "vda1.corp.example", "shadowd_group": "shadow-admins", "shadowd_first_port": 6010, "shadowd_last_port": 6020,
		"shadowd_origins": []string{"director.corp.example", "*.corp:8443"}, "shadowd_purpose": "required", "shadowd_audit": "/var/log/shadowd.log",
		"ansible_managed": "Ansible managed", "1 if shadowd_certificate else 0": 1,
	}
	filled := regexp.MustCompile(`\{\{ (.+?)( \| to_json)? \}\}`).ReplaceAllStringFunc(string(template), func(s string) string {
		name, isJSON := strings.CutSuffix(strings.Trim(s, "{} "), " | to_json")
		require.Contains(t, values, name)
		if !isJSON {
			return fmt.Sprint(values[name])
		}
		text, err := json.Marshal(values[name])
		require.NoError(t, err)
		return string(text)
	})
	assert.NotContains(t, filled, "{")
	path := filepath.Join(t.TempDir(), "shadowing.toml")
	require.NoError(t, os.WriteFile(path, []byte(filled), 0o600))
	c, err := config.Load(path)
	require.NoError(t, err)
	assert.True(t, c.ShadowingUseSSL)
	assert.Equal(t, "vda1.corp.example", c.Viewer.Host)
	assert.Equal(t, []string{"director.corp.example", "*.corp:8443"}, c.Viewer.Origins)
	assert.Equal(t, 6010, c.Ports.First)
	assert.Equal(t, "shadow-admins", c.Control.Group)
	assert.Equal(t, "required", c.Consent.Purpose)
	assert.Equal(t, "/var/log/shadowd.log", c.Log.Audit)
}
