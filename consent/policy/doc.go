// Package policy is what an organisation has decided about viewing before anybody is asked: whether
// an administrator must say why ([Purpose]), and who may view whom, and how ([Rules]).
//
// It decides and does nothing else: whoever uses it asks, refuses and records. It needs nothing but
// the standard library.
package policy
