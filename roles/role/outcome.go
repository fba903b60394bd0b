package role

// Refusal is something that makes going on unsafe. It names the way out.
type Refusal struct {
	Reason string
	Hint   string
}

func (r *Refusal) Error() string { return r.Reason }

// NotYet is a step that can't be done before something outside this machine has happened. The plan is applied again later.
type NotYet struct {
	Reason string
	Hint   string
}

func (n *NotYet) Error() string { return n.Reason }
