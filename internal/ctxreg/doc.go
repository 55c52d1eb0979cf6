// Package ctxreg knows the two values that the VDA keeps for session shadowing
// in its registry, how they are written on the command line of the VDA's
// program ctxreg, and how they are read through it.
//
//	ctxreg update -k "HKLM\Software\Citrix\VirtualDesktopAgent" -v "EnableSessionShadowing" -d 0x00000000
//
// A program that reads them:
//
//	values, err := ctxreg.Program{}.Read(ctx)
//	if err != nil {
//		return err
//	}
//	fmt.Println(values[ctxreg.EnableSessionShadowing])
//
// # What is understood of the VDA's program
//
// The public documentation shows how values are written and that
// "ctxreg dump | grep NAME" shows one; what a line of the dump looks like it
// doesn't say. So "dump" is run without arguments, for at most 5 s and 4 MiB,
// and this is taken from its output:
//
//   - A line is about a value if it has the value's name, in any case, as a
//     word of its own (letters, digits and _ on neither side), with or without
//     quotes around it.
//   - If the line also names a registry key (it begins with HKLM\ or another
//     root and ends with the quotes or brackets around it, or at a blank; a
//     comma, colon or semicolon behind it isn't part of it), the line counts
//     only if that is the key of session shadowing, alone or with the value's
//     name as its last part. A line that is nothing but a key, or anything in
//     brackets, says this of the lines below it that name no key.
//   - The value is the last word on the line after the name that is a number,
//     "0x" and one to eight hexadecimal digits, with or without quotes.
//
// A line about a value that names a key which only begins like that of session
// shadowing, a line about a value without such a number, two lines that disagree, a
// number other than 0 and 1, and a program that fails, hangs or prints too
// much are errors. So is a value that isn't there, unless the dump names the
// key: then the VDA's default counts, as for the VDA itself. Whoever gets an
// error refuses to shadow.
package ctxreg
