package watchdog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// While alive hangs, nothing is told.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		stuck := make(chan struct{})
		go every(t.Context(), time.Second, func() {
			if told == 5 {
				<-stuck
			}
		}, func() { told++ })
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 5, told)
		close(stuck)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Greater(t, told, 5)
	})
}

// Where nobody watches nothing is asked.
func TestUnwatched(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "")
	Run(t.Context(), func() { t.Error("it was asked") })
}
