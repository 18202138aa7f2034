// What kstatus makes of objects: Kubernetes' library of that name, and the one that Flux has made of it.
//
// In: a JSON list of objects. Out: a JSON list with the two answers to each.
package main

import (
	"encoding/json"
	"log"
	"os"

	flux "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	sigs "sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type answers struct {
	Kubernetes string `json:"kubernetes"`
	Flux       string `json:"flux"`
}

func main() {
	log.SetFlags(0)
	var raw []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&raw); err != nil {
		log.Fatal(err)
	}
	given := make([]answers, 0, len(raw))
	for _, each := range raw {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(each); err != nil {
			log.Fatal(err)
		}
		given = append(given, answersTo(object))
	}
	if err := json.NewEncoder(os.Stdout).Encode(given); err != nil {
		log.Fatal(err)
	}
}

func answersTo(object *unstructured.Unstructured) answers {
	bySigs, err := sigs.Compute(object)
	if err != nil {
		log.Fatal(err)
	}
	byFlux, err := flux.Compute(object)
	if err != nil {
		log.Fatal(err)
	}
	return answers{Kubernetes: string(bySigs.Status), Flux: string(byFlux.Status)}
}
