// What Argo CD makes of objects, by its own packages: their health and their actions by Lua, and whether they are
// OutOfSync.
//
// In: JSON as in `questions`. Out: JSON as in `answers`, with an answer to each question at its place.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type questions struct {
	// By group and kind, as in "tidegate.dev/ModelDeployment"; the health's Lua, and the actions as the ConfigMap has them.
	Health  map[string]string            `json:"health"`
	Actions map[string]string            `json:"actions"`
	Healthy []*unstructured.Unstructured `json:"healthy"`
	Acting  []acting                     `json:"acting"`
	Diffs   []compared                   `json:"diffs"`
}

type acting struct {
	Object *unstructured.Unstructured `json:"object"`
	Action string                     `json:"action"`
}

// Predicted is what a server-side apply of Wanted would make of Live; without it the two are compared by Argo CD itself.
type compared struct {
	Wanted    *unstructured.Unstructured `json:"wanted"`
	Live      *unstructured.Unstructured `json:"live"`
	Predicted *unstructured.Unstructured `json:"predicted"`
}

type answers struct {
	Healthy []verdict `json:"healthy"`
	Acting  []acted   `json:"acting"`
	// Whether they are OutOfSync.
	Diffs []bool `json:"diffs"`
}

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type acted struct {
	// Those that a person may choose.
	Offered []string `json:"offered"`
	// The object that Argo CD would write, where the action was among those.
	Object *unstructured.Unstructured `json:"object"`
}

func main() {
	log.SetFlags(0)
	var asked questions
	must(json.NewDecoder(os.Stdin).Decode(&asked))
	machine := lua.VM{ResourceOverrides: map[string]v1alpha1.ResourceOverride{}}
	for kind, script := range asked.Health {
		machine.ResourceOverrides[kind] = v1alpha1.ResourceOverride{HealthLua: script, Actions: asked.Actions[kind]}
	}
	given := answers{Healthy: []verdict{}, Acting: []acted{}, Diffs: []bool{}}
	for _, object := range asked.Healthy {
		given.Healthy = append(given.Healthy, healthOf(machine, object))
	}
	for _, each := range asked.Acting {
		given.Acting = append(given.Acting, act(machine, each))
	}
	for _, pair := range asked.Diffs {
		given.Diffs = append(given.Diffs, differs(pair))
	}
	must(json.NewEncoder(os.Stdout).Encode(given))
}

func healthOf(machine lua.VM, object *unstructured.Unstructured) verdict {
	script, openLibs, err := machine.GetHealthScript(object)
	must(err)
	machine.UseOpenLibs = openLibs
	health, err := machine.ExecuteHealthLua(object, script)
	must(err)
	return verdict{Status: string(health.Status), Message: health.Message}
}

func act(machine lua.VM, asked acting) acted {
	scripts, err := machine.GetResourceActionDiscovery(asked.Object)
	must(err)
	found, err := machine.ExecuteResourceActionDiscovery(asked.Object, scripts)
	must(err)
	given := acted{Offered: []string{}}
	isOffered := false
	for _, each := range found {
		if !each.Disabled {
			given.Offered = append(given.Offered, each.Name)
			isOffered = isOffered || each.Name == asked.Action
		}
	}
	if !isOffered {
		return given
	}
	action, err := machine.GetResourceAction(asked.Object, asked.Action)
	must(err)
	made, err := machine.ExecuteResourceAction(asked.Object, action.ActionLua, nil)
	must(err)
	given.Object = made[0].UnstructuredObj
	return given
}

// predicted answers what the API server answered to the same apply before.
type predicted struct{ object *unstructured.Unstructured }

func (p predicted) Run(context.Context, *unstructured.Unstructured, string) (string, error) {
	text, err := json.Marshal(p.object)
	return string(text), err
}

func differs(pair compared) bool {
	options := []diff.Option{diff.WithManager("argocd-controller")}
	if pair.Predicted != nil {
		options = append(options,
			diff.WithServerSideDiff(true),
			diff.WithServerSideDryRunner(predicted{pair.Predicted}),
			diff.WithIgnoreMutationWebhook(false))
	}
	result, err := diff.Diff(pair.Wanted, pair.Live, options...)
	must(err)
	return result.Modified
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
