//go:build !linux

package quiet

// Elsewhere connections are read and written as package net does it.
const supported = false

// Read is never called.
func Read(uintptr, []byte) (n int, waiting bool, err error) { panic("unreachable") }

// Write is never called.
func Write(uintptr, []byte, []byte) (n int, err error) { panic("unreachable") }

func setLowat(uintptr, int) error { panic("unreachable") }
