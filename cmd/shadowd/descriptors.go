package main

import (
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/config"
)

const (
	ownDescriptors  = 300 // of the daemon itself: the control API with all its places, logs, name services
	viewDescriptors = 8   // of one view, its question and its banner
)

// announceDescriptors warns if this process may have fewer file descriptors than it needs when all
// ports are in use. A quarter is for strangers.
func announceDescriptors(logger zerolog.Logger, cfg *config.Config) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	if need := neededDescriptors(cfg); limit.Cur < need {
		logger.Warn().Uint64("limit", limit.Cur).Uint64("needed", need).
			Msg("there are fewer file descriptors than all ports could need: raise LimitNOFILE in shadowd's unit, or give it fewer ports")
	}
}

// neededDescriptors is how many it takes to use all ports at once.
func neededDescriptors(cfg *config.Config) uint64 {
	views := cfg.Ports.Last - cfg.Ports.First + 1
	return uint64(ownDescriptors+views*viewDescriptors) * 4 / 3
}
