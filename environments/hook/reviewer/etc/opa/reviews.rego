# https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication
# https://kubernetes.io/docs/reference/access-authn-authz/webhook/
package kubernetes

# Whose is a token?
token := {"apiVersion": input.apiVersion, "kind": input.kind, "status": bearer}

default bearer := {"authenticated": false}

bearer := {"authenticated": true, "user": {"username": person.name, "groups": person.groups}} if {
	some person in data.people
	person.token == input.spec.token
}

# May a caller do this? A denial ends the apiserver's search: no authorizer after this one is asked.
access := {"apiVersion": input.apiVersion, "kind": input.kind, "status": decision}

default decision := {"allowed": false}

decision := {"allowed": false, "denied": true, "reason": "contractors have no access to secrets"} if {
	"contractors" in input.spec.groups
	input.spec.resourceAttributes.resource == "secrets"
}
