package cluster

// What a cluster gets when its spec names no version.
const (
	defaultExternalPostgres   = 13
	defaultOpenSearch         = "1.3.20"
	defaultExternalOpenSearch = "1.3"
)
