// Package testviewer decodes what RFB servers send, for tests: an oracle that was written from the
// specifications and shares no code with rfb/encode.
package testviewer
