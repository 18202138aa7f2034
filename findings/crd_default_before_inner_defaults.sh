#!/usr/bin/env bash
# An API server runs a CRD's validation rules on the defaults that the CRD itself names before the defaults further in
# have been put into them. A default of {} for an object whose fields all have defaults is therefore refused with
# "no such key" by any rule that reads such a field, though every object gets those fields before its rules run: the
# same {} written by a user, and the same default once it is used, hold them. The default has to spell out what its
# own inner defaults say already, or the rule has to ask has() of a field that no stored object lacks.
# Matters to who tests a schema by its objects alone: each object passes, and the CRD can't be installed.
# Seen with k8s.io/apiextensions-apiserver v0.34.12 (Kubernetes 1.34; needs Go): {} refused, spelled out taken.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work"
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	for _, name := range os.Args[1:] {
		text, err := os.ReadFile(name + ".yaml")
		must(err)
		written, crd := &v1.CustomResourceDefinition{}, &apiextensions.CustomResourceDefinition{}
		must(yaml.UnmarshalStrict(text, written))
		scheme.Default(written)
		must(scheme.Convert(written, crd, nil))
		crd.Status.StoredVersions = []string{"v1"}
		fmt.Println(name, validation.ValidateCustomResourceDefinition(context.Background(), crd))

		whole, err := schema.NewStructural(crd.Spec.Validation.OpenAPIV3Schema)
		must(err)
		without := map[string]any{"spec": map[string]any{}}
		empty := map[string]any{"spec": map[string]any{"light": map[string]any{}}}
		defaulting.Default(without, whole)
		defaulting.Default(empty, whole)
		fmt.Println(name, without["spec"], empty["spec"])
	}
}
GO
cat > bare.yaml <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.example.org}
spec:
  group: example.org
  names: {kind: Lamp, listKind: LampList, plural: lamps, singular: lamp}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              light:
                type: object
                default: {}
                properties:
                  colour: {type: string, default: White}
                x-kubernetes-validations:
                - {rule: "self.colour != 'Black'", message: no such light}
YAML
sed 's/default: {}$/default: {colour: White}/' bare.yaml > spelled.yaml
cat > go.mod <<'MOD'
module look

go 1.24.0

require (
	k8s.io/apiextensions-apiserver v0.34.12
	k8s.io/apimachinery v0.34.12
	sigs.k8s.io/yaml v1.6.0
)
MOD
go mod tidy 2> tidy.log || { cat tidy.log; exit 1; }
go run -p 2 . bare spelled | tee seen
diff seen - <<'SEEN'
bare [spec.validation.openAPIV3Schema.properties[spec].properties[light].default: Invalid value: "object": no such key: colour evaluating rule: no such light]
bare map[light:map[colour:White]] map[light:map[colour:White]]
spelled []
spelled map[light:map[colour:White]] map[light:map[colour:White]]
SEEN
