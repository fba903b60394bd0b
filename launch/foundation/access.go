package foundation

import (
	"fmt"

	"github.com/cincbake/cincbake/launch/iam"
)

// roles adds a role with its instance profile for each role's machines, and a policy for each role of people and CI.
func (f *foundation) roles() error {
	for _, role := range iam.Roles(f.Resolved) {
		document := policy(iam.For(f.Resolved, role, f.place))
		if role.Machine == "" {
			f.template.resource(title(role.Name)+"Policy", "AWS::IAM::ManagedPolicy", fields{
				{"Description", fmt.Sprintf("Cinc Server cluster %s: %s", f.Name, role.What)}, {"PolicyDocument", document},
			})
			f.template.tell(title(role.Name)+"Policy", "attach it to the role that "+role.What, "${"+title(role.Name)+"Policy}")
			continue
		}
		trust, err := iam.Trust(role, f.place, iam.Workflow{})
		if err != nil {
			return err
		}
		name, profile := iam.Title(role.Machine), iam.ProfileOf(f.Resolved, role.Machine)
		f.template.resource(name+"Role", "AWS::IAM::Role", fields{
			{"RoleName", profile},
			{"Description", fmt.Sprintf("Cinc Server cluster %s: %s", f.Name, role.What)},
			{"AssumeRolePolicyDocument", policy(trust)},
			{"Policies", []any{fields{{"PolicyName", "cincbake"}, {"PolicyDocument", document}}}},
			{"Tags", f.tags(role.Name)},
		})
		f.template.resource(name+"Profile", "AWS::IAM::InstanceProfile", fields{{"InstanceProfileName", profile}, {"Roles", []any{"${" + name + "Role}"}}})
		f.template.tell("InstanceProfiles"+name, "aws.instanceProfiles."+tier(role.Machine), "${"+name+"Profile}")
	}
	return nil
}

// title is a name as a resource's begins with it.
func title(name string) string { return string(name[0]-'a'+'A') + name[1:] }
