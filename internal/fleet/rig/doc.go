// Package rig tests fleets of the real programs: shadowgate, shadowd and shadowctl, each a process of its own.
package rig
