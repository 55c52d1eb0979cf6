// Package setup prepares a host for its first shadow: it proposes lines for the configuration
// file, a certificate, and the commands that an administrator runs.
//
//	host := setup.Host{}
//	s, err := host.Look(ctx)
//	if err != nil {
//		return err
//	}
//	plan, err := s.Plan(ctx, s.Proposal(ctx))
//	if err != nil {
//		return err
//	}
//	fmt.Print(plan.Diff())
//	err = plan.Write()
//
// It overwrites nothing: keys and files that are there stay as they are. After a plan was
// written, the next one proposes nothing new. It runs no other program but those by which
// internal/doctor looks at the host.
package setup
