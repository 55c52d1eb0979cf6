// Package viewers has the tests of the relay with the releases of noVNC that people have, in front of
// the servers that they have: make viewers runs all of them, make test a selection.
package viewers
