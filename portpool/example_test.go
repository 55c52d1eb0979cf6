package portpool_test

import (
	"context"
	"errors"
	"fmt"

	"vda.internal/shadow/portpool"
)

func Example() {
	pool := &portpool.Pool{Host: "127.0.0.1"}
	ctx := context.Background()

	alice, err := pool.Listen(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer alice.Close()
	_ = alice.Hold() // her viewer is there: nobody else may come
	fmt.Println(alice.Port() >= 6001 && alice.Port() <= 6099, pool.InUse())

	// Bob takes over, whether or not a port is left.
	bob, err := pool.Replace(ctx, alice)
	if errors.Is(err, portpool.ErrExhausted) {
		fmt.Println("no port for Bob")
		return
	}
	_ = alice.Close()
	fmt.Println(pool.InUse())
	_ = bob.Close()
	// Output:
	// true 1
	// 1
}
