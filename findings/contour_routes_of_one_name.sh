#!/usr/bin/env bash
# Contour keeps what it has to say of Gateway API routes by namespace and name, whatever their kind. Of an HTTPRoute and
# a GRPCRoute of one name (TLSRoutes and TCPRoutes share the place too), which Kubernetes and the Gateway API allow, the
# one that was looked at last is told its status; the other's is dropped at each rebuild. Its conditions stay at the
# generation before, though Contour's Envoys already route by what it says now.
# Matters to who waits for Accepted at the present generation before going on, as a rollout does: it waits for ever.
# Seen with github.com/projectcontour/contour v1.33.8 (needs Go): two routes go in, one status comes out.
set -euo pipefail
work=$(mktemp -d) && trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS=-mod=mod
module=github.com/projectcontour/contour@v1.33.8
there=$(go mod download -json "$module" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p')
cp -r "$there" contour && chmod -R u+w contour && cd contour
mkdir cmd/show && cat > cmd/show/main.go <<'GO'
package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/projectcontour/contour/internal/status"
)

func told(routes ...types.NamespacedName) []string {
	cache := status.NewCache(types.NamespacedName{Namespace: "edge", Name: "public"}, "example.org/controller")
	kinds := []client.Object{&gateway.HTTPRoute{}, &gateway.GRPCRoute{}}
	for at, name := range routes {
		route, commit := cache.RouteConditionsAccessor(name, 2, kinds[at])
		parent := route.StatusUpdateFor(gateway.ParentReference{Name: "public"})
		parent.AddCondition(gateway.RouteConditionAccepted, "True", gateway.RouteReasonAccepted, "taken")
		commit()
	}
	found := []string{}
	for _, update := range cache.GetStatusUpdates() {
		found = append(found, fmt.Sprintf("%T", update.Resource))
	}
	return found
}

func main() {
	web := types.NamespacedName{Namespace: "shop", Name: "web"}
	calls := types.NamespacedName{Namespace: "shop", Name: "calls"}
	fmt.Println("two names:", len(told(web, calls)))
	fmt.Println("one name:", told(web, web))
}
GO
said=$(go run ./cmd/show)
echo "$said"
expected='two names: 2
one name: [*v1.GRPCRoute]'
[ "$said" = "$expected" ]
