package cluster

// has tells whether the spec has a tier, and can be asked about it.
func (c *checker) has(tier string) bool {
	if c.broken[tier] {
		return false
	}
	switch tier {
	case "api":
		return c.spec.API != nil
	case "postgres":
		return c.spec.Postgres != nil
	case "opensearch":
		return c.spec.OpenSearch != nil
	case "lb":
		return c.spec.LB != nil
	}
	return false
}

// external tells whether a tier is somebody else's.
func (c *checker) external(tier string) bool {
	if !c.has(tier) {
		return false
	}
	if tier == "postgres" {
		return c.spec.Postgres.External != nil || c.broken["postgres.external"]
	}
	return c.spec.OpenSearch.External != nil || c.broken["opensearch.external"]
}

// own tells whether a tier runs on nodes of the cluster.
func (c *checker) own(tier string) bool {
	if !c.has(tier) || c.external(tier) {
		return false
	}
	if tier == "postgres" {
		return c.spec.Postgres.Nodes != nil
	}
	return c.spec.OpenSearch.Nodes != nil
}
