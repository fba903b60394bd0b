package cinc

import "testing"

// Whoever takes the lock over must find nothing of the one before at work: it gave up late, and its programs took as long to end
// as they may.
func TestLockIsTakenOverAfterTheLatestEnd(t *testing.T) {
	if latest := beatLimit + killTime; latest+2*beatPause > settle {
		t.Errorf("what ran under the lock may end %v after its holder last spoke, and another goes on after %v", latest, settle)
	}
}
