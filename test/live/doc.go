// Package live takes images and machines of a throwaway cluster through an account of AWS, from a record to a prune: push, promote,
// plan, apply, a bad image, rollout, rollback, prune. It is what the fake account is measured against.
//
// Without build tags its test runs against the fake account, so that the suite itself is known to work. With the tag live it
// runs in a real account, and costs money there. NOBODY HAS RUN IT THERE YET.
//
// It bakes nothing: the images are copies of Debian's own, and the suite completes the lifecycle hook of the good one's machines
// in their agents' place. The bad one's never get ready. The machines are one or two of the spec's API type.
//
// A real run takes, in the environment:
//
//	CINCBAKE_LIVE_ACCOUNT   the account's 12 digits. It must be the one that the credentials are for
//	CINCBAKE_LIVE_SPEC      a spec of the managed topology, whose section aws names what that account has
//
// and credentials that may do what all roles of cincbake iam may together, and besides delete groups, launch templates,
// instances, parameters and objects of the cluster; in an account that has nothing worth keeping.
//
// Whatever it makes has the tag cincbake:cluster with the value of Cluster, and is swept away by it before the suite begins and
// when it ends, however it ends. Database and search need not be there. What is left when it is killed, the next run sweeps.
package live

// Cluster is the name of the throwaway cluster, whatever the spec calls its own.
const Cluster = "live-test"
