// Package screen reads the picture of an X screen: its pixels, where they have
// changed, the pointer and the monitors. It only looks: it knows no request that
// changes anything of the session's.
//
//	s, err := screen.Open(screen.Options{Display: ":1", Xauthority: "/home/alice/.Xauthority"})
//	if err != nil {
//		return err // an *UnfitError: there is a screen, and it can't be shown
//	}
//	for range s.Changed() {
//		rects, err := s.Damage()
//		if err != nil {
//			return err
//		}
//		err = s.Grab(rects, func(r image.Rectangle, pix []byte, stride int) { … })
//		…
//	}
//
// It uses DAMAGE, XFIXES, MIT-SHM and RANDR, and XInput 2 to hear of the
// pointer, and does without those that a server lacks; [Screen.Lacks] says
// what that costs. XTEST and what else injects input isn't linked.
//
// See the X Window System Protocol, X Version 11, and the protocols of these
// extensions in xorgproto.
package screen
