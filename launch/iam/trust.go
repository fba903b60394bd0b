package iam

import (
	"regexp"

	"github.com/cincbake/cincbake/internal/exit"
)

// github is the identity provider that vouches for workflows of GitHub Actions.
const github = "token.actions.githubusercontent.com"

var repositoryForm = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}$`)

// environmentForm is what the name of a deployment environment may be here: what needs no quotes in a claim.
var environmentForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// Workflow is who at GitHub may be a role: workflows of a repository that run on its branch main, or, with an environment, in
// that one, whose rules say who must approve.
type Workflow struct {
	Repository  string // OWNER/REPO
	Environment string
}

// Trust returns who may be a role. A machine's is EC2's to give. Others need a workflow; what has none is exit.Invalid.
func Trust(role Role, at Place, workflow Workflow) (Document, error) {
	trust := func(s Statement) Document { return Document{Version: version, Statement: []Statement{s}} }
	switch {
	case role.Machine != "" && workflow != Workflow{}:
		return Document{}, exit.Errorf(exit.Invalid, "%s is a role of machines: workflows have no use for it", role.Name)
	case role.Machine != "":
		return trust(Statement{
			Sid: "Machines", Effect: "Allow", Principal: &Principal{Service: []string{"ec2." + at.domain()}}, Action: []string{"sts:AssumeRole"},
		}), nil
	case workflow.Repository == "":
		return Document{}, exit.Errorf(exit.Invalid, "who is to be %s? Name the repository whose workflows are, with --github OWNER/REPO; people take the role that your account gives them", role.Name)
	case !repositoryForm.MatchString(workflow.Repository):
		return Document{}, exit.Errorf(exit.Invalid, "%q is not a repository at GitHub: write OWNER/REPO", workflow.Repository)
	case workflow.Environment != "" && !environmentForm.MatchString(workflow.Environment):
		return Document{}, exit.Errorf(exit.Invalid, "%q is not the name of an environment: use letters, digits and . _ -", workflow.Environment)
	}
	subject := "repo:" + workflow.Repository + ":ref:refs/heads/main"
	if workflow.Environment != "" {
		subject = "repo:" + workflow.Repository + ":environment:" + workflow.Environment
	}
	return trust(Statement{
		Sid: "Workflows", Effect: "Allow", Principal: &Principal{Federated: []string{at.global("oidc-provider/" + github)}},
		Action: []string{"sts:AssumeRoleWithWebIdentity"},
		Condition: Condition{"StringEquals": {
			github + ":aud": {"sts.amazonaws.com"},
			github + ":sub": {subject},
		}},
	}), nil
}
