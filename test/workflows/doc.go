// Package workflows checks the example workflows of GitHub Actions as their authors would: with actionlint. It is a module of
// its own, so that actionlint is no dependency of anything else.
package workflows
