package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/logs"
)

// outputs are the log and the audit. Nobody waits for the log. Without a file of
// its own the audit goes where the log goes, whatever the log's level.
type outputs struct {
	logger zerolog.Logger
	audit  func(shadow.Event) error // of this host, for people or log.audit

	level atomic.Int32 // zerolog.Level
	queue *logs.Queue
	file  *logs.File // of the audit; nil: there is none
}

// openOutputs opens them. The caller closes them.
func openOutputs(cfg *config.Config, stderr io.Writer) (*outputs, error) {
	o := &outputs{}
	if err := o.setLevel(cfg.Log.Level); err != nil {
		return nil, err
	}
	o.audit = shadow.JSONLines(stderr)
	o.queue = logs.NewQueue(stderr)
	var log io.Writer = o.queue
	if cfg.Log.Format == "console" {
		console := zerolog.ConsoleWriter{Out: stderr, TimeFormat: time.DateTime, NoColor: os.Getenv("NO_COLOR") != "" || !isTerminal(stderr)}
		o.audit = consoleAudit(console)
		console.Out = o.queue
		log = console
	}
	if cfg.Log.Audit != "" {
		file, err := logs.OpenFile(cfg.Log.Audit, 0o600)
		if err != nil {
			_ = o.queue.Close(logs.FlushTime)
			return nil, fmt.Errorf("the audit file: %w", err)
		}
		o.file, o.audit = file, shadow.JSONLines(file)
	}
	o.logger = zerolog.New(log).With().Timestamp().Logger().Hook(zerolog.HookFunc(func(e *zerolog.Event, level zerolog.Level, _ string) {
		if level < zerolog.Level(o.level.Load()) {
			e.Discard()
		}
	}))
	return o, nil
}

// setLevel changes from which level on lines are logged.
func (o *outputs) setLevel(name string) error {
	level, err := zerolog.ParseLevel(name)
	if err != nil {
		return err
	}
	o.level.Store(int32(level))
	return nil
}

// reopen opens the audit's file anew.
func (o *outputs) reopen() error {
	if o.file == nil {
		return nil
	}
	return o.file.Reopen()
}

func (o *outputs) close() {
	_ = o.queue.Close(logs.FlushTime) // who doesn't read the log doesn't read of this
	if o.file != nil {
		logs.Within(logs.FlushTime, func() { _ = o.file.Close() }) // a Reopen may hang in the file system
	}
}

// consoleAudit is an audit for people: an event as a line of the log.
func consoleAudit(w zerolog.ConsoleWriter) func(shadow.Event) error {
	return func(e shadow.Event) error {
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		var line map[string]any
		if err := json.Unmarshal(data, &line); err != nil {
			return err
		}
		line["level"], line["message"] = "info", "shadow "+string(e.Type)
		delete(line, "type")
		if data, err = json.Marshal(line); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
}

// isTerminal reports whether w is a character device.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
