package presets

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// The forms of parameters.
var (
	hostPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?$`)
	guidPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	// userPoolPattern matches the id of a user pool. Its group is the region.
	userPoolPattern = regexp.MustCompile(`^([a-z]{2,}(?:-[a-z]+)+-[0-9]+)_[A-Za-z0-9]+$`)
	// googlePattern matches the id of a project at Google Cloud: 6 to 30 characters, in
	// old projects with a domain before it.
	googlePattern   = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	supabasePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	realmPattern    = regexp.MustCompile(`/realms/[^/]+$`)
)

// domain returns the parameter domain. {domain} in issuer stands for its value.
func domain(issuer, example string) Parameter {
	return Parameter{"domain", issuer, example, func(value string) (string, error) {
		host := strings.ToLower(value)
		if hostPattern.MatchString(host) {
			return host, nil
		}
		write := "such as " + example
		if u, err := url.Parse(host); err == nil && hostPattern.MatchString(u.Hostname()) {
			write = u.Hostname()
		} else if u, err := url.Parse("//" + host); err == nil && u.User == nil && hostPattern.MatchString(u.Hostname()) {
			write = u.Hostname()
		}
		return "", fmt.Errorf("is not a host name: write it without a scheme, a port or a path: %s", write)
	}}
}

// project returns the parameter project. what describes its value.
func project(issuer, example, what string, form *regexp.Regexp) Parameter {
	return Parameter{"project", issuer, example, func(value string) (string, error) {
		if !form.MatchString(value) {
			return "", fmt.Errorf("is not %s, such as %s", what, example)
		}
		return value, nil
	}}
}

// userPool returns the parameter user_pool.
func userPool(issuer string) Parameter {
	return Parameter{"user_pool", issuer, "eu-central-1_AbC123", func(value string) (string, error) {
		m := userPoolPattern.FindStringSubmatch(value)
		switch {
		case m == nil:
			return "", errors.New("is not the ID of a user pool (region, underscore, ID), such as eu-central-1_AbC123")
		case strings.HasPrefix(m[1], "cn-"):
			return "", errors.New("is in China, whose URLs are other ones: write \"issuer <the claim iss of your tokens>\" instead")
		}
		return value, nil
	}}
}

// consumerTenant is the tenant of all personal Microsoft accounts (Microsoft identity
// platform, page "Access token claims reference").
const consumerTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// tenant returns the parameter tenant.
func tenant(issuer string) Parameter {
	const example = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
	return Parameter{"tenant", issuer, example, func(value string) (string, error) {
		id := strings.ToLower(value)
		switch {
		case id == "common" || id == "organizations":
			return "", fmt.Errorf("must not be %s: any organization could sign in its users, with any email address; write the ID of your tenant, such as %s", id, example)
		case id == "consumers" || id == consumerTenant:
			return "", fmt.Errorf("must not be the tenant of personal Microsoft accounts: anyone can have such an account; write the ID of your tenant, such as %s", example)
		case !guidPattern.MatchString(id):
			return "", fmt.Errorf("is not the ID of a tenant (a GUID): the issuer contains the ID, and a tenant's name can change; write the Directory (tenant) ID, such as %s", example)
		}
		return id, nil
	}}
}

// issuer returns the parameter issuer: the claim iss itself. If form is not nil, the
// issuer must match it.
func issuer(example string, form *regexp.Regexp) Parameter {
	return Parameter{"issuer", "{issuer}", example, func(value string) (string, error) {
		u, err := url.Parse(value)
		switch {
		case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(value, "?#"):
			return "", fmt.Errorf("is not a URL without a user, a query or a fragment, such as %s", example)
		case strings.HasSuffix(value, "/"):
			return "", fmt.Errorf("must not end with a slash, because the claim iss does not: write it such as %s", example)
		case form != nil && !form.MatchString(value):
			return "", fmt.Errorf("is not the URL of a realm: write it such as %s", example)
		}
		return value, nil
	}}
}
