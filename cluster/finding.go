package cluster

// Finding is one thing that a machine's doctor looked at.
type Finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	// Hint is what to do about it. With OK, it is for later.
	Hint string `json:"hint,omitempty"`
}

// Mark is the finding in a word: ok, warn, or FAIL.
func (f Finding) Mark() string {
	switch {
	case !f.OK:
		return "FAIL"
	case f.Hint != "":
		return "warn"
	}
	return "ok"
}
