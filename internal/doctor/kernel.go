package doctor

import (
	"context"
	"strings"

	"vda.internal/shadow/internal/host/kernel"
)

// kernel tells what an old kernel lacks. Nothing stops working without it.
func (d *Doctor) kernel(context.Context) {
	var lacks []string
	for _, l := range kernel.Lacks() {
		lacks = append(lacks, l.String())
	}
	if lacks == nil {
		d.ok("kernel", "Linux "+kernel.Release()+" has all that is made use of")
		return
	}
	d.note("kernel", strings.Join(lacks, "; "), "nothing must be done; a newer kernel has it")
}
