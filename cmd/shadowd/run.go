package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api/server"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/host/kernel"
	"vda.internal/shadow/internal/logs"
	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/internal/usage"
	"vda.internal/shadow/internal/version"
	"vda.internal/shadow/tlsstore"
)

// The exit statuses of shadowd, besides usage.Status.
const (
	exitDone   = 0
	exitFailed = 1
)

// options are the command line's.
type options struct {
	config    string // path
	named     bool   // the path was given, so the file must be there
	check     bool
	print     bool
	logFormat string
}

// run is shadowd, which obeys hangups while it serves. It returns the exit status.
func run(ctx context.Context, hangups <-chan os.Signal, args []string, stdout, stderr io.Writer) int {
	cmd := command(hangups, stdout, stderr)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if wrong, ok := errors.AsType[*usage.Error](err); ok {
		logs.Complain(stderr, "shadowd: %v\nTry 'shadowd --help'.\n", wrong)
		return usage.Status
	}
	logs.Complain(stderr, "shadowd: %s\n", named.Text(err))
	return exitFailed
}

func command(hangups <-chan os.Signal, stdout, stderr io.Writer) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "shadowd",
		Short: "let administrators watch users' desktop sessions, with the user's consent and view-only",
		Long: `shadowd serves requests to watch this host's desktop sessions. A request comes
from shadowctl or another agent over the control socket; the session's user is
asked, and on Yes one viewer (noVNC) may connect and watch.

It ends on SIGTERM or SIGINT: viewers are closed with 1001, and no child, port
or socket is left, except a control socket that systemd keeps for the next
start.

On SIGHUP it reopens its audit file, for logrotate(8), and rereads log.level and
the [fleet] table; views go on. EnableSessionShadowing, ShadowingUseSSL, settings,
ctxreg and the certificate are read at every request. All other keys need a restart.`,
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage.Errorf("unexpected argument %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.named = cmd.Flags().Changed("config")
			return start(cmd.Context(), hangups, o, stdout, stderr)
		},
	}
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usage.Error{Err: err} })
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", config.DefaultPath, "configuration `file`")
	flags.BoolVar(&o.check, "check", false, "check the configuration, and on this host what it names, and exit")
	flags.BoolVar(&o.print, "print-config", false, "print the configuration in effect, with a comment on each key, and exit")
	flags.StringVar(&o.logFormat, "log-format", "", "`format` of the log: json, or console for people (default: as configured)")
	return cmd
}

// start reads the configuration and does what o says with it.
func start(ctx context.Context, hangups <-chan os.Signal, o options, stdout, stderr io.Writer) error {
	if o.logFormat != "" && o.logFormat != "json" && o.logFormat != "console" {
		return usage.Errorf("--log-format is %q; json and console are allowed", o.logFormat)
	}
	path := o.config
	if !o.named {
		path = "" // the usual file, which may be missing
	}
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	fingerprint := cfg.Fingerprint() // the file's
	if o.logFormat != "" {
		cfg.Log.Format = o.logFormat
	}
	switch {
	case o.print:
		_, err := stdout.Write(cfg.TOML())
		return err
	case o.check:
		return checked(ctx, o, path, cfg, stdout)
	}
	return serve(ctx, hangups, path, cfg, fingerprint, stderr)
}

// The bounds of the end, which together stay below the unit's TimeoutStopSec.
const (
	shutdownTime = 12 * time.Second // of the engine; a source may take 5 s to go, a prompt less
	serveTime    = 6 * time.Second  // of the control API, after that
)

// serve runs the engine and its control API until ctx ends. The settings are
// read from the file at path, whose fingerprint is what it was when cfg was
// read.
func serve(ctx context.Context, hangups <-chan os.Signal, path string, cfg *config.Config, fingerprint string, stderr io.Writer) error {
	out, err := openOutputs(cfg, stderr)
	if err != nil {
		return err
	}
	defer out.close()
	logger := out.logger
	store := certificates(cfg, logger)
	fleet := &member{logger: logger, own: out.audit, state: stateDir()}
	manager, err := engine(cfg, path, store, logger, fleet.audit)
	if err != nil {
		return err
	}
	terms := terms(cfg) // of what the engine was made with, whatever a hangup reads
	join := func(cfg *config.Config) error { return fleet.join(cfg.Fleet, manager, terms) }
	if err := join(cfg); err != nil {
		return err
	}
	defer fleet.close()
	ln, err := controlSocket(cfg.Control.Socket, cfg.Control.Group)
	if err != nil {
		return err
	}
	handler := server.NewHandler(manager, server.Options{
		PortsInUse: manager.PortsInUse,
		Audit:      manager.Audit,
		Crowd:      manager.Crowd,
		Terms:      terms,
		Config:     fingerprint,
		ErrorLog:   log.New(logger, "", 0),
	})
	// The API outlives the engine, so that everybody who waits is told why.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving, ln, handler) }()
	stopTending := tend(serving, hangups, &reloader{path: path, fingerprint: fingerprint, out: out, join: join}, manager)
	defer stopTending()
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	announced := make(chan struct{})
	go func() { // files and name services may be slow, or hang
		defer close(announced)
		announce(ctx, logger, cfg, store, path)
	}()
	defer logs.Within(logs.FlushTime, func() { <-announced })

	select {
	case <-ctx.Done():
	case err = <-served:
		served <- nil
	}
	ln.Rest() // who connects from now on waits for the daemon after this one, if systemd keeps the socket
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err = errors.Join(err, manager.Shutdown(deadline))
	stopServing()
	select {
	case e := <-served:
		err = errors.Join(err, e)
	case <-time.After(serveTime):
		err = errors.Join(err, errors.New("the control API has not ended in time"))
	}
	logger.Info().Msg("ended")
	return err
}

// announce says what an operator should know.
func announce(ctx context.Context, logger zerolog.Logger, cfg *config.Config, store *tlsstore.Store, path string) {
	for i, rule := range cfg.Consent.Rules { // the audit has their numbers
		logger.Info().Str("rule", strconv.Itoa(i+1)).Str("text", rule.String()).Msg("a rule of consent")
	}
	settings, err := config.SettingsFrom(path)(ctx)
	switch {
	case err != nil:
		logger.Error().Err(err).Msg("the settings can't be read, and until this is mended every request is refused with disabled")
	case settings.ShadowingUseSSL:
		announceCertificate(ctx, logger, cfg.Viewer.Host, store)
	default:
		logger.Info().Msg("ShadowingUseSSL is 0: viewers connect with ws, which a page that was loaded over https can't do")
	}
	if err == nil && !settings.EnableSessionShadowing {
		logger.Warn().Msg("EnableSessionShadowing is 0: every request is refused with disabled")
	}
	if _, err := netip.ParseAddr(cfg.Viewer.Host); err == nil {
		logger.Warn().Str("host", cfg.Viewer.Host).Msg("viewer.host is an address: administrators are meant to be given a name, and few certificates name an address")
	}
	announceDescriptors(logger, cfg)
	if cfg.Consent.Prompter == "allow" {
		logger.Warn().Msg(`prompter = "allow": sessions are shown without asking their users`)
	}
	for _, l := range kernel.Lacks() {
		logger.Warn().Msg(l.String())
	}
	logger.Info().Str("version", version.String()).Str("socket", cfg.Control.Socket).
		Int("first", cfg.Ports.First).Int("last", cfg.Ports.Last).Msg("ready")
}

// announceCertificate says at the start what a request for wss would meet.
// What the pair is to be warned of, the store logs. host is viewer.host.
func announceCertificate(ctx context.Context, logger zerolog.Logger, host string, store *tlsstore.Store) {
	if host == "" {
		var err error
		if host, err = shadow.FQDN(ctx); err != nil {
			logger.Error().Err(err).Msg("this host doesn't know its name, and until viewer.host is set every request is refused")
			return
		}
	}
	if _, err := store.TLSConfig(host); err != nil {
		logger.Error().Err(err).Msg("ShadowingUseSSL is 1, and until this is mended every request is refused with tls_config")
	}
}
