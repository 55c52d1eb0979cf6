package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
)

// A component is a part of a program in its bill of materials (CycloneDX).
type component struct {
	Type     string           `json:"type"`
	Name     string           `json:"name"`
	Version  string           `json:"version"`
	PURL     string           `json:"purl"`
	Ref      string           `json:"bom-ref"`
	Licenses []map[string]any `json:"licenses"`
}

// pages are what a program embeds with the pages: noVNC, and the part of it that somebody else has made.
func pages() ([]component, error) {
	data, err := os.ReadFile(novnc + "package.json")
	if err != nil {
		return nil, fmt.Errorf("noVNC isn't there (run make pages): %w", err)
	}
	var about struct{ Name, Version, License string }
	if err := json.Unmarshal(data, &about); err != nil {
		return nil, fmt.Errorf("%spackage.json: %w", novnc, err)
	}
	if about.Name != "@novnc/novnc" || about.Version == "" || about.License == "" {
		return nil, fmt.Errorf("%spackage.json doesn't say what noVNC it is", novnc)
	}
	part := func(name, version, purl string, licenses ...string) component {
		c := component{Type: "library", Name: name, Version: version, PURL: purl, Ref: purl}
		for _, id := range licenses {
			c.Licenses = append(c.Licenses, map[string]any{"license": map[string]string{"id": id}})
		}
		return c
	}
	if data, err = os.ReadFile(novnc + "vendor/pako/README.md"); err != nil {
		return nil, err
	}
	based := regexp.MustCompile(`based on pako version ([0-9.]+[0-9])`).FindSubmatch(data)
	if based == nil {
		return nil, fmt.Errorf("%svendor/pako/README.md doesn't say which pako it is", novnc)
	}
	pako := string(based[1])
	return []component{
		part(about.Name, about.Version, "pkg:npm/%40novnc/novnc@"+about.Version, about.License),
		part("pako", pako, "pkg:npm/pako@"+pako, "MIT", "Zlib"),
	}, nil
}

// settle takes out of a bill of materials what differs between two of one program: the time, and what the
// tool says of its own binary. It puts in what the tool, which knows of Go's modules only, has missed.
func settle(file string, missed []component) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var bill map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&bill); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if metadata, ok := bill["metadata"].(map[string]any); ok {
		delete(metadata, "timestamp")
		unhashed(metadata["tools"])
	}
	components, _ := bill["components"].([]any)
	for _, c := range missed {
		components = append(components, c)
	}
	if len(missed) > 0 {
		bill["components"] = components
	}
	if data, err = json.MarshalIndent(bill, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// unhashed takes the hashes out of what v has, however deep: one tool, or a list of them.
func unhashed(v any) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			unhashed(one)
		}
	case map[string]any:
		delete(v, "hashes")
		for _, one := range v {
			unhashed(one)
		}
	}
}
