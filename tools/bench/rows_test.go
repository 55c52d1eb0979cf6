package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What benchmarks have printed becomes a table between the marks of a document.
func TestRows(t *testing.T) {
	dir := t.TempDir()
	printed, doc := filepath.Join(dir, "printed"), filepath.Join(dir, "doc.md")
	require.NoError(t, os.WriteFile(printed, []byte("goos: linux\n"+
		"BenchmarkViews/ws/typing \t 3\t1.2 cpu-ratio\t52 gate-cpu-ms/s\n"+
		"BenchmarkGateAdds-2   \t 60\t 0 ns/op\t 0.4 added-ms\t 16 direct-ms\nPASS\n"), 0o600))
	require.NoError(t, os.WriteFile(doc, []byte("a\n"+beginRows+"old\n"+endRows+"z\n"), 0o600))
	figures := map[string]map[string]float64{}
	require.NoError(t, readFigures(printed, figures))
	require.NoError(t, putBetween(doc, beginRows, endRows, tableOf(figures)))
	data, err := os.ReadFile(doc)
	require.NoError(t, err)
	assert.Equal(t, "a\n"+beginRows+"| | bound | measured | | beside it |\n| --- | ---: | ---: | --- | --- |\n"+
		"| what the gate adds to the p50 of change → canvas, ms | ≤ 1 | 0.4 | reached | direct-ms 16 |\n"+
		"| CPU of 50 views of typing, × HAProxy's in HTTP mode, ws | ≤ 1.1 | 1.2 | missed | gate-cpu-ms/s 52 |\n"+endRows+"z\n", string(data))
	assert.Error(t, putBetween(printed, beginRows, endRows, ""), "no marks")
}
