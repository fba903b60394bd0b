package moto

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const groupsPath = "DescribeAutoScalingGroupsResult/AutoScalingGroups/member"

func groupVersions(e *exchange, r reply) (reply, bool, error) {
	return edit(r, func(root *element) bool { return e.proxy.see(root.find(groupsPath)) })
}

// group names the group that a call is for, in all regions.
func (e *exchange) group() string {
	return e.call.Region + " " + e.call.Params.Get("AutoScalingGroupName")
}

// startRefresh replaces the instances that are not of their group's version, and remembers a refresh that went well.
func startRefresh(e *exchange) (reply, error) {
	described, err := e.also("DescribeAutoScalingGroups", url.Values{"AutoScalingGroupNames.member.1": {e.call.Params.Get("AutoScalingGroupName")}})
	if err != nil {
		return reply{}, err
	}
	groups := described.find(groupsPath)
	if len(groups) != 1 {
		return e.refuse(http.StatusBadRequest, "ValidationError", "AutoScalingGroup name not found"), nil
	}
	e.proxy.see(groups)
	for _, instance := range groups[0].find("Instances/member") {
		if instance.text("LaunchTemplate/Version") == groups[0].text("LaunchTemplate/Version") {
			continue
		}
		_, err := e.also("TerminateInstanceInAutoScalingGroup", url.Values{"InstanceId": {instance.text("InstanceId")}, "ShouldDecrementDesiredCapacity": {"false"}})
		if err != nil {
			return reply{}, err
		}
	}
	e.proxy.mu.Lock()
	defer e.proxy.mu.Unlock()
	all := e.proxy.kept.refreshes[e.group()]
	made := refresh{fmt.Sprintf("00000000-0000-4000-8000-%012d", len(all)+1), "Successful"}
	e.proxy.kept.refreshes[e.group()] = append([]refresh{made}, all...)
	return e.result("<InstanceRefreshId>" + made.id + "</InstanceRefreshId>"), nil
}

func describeRefreshes(e *exchange) (reply, error) {
	e.proxy.mu.Lock()
	defer e.proxy.mu.Unlock()
	var members []string
	for _, r := range e.proxy.kept.refreshes[e.group()] {
		members = append(members, fmt.Sprintf("<member><InstanceRefreshId>%s</InstanceRefreshId><AutoScalingGroupName>%s</AutoScalingGroupName><Status>%s</Status><PercentageComplete>100</PercentageComplete></member>",
			r.id, escape(e.call.Params.Get("AutoScalingGroupName")), r.status))
	}
	return e.result("<InstanceRefreshes>" + strings.Join(members, "") + "</InstanceRefreshes>"), nil
}

// putHooks makes the hooks that a group was to be made with, if it has none.
func putHooks(e *exchange, r reply) (reply, bool, error) {
	const first = "LifecycleHookSpecificationList.member.1.LifecycleHookName"
	if r.status != http.StatusOK || !e.call.Params.Has(first) {
		return r, false, nil
	}
	group := e.call.Params.Get("AutoScalingGroupName")
	described, err := e.also("DescribeLifecycleHooks", url.Values{"AutoScalingGroupName": {group}})
	if err != nil || len(described.find("DescribeLifecycleHooksResult/LifecycleHooks/member")) > 0 {
		return r, false, err
	}
	for n := 1; ; n++ {
		prefix := fmt.Sprintf("LifecycleHookSpecificationList.member.%d.", n)
		values := url.Values{"AutoScalingGroupName": {group}}
		for name, value := range e.call.Params {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				values[rest] = value
			}
		}
		if !values.Has("LifecycleHookName") {
			return r, true, nil
		}
		if _, err := e.also("PutLifecycleHook", values); err != nil {
			return r, false, err
		}
	}
}
