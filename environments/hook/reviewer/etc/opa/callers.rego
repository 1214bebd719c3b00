# Who may ask, where --authorization=basic is set: the apiserver, and nothing but the two questions.
# https://www.openpolicyagent.org/docs/security#authentication-and-authorization
package system.authz

default allow := false

allow if {
	input.identity == "CN=kube-apiserver"
	input.method == "POST"
	input.path in [["v0", "data", "kubernetes", "token"], ["v0", "data", "kubernetes", "access"]]
}
