// Package deploy checks the manifests for Kubernetes with the code of kustomize and of the
// API server. It does not run them.
package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	admission "k8s.io/pod-security-admission/api"
	admissionpolicy "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// namespace is where the manifests are applied in these tests; they name none.
const namespace = "clinic"

// secrets are the files that the operator creates, with values that must not appear anywhere
// else.
var secrets = map[string]string{"secret": "canary-secret", "redis-key": "canary-key", "redis-password": "canary-password"}

// manifestFiles returns the files of deploy/kubernetes by name.
func manifestFiles(t *testing.T) map[string]string {
	t.Helper()
	const dir = "../../deploy/kubernetes"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		if _, secret := secrets[e.Name()]; !secret {
			files[e.Name()] = read(t, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// build runs kustomize build, which is the version of kubectl 1.36, and decodes the objects.
func build(files map[string]string) (objects []runtime.Object, err error) {
	fs := filesys.MakeFsInMemory()
	for _, all := range []map[string]string{files, secrets} {
		for name, text := range all {
			if err := fs.WriteFile("/"+name, []byte(text)); err != nil {
				return nil, err
			}
		}
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, "/")
	if err != nil {
		return nil, err
	}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		object, err := decode(text)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.GetKind(), r.GetName(), err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

var strict = serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDeserializer()

// decode decodes a manifest, sets the defaults and checks it, all as the API server does. It
// rejects unknown and repeated fields, which the API server ignores unless kubectl asks it to
// be strict.
func decode(text []byte) (runtime.Object, error) {
	object, _, err := strict.Decode(text, nil, nil)
	if err != nil {
		return nil, err
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	if m.GetNamespace() == "" {
		m.SetNamespace(namespace)
	}
	legacyscheme.Scheme.Default(object)
	internal, err := legacyscheme.Scheme.ConvertToVersion(object, runtime.InternalGroupVersioner)
	if err != nil {
		return nil, err
	}
	return object, errors.Join(validate(internal).ToAggregate(), restricted(object))
}

func validate(object runtime.Object) field.ErrorList {
	switch o := object.(type) {
	case *apps.Deployment:
		return appsvalidation.ValidateDeployment(o, podutil.GetValidationOptionsFromPodTemplate(&o.Spec.Template, nil))
	case *core.Service:
		return corevalidation.ValidateServiceCreate(o)
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(o)
	case *core.Secret:
		return corevalidation.ValidateSecret(o)
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{})
	case *networking.Ingress:
		return networkingvalidation.ValidateIngressCreate(o)
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{})
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("no validation of %T", object))}
}

// restricted checks that a namespace with the Pod Security Standard "restricted" admits the
// pods of a Deployment.
func restricted(object runtime.Object) error {
	d, ok := object.(*appsv1.Deployment)
	if !ok {
		return nil
	}
	evaluator, err := admissionpolicy.NewEvaluator(admissionpolicy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	level := admission.LevelVersion{Level: admission.LevelRestricted, Version: admission.LatestVersion()}
	result := admissionpolicy.AggregateCheckResults(evaluator.EvaluatePod(level, &d.Spec.Template.ObjectMeta, &d.Spec.Template.Spec))
	if !result.Allowed {
		return fmt.Errorf("not restricted: %s", result.ForbiddenDetail())
	}
	return nil
}

// edit is a mistake in a file, and a part of the error that must report it.
type edit struct{ file, old, new, want string }

// apply returns the files with the mistake.
func (e edit) apply(t *testing.T, files map[string]string) map[string]string {
	t.Helper()
	edited := make(map[string]string)
	for name, text := range files {
		if name == e.file {
			if text = strings.Replace(text, e.old, e.new, 1); text == files[name] {
				t.Fatalf("%s does not contain %q", name, e.old)
			}
		}
		edited[name] = text
	}
	return edited
}

// TestManifests checks that kustomize builds the manifests, that the API server would accept
// them, and that it would not with each of some mistakes.
func TestManifests(t *testing.T) {
	files := manifestFiles(t)
	objects, err := build(files)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, o := range objects {
		kinds = append(kinds, o.GetObjectKind().GroupVersionKind().Kind)
	}
	slices.Sort(kinds)
	if want := []string{"ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Secret", "Service"}; !slices.Equal(kinds, want) {
		t.Errorf("kinds: %v, want %v", kinds, want)
	}
	for _, e := range []edit{
		{"kustomization.yaml", "resources:", "resource:", "invalid Kustomization"},
		{"kustomization.yaml", "- service.yaml", "- services.yaml", "services.yaml"},
		{"kustomization.yaml", "- secret\n", "- password\n", "password"},
		{"deployment.yaml", "readinessProbe:", "readynessProbe:", "unknown field"},
		{"deployment.yaml", "replicas: 2", "replicas: two", "cannot unmarshal"},
		{"deployment.yaml", "replicas: 2", "replicas: 2\n  replicas: 3", "already"},
		{"deployment.yaml", "maxSurge: 1", "maxSurge: 0", "may not be 0 when"},
		{"deployment.yaml", "name: data\n              mountPath", "name: date\n              mountPath", "Not found"},
		{"deployment.yaml", "mountPath: /config", "mountPath: /data", "must be unique"},
		{"deployment.yaml", "matchLabels:\n      app.kubernetes.io/name: caddy-huma", "matchLabels:\n      app.kubernetes.io/name: caddy", "does not match template"},
		{"deployment.yaml", "memory: 384Mi", "memory: 64Mi", "must be less than or equal to memory limit"},
		{"deployment.yaml", "name: metrics", "name: metrics_of_caddy", "ports[1].name"},
		{"deployment.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "not restricted: "},
		{"deployment.yaml", "drop: [ALL]", "drop: [NET_RAW]", "not restricted: "},
		{"deployment.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "not restricted: "},
		{"deployment.yaml", "type: RuntimeDefault", "type: Unconfined", "not restricted: "},
		{"service.yaml", "port: 80", "port: 80000", "between 1 and 65535"},
		{"networkpolicy.yaml", "cidr: 0.0.0.0/0", "cidr: 192.0.2.0/24", "must be a strict subset"},
		{"poddisruptionbudget.yaml", "AlwaysAllow", "Always", "unhealthyPodEvictionPolicy"},
	} {
		if _, err := build(e.apply(t, files)); err == nil || !strings.Contains(err.Error(), e.want) {
			t.Errorf("%s with %q: %v, want %q", e.file, e.new, err, e.want)
		}
	}
}

// TestSidecar decodes the manifests of testdata/sidecar.
func TestSidecar(t *testing.T) {
	accept := func(text string) (kinds []string, err error) {
		for document := range bytes.SplitSeq([]byte(text), []byte("\n---\n")) {
			object, err := decode(document)
			if err != nil {
				return nil, err
			}
			kinds = append(kinds, object.GetObjectKind().GroupVersionKind().Kind)
		}
		return kinds, nil
	}
	const name = "kubernetes.yaml"
	files := map[string]string{name: read(t, filepath.Join("../sidecar", name))}
	if kinds, err := accept(files[name]); err != nil || !slices.Equal(kinds, []string{"Deployment", "Service"}) {
		t.Errorf("%v, %v", kinds, err)
	}
	for _, e := range []edit{
		{name, "startupProbe:", "startUpProbe:", "unknown field"},
		{name, "fsGroup: 3000", "fsGroups: 3000", "unknown field"},
		{name, "replicas: 2", "replicas: two", "cannot unmarshal"},
		{name, "targetPort: https", "targetPorts: https", "unknown field"},
		{name, "medium: Memory", "media: Memory", "unknown field"},
		{name, "restartPolicy: Always", "restartPolicy: OnFailures", "restartPolicy"},
		{name, "drop: [ALL]", "drop: []", "not restricted: "},
	} {
		if _, err := accept(e.apply(t, files)[name]); err == nil || !strings.Contains(err.Error(), e.want) {
			t.Errorf("with %q: %v, want %q", e.new, err, e.want)
		}
	}
}

// TestDocumentation decodes the manifests in docs/kubernetes.md.
func TestDocumentation(t *testing.T) {
	blocks := strings.Split(read(t, "../../docs/kubernetes.md"), "```yaml\n")[1:]
	var kinds []string
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if !strings.Contains(text, "kind: ") {
			continue // an excerpt
		}
		object, err := decode([]byte(text))
		if err != nil {
			t.Errorf("%v:\n%s", err, text)
			continue
		}
		kinds = append(kinds, object.GetObjectKind().GroupVersionKind().Kind)
	}
	if !slices.Contains(kinds, "Ingress") {
		t.Errorf("kinds: %v", kinds)
	}
}

// find returns the object of a type.
func find[T runtime.Object](objects []runtime.Object) (found T) {
	for _, o := range objects {
		if o, ok := o.(T); ok {
			return o
		}
	}
	return found
}
